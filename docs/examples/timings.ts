/**
 * How long commands take, as a layer.
 *
 *     const timings = new Timings()
 *     const client = new Client({ layers: [timings.layer] })
 *     setInterval(() => console.table(timings.report()), 60_000)
 *
 * It measures what lies below it: waiting for a connection, the way there and back, the server. Not the serializer.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import { commandName, type Middleware } from '../../lib/index.ts' // in your own code: from 'ermc'

/** Times in milliseconds. */
export interface Timing {
  readonly calls: number
  readonly failed: number
  readonly mean: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export class Timings {
  readonly #commands = new Map<string, { readonly took: RecordableHistogram; failed: number }>()

  /** To be given to any number of clients. */
  readonly layer: Middleware = (next) => (request, call) => {
    const command = commandName(request)
    const began = performance.now()
    const reply = next(request, call) // at once: whoever waits here is overtaken
    reply.then(() => this.#note(command, began, 0), () => this.#note(command, began, 1))
    return reply
  }

  /** What has been measured, by command; `reset` begins anew. */
  report({ reset = false }: { readonly reset?: boolean } = {}): { [command: string]: Timing } {
    const rows = Array.from(this.#commands, ([command, { took, failed }]): [string, Timing] => [
      command,
      { calls: took.count, failed, mean: Math.round(took.mean) / 1000, p50: took.percentile(50) / 1000, p99: took.percentile(99) / 1000, max: took.max / 1000 },
    ])
    if (reset) this.#commands.clear()
    return Object.fromEntries(rows)
  }

  #note(command: string, began: number, failed: 0 | 1): void {
    const known = this.#commands.get(command) ?? { took: createHistogram(), failed: 0 }
    known.took.record(Math.max(1, Math.round((performance.now() - began) * 1000))) // whole microseconds, at least one
    known.failed += failed
    this.#commands.set(command, known)
  }
}

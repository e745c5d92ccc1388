import { getEventListeners } from 'node:events'
import type { Client } from '../../lib/index.ts'
import type { Tally } from '../model/crowd.ts'
import { heapInUse } from '../support/heap.ts'

/** How often the live line is written: milliseconds, on a terminal and elsewhere. */
const LIVE = 500
const LINE = 5000
/** By how much more of the heap may be in use in the last third of a soak than in the first one. */
const ROOM = { bytes: 12_000_000, share: 0.15 }

/** Looks at a process that soaks, says how it is, and in the end whether it was all right. */
export class Monitor {
  readonly tally: Tally
  /** Never aborted: no listener may stay on it. */
  readonly signal = new AbortController().signal
  readonly #began = performance.now()
  readonly #clients: { readonly client: Client; readonly listeners: number }[] = []
  /** Bytes in use, every {@link LIVE}. */
  readonly #heap: number[] = []
  readonly #timer = setInterval(() => this.#look(), LIVE)
  #printed = 0
  #settledThen = 0
  #lookedAt = this.#began
  #mostSockets = 0

  constructor(tally: Tally) {
    this.tally = tally
  }

  watch(client: Client): void {
    this.#clients.push({ client, listeners: listenersOf(client) })
  }

  /** Writes the verdict; says whether all was well. */
  verdict(problems: readonly string[]): boolean {
    clearInterval(this.#timer)
    if (process.stdout.isTTY) process.stdout.write('\n')
    const { made, settled } = this.tally
    console.log(this.#line((1000 * settled) / (performance.now() - this.#began)))
    const [first, last] = thirds(this.#heap).map(median) as [number, number]
    const grown = last - first
    const sockets = count('TCPSocketWrap')
    const stay = this.#clients.filter(({ client, listeners }) => listenersOf(client) !== listeners).length + getEventListeners(this.signal, 'abort').length
    const judged: readonly (readonly [right: boolean, what: string])[] = [
      [problems.length === 0, problems.length === 0 ? 'every result was its own call\'s, nothing was left unhandled' : problems.join('\n')],
      [made === settled && settled > 0, `${settled} of ${made} promises are settled`],
      [grown < Math.max(ROOM.bytes, ROOM.share * first), `the heap has grown by ${mega(grown)} from ${mega(first)} (medians of the first and the last third of ${this.#heap.length} looks)`],
      [sockets === 0, `${sockets} sockets are left, of at most ${this.#mostSockets}`],
      [stay === 0, `${stay} listeners are left`],
    ]
    for (const [right, what] of judged) console.log(`${right ? '✓' : '✗'} ${what}`)
    return judged.every(([right]) => right)
  }

  #look(): void {
    const now = performance.now()
    this.#heap.push(heapInUse())
    this.#mostSockets = Math.max(this.#mostSockets, count('TCPSocketWrap'))
    const rate = (1000 * (this.tally.settled - this.#settledThen)) / (now - this.#lookedAt)
    this.#settledThen = this.tally.settled
    this.#lookedAt = now
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[2K${this.#line(rate)}`)
    else if (now - this.#printed >= LINE) {
      this.#printed = now
      console.log(this.#line(rate))
    }
  }

  #line(rate: number): string {
    const { made, settled, outcomes } = this.tally
    const said = [...outcomes].sort().map(([name, times]) => `${name.replace('ERR_MEMCACHE_', '')} ${times}`)
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(0)
    return `${seconds} s · ${rate.toFixed(0)} calls/s · ${settled} settled (${said.join(', ')}) · heap ${mega(this.#heap.at(-1) ?? 0)} · ${count('TCPSocketWrap')} sockets · ${made - settled} pending`
  }
}

function thirds(samples: readonly number[]): [first: readonly number[], last: readonly number[]] {
  const third = Math.ceil(samples.length / 3)
  return [samples.slice(0, third), samples.slice(-third)]
}

function median(samples: readonly number[]): number {
  return [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? 0
}

function count(resource: string): number {
  return process.getActiveResourcesInfo().filter((each) => each === resource).length
}

function listenersOf(client: Client): number {
  return client.eventNames().reduce((sum, name) => sum + client.listenerCount(name), 0)
}

function mega(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

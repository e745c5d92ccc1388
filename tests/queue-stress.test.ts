import { spawn, type ChildProcess } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { Client, MemcacheError } from '../lib/index.ts'
import { outsideTap } from './support/outside-tap.ts'
import { startWorker, type Event, type Log, type Manner, type Worker } from './support/queue-crew.ts'
import { startQueueProcess } from './support/queue-process.ts'

/**
 * Jobs through eight workers, while sockets are destroyed, workers and the server killed. ERMC_QUEUE_JOBS says how many
 * jobs each server has: 100,000 take some two minutes.
 */
const JOBS = Number(process.env['ERMC_QUEUE_JOBS'] ?? 8000)
const MANNERS: readonly Manner[] = ['waiting', 'folding', 'handling', 'waiting', 'folding', 'handling']
const CHILDREN: readonly Manner[] = ['folding', 'handling']
const childScript = fileURLToPath(new URL('support/queue-crew-child.ts', import.meta.url))

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** What befell each job, from all workers. */
class Ledger {
  readonly counts: { readonly [K in Event | 'killed']: Uint16Array } = {
    got: new Uint16Array(JOBS),
    acked: new Uint16Array(JOBS),
    aborted: new Uint16Array(JOBS),
    lost: new Uint16Array(JOBS),
    doubt: new Uint16Array(JOBS),
    killed: new Uint16Array(JOBS),
  }
  readonly #ackedAt = new Float64Array(JOBS)
  /** When the last one got it who gave it back. */
  readonly #abortedSince = new Float64Array(JOBS)

  /** The log of one worker; `killed` is to be called when it was. */
  open(): { readonly log: Log; readonly killed: () => void } {
    const inHand = new Map<number, number>()
    const log: Log = (event, job, time) => {
      this.#count(event, job)
      if (event === 'got') {
        inHand.set(job, time)
        return
      }
      if (event === 'acked') this.#ackedAt[job] = time
      if (event === 'aborted') this.#abortedSince[job] = Math.max(this.#abortedSince[job] ?? 0, inHand.get(job) ?? 0)
      inHand.delete(job)
    }
    const killed = (): void => {
      for (const job of inHand.keys()) this.#count('killed', job)
    }
    return { log, killed }
  }

  sum(event: Event | 'killed'): number {
    return this.counts[event].reduce((sum, count) => sum + count, 0)
  }

  /** The jobs for which this holds. */
  where(holds: (job: { readonly [K in Event | 'killed']: number } & { readonly ackedAt: number; readonly abortedSince: number }) => boolean): number[] {
    const { got, acked, aborted, lost, doubt, killed } = this.counts
    return Array.from({ length: JOBS }, (_, job) => job).filter((job) => holds({
      got: got[job] ?? 0, acked: acked[job] ?? 0, aborted: aborted[job] ?? 0, lost: lost[job] ?? 0, doubt: doubt[job] ?? 0, killed: killed[job] ?? 0,
      ackedAt: this.#ackedAt[job] ?? 0, abortedSince: this.#abortedSince[job] ?? 0,
    }))
  }

  #count(event: Event | 'killed', job: number): void {
    const counts = this.counts[event]
    counts[job] = (counts[job] ?? 0) + 1
  }
}

/** A worker in a process of its own, which is replaced when it is killed. */
class WorkerProcess {
  readonly #port: number
  readonly #manner: Manner
  readonly #ledger: Ledger
  #child: ChildProcess
  #ended: Promise<unknown>

  constructor(port: number, manner: Manner, ledger: Ledger) {
    this.#port = port
    this.#manner = manner
    this.#ledger = ledger
    ;[this.#child, this.#ended] = this.#start()
  }

  async replace(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
    ;[this.#child, this.#ended] = this.#start()
  }

  /** Resolves with its exit code: it ends by itself. */
  async close(): Promise<unknown> {
    this.#child.kill('SIGTERM')
    return this.#ended
  }

  #start(): [ChildProcess, Promise<unknown>] {
    const child = spawn(...outsideTap(process.execPath, ['--import', 'tsx', childScript, String(this.#port), this.#manner]), { stdio: ['pipe', 'pipe', 'inherit'] })
    const { log, killed } = this.#ledger.open()
    createInterface(child.stdout).on('line', (line) => {
      const [event, job, time] = line.split(' ')
      if (time !== undefined) log(event as Event, Number(job), Number(time))
    })
    return [child, once(child, 'close').then(([code]) => {
      killed()
      return code as unknown
    })]
  }
}

async function stress(t: Test, dialect: 'kestrel' | 'darner'): Promise<void> {
  const sockets = new Set<Socket>()
  const watch = (message: unknown): void => {
    const { socket } = message as { readonly socket: Socket }
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }
  const server = await startQueueProcess({ dialect })
  const probe = new Client({ port: server.port })
  const jobs = probe.queue<number>('jobs', { codec: 'json' })
  for (let first = 0; first < JOBS; first += 1000) {
    await Promise.all(Array.from({ length: Math.min(1000, JOBS - first) }, (_, n) => jobs.put(first + n)))
  }
  const timers = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length

  subscribe('net.client.socket', watch)
  const ledger = new Ledger()
  const client = new Client({ port: server.port })
  const workers: Worker[] = MANNERS.map((manner) => startWorker(client, manner, ledger.open().log))
  const children = CHILDREN.map((manner) => new WorkerProcess(server.port, manner, ledger))

  let running = true
  const faults = { cut: 0, killedWorkers: 0, killedServers: 0 }
  const chaos = [
    repeat(100, async () => {
      const open = [...sockets]
      open[Math.floor(Math.random() * open.length)]?.destroy()
      faults.cut += 1
    }),
    repeat(2500, async () => {
      await children[Math.floor(Math.random() * children.length)]?.replace()
      faults.killedWorkers += 1
    }),
    repeat(4000, async () => {
      await server.restart()
      faults.killedServers += 1
    }),
  ]
  async function repeat(milliseconds: number, what: () => Promise<void>): Promise<void> {
    for (let pause = Math.min(milliseconds, 1000); running; pause = milliseconds * (0.5 + Math.random())) {
      await sleep(pause)
      if (running) await what()
    }
  }

  const began = performance.now()
  const heap: number[] = []
  const progress = (): number => ledger.sum('acked') / JOBS
  const deadline = began + 60_000 + JOBS * 10
  for (let left = JOBS; left > 0 && performance.now() < deadline; await sleep(100)) {
    if (progress() >= (heap.length + 1) * 0.3) {
      collectGarbage()
      heap.push(process.memoryUsage().heapUsed)
    }
    left = await jobs.stats().then((stats) => (stats.get('items') ?? 0) + (stats.get('open_transactions') ?? 0), (error: unknown) => {
      if (!(error instanceof MemcacheError)) throw error
      return JOBS
    })
  }
  running = false
  await Promise.all(chaos)
  const seconds = (performance.now() - began) / 1000

  await Promise.all(workers.map((worker) => worker.close()))
  t.strictSame(await Promise.all(children.map((child) => child.close())), children.map(() => 0), 'worker processes end by themselves')
  await client.close()
  unsubscribe('net.client.socket', watch)
  const stats = await jobs.stats()
  await probe.close()
  await server.close()

  const sums = Object.fromEntries((['got', 'acked', 'aborted', 'lost', 'doubt', 'killed'] as const).map((event) => [event, ledger.sum(event)]))
  t.comment(`${dialect}: ${JOBS} jobs in ${seconds.toFixed(1)} s, ${JSON.stringify(sums)}, ${JSON.stringify(faults)}, heap ${heap.map((bytes) => (bytes / 1e6).toFixed(1)).join(', ')} MB`)
  t.ok(faults.cut > 0 && faults.killedWorkers > 0 && faults.killedServers > 0, JSON.stringify(faults))

  t.strictSame([stats.get('items') ?? 0, stats.get('open_transactions') ?? 0], [0, 0], 'nothing is left, and nothing open')
  t.strictSame(ledger.where(({ got }) => got === 0), [], 'every job was seen')
  t.strictSame(ledger.where(({ acked, doubt, killed }) => acked + doubt + killed === 0), [], 'none is gone that nobody has acknowledged')
  t.strictSame(ledger.where(({ acked }) => acked > 1), [], 'none was acknowledged twice')
  t.strictSame(ledger.where(({ acked, ackedAt, abortedSince }) => acked === 1 && abortedSince > ackedAt), [], 'none came back behind its acknowledgement')
  t.strictSame(
    ledger.where(({ got, acked, aborted, lost, doubt, killed }) => got !== acked + aborted + lost + doubt + killed), [],
    'who has got a job has acknowledged it, given it back, or lost it to a fault',
  )
  for (const { counters } of workers) t.equal(counters.received, counters.acked + counters.aborted + counters.lost, JSON.stringify(counters))
  t.strictSame([...sockets].filter((socket) => !socket.destroyed), [], 'no socket is left')
  const left = process.getActiveResourcesInfo()
  t.ok(left.filter((kind) => kind === 'Timeout').length <= timers, `no timer is left: ${left}`)
  t.ok((heap.at(-1) ?? 0) - (heap[0] ?? 0) < 8_000_000, 'memory does not grow with the jobs')
}

t.test('no job is lost, and none comes twice without a fault', { timeout: 600_000 }, async (t) => {
  for (const dialect of ['kestrel', 'darner'] as const) await t.test(dialect, { timeout: 600_000 }, (t) => stress(t, dialect))
})

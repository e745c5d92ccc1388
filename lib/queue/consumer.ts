import { onAbort } from '../abort-watch.ts'
import { Backoff, pause } from './backoff.ts'
import { MemcacheClosedError, MemcacheServerError, MemcacheSocketError } from '../errors.ts'
import type { Job, Outcome } from './job.ts'
import { QueueReader, type QueueAddress } from './reader.ts'

/** How a consumer takes jobs. */
export interface ConsumeOptions {
  /** How long the server waits for a job before it says that there is none, in milliseconds. Default 1000. */
  readonly blockFor?: number | undefined
  /** How many jobs may be open at a time, on each server; each has a connection. Default 1. */
  readonly concurrency?: number | undefined
  /** `auto`: asking for the next job acknowledges the one before. Default `manual`: `job.ack()` does. */
  readonly ack?: 'manual' | 'auto' | undefined
  /** Aborting it is `close()`. */
  readonly signal?: AbortSignal | undefined
  /** Told of each fault of a server. The consumer waits a little, longer each time, and goes on. */
  readonly onFault?: ((fault: unknown) => void) | undefined
}

/** What has happened to jobs and on the way to them, in numbers that only grow. */
export interface QueueCounters {
  /** Jobs that were reserved. */
  readonly received: number
  readonly acked: number
  readonly aborted: number
  /** Jobs whose connection ended before the server confirmed what became of them. */
  readonly lost: number
  /** Reads that found no job. */
  readonly empty: number
  /** Reads that failed. */
  readonly faults: number
}

/** One server, and those of its readers that have nothing to do. */
interface Source<T> {
  readonly idle: QueueReader<T>[]
  readonly backoff: Backoff
  /** Reads under way, and pauses between them. */
  reading: number
}

type Next<T> = IteratorResult<Job<T>, undefined>

const DONE = { done: true, value: undefined } as const

/**
 * The jobs of a queue, one after the other, from one server or several. Nothing is read before it is asked for. A server
 * that is down is a fault and no empty queue: it is tried again and again, and slows no other one.
 */
export class Consumer<T = unknown> implements AsyncIterableIterator<Job<T>, undefined> {
  readonly #blockFor: number
  readonly #auto: boolean
  readonly #onFault: ConsumeOptions['onFault']
  readonly #sources: readonly Source<T>[]
  readonly #readers: QueueReader<T>[] = []
  readonly #counters = { received: 0, acked: 0, aborted: 0, lost: 0, empty: 0, faults: 0 }
  readonly #waiting: { resolve: (next: Next<T>) => void; reject: (reason: unknown) => void }[] = []
  /** Jobs that came when somebody else's had been quicker. */
  readonly #ready: { readonly job: Job<T>; readonly timer: NodeJS.Timeout }[] = []
  /** Jobs of which it is not known yet what becomes of them, and whose connection each of them needs. */
  readonly #unfinished = new Map<Job<T>, QueueReader<T>>()
  readonly #reading = new Set<QueueReader<T>>()
  readonly #ending = new AbortController()
  readonly #unwatch: (() => void) | undefined
  #latest: Job<T> | undefined
  #closing: Promise<void> | undefined
  #failure: unknown
  /** Called once, when a read or a job is done with. */
  readonly #onProgress: (() => void)[] = []

  constructor(addresses: readonly QueueAddress<T>[], options: ConsumeOptions) {
    const { blockFor = 1000, concurrency = 1, ack, signal, onFault } = options
    this.#blockFor = blockFor
    this.#auto = ack === 'auto'
    this.#onFault = onFault
    this.#sources = addresses.map((address) => this.#source(address, concurrency))
    if (signal?.aborted === true) void this.close()
    else this.#unwatch = signal && onAbort(signal, () => void this.close())
  }

  /** What has happened so far. */
  get counters(): QueueCounters {
    return { ...this.#counters }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /**
   * The next job; done, once the consumer is closed. Where every reader has an open job, it waits until one is settled.
   * @throws what is no passing fault: the server refuses the command, the client was closed.
   */
  next(): Promise<Next<T>> {
    if (this.#auto && this.#latest?.open === true) void this.#latest.ack()
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#closing !== undefined) return Promise.resolve(DONE)
    const ready = this.#takeReady()
    if (ready !== undefined) return Promise.resolve(this.#handOut(ready))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#read()
    })
  }

  /** What leaving a `for await` loop calls: open jobs go back to the queue. Resolves when all connections have ended. */
  async return(): Promise<Next<T>> {
    const closed = this.close()
    for (const job of this.#unfinished.keys()) if (job.open) void job.abort()
    await closed
    await this.settled()
    return DONE
  }

  /**
   * Takes no more jobs. Resolves when nothing is being read any more. A job that is open keeps its connection until it is
   * settled.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Resolves when no job is open any more. */
  settled(): Promise<void> {
    return this.#until(() => this.#unfinished.size === 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #close(): Promise<void> {
    this.#unwatch?.()
    this.#ending.abort()
    for (const { resolve } of this.#waiting.splice(0)) resolve(DONE)
    for (let job = this.#takeReady(); job !== undefined; job = this.#takeReady()) void job.abort()
    for (const reader of this.#readers) this.#endIfIdle(reader)
    await this.#until(() => this.#reading.size === 0)
  }

  async #until(reached: () => boolean): Promise<void> {
    while (!reached()) await new Promise<void>((resolve) => this.#onProgress.push(resolve))
  }

  #source(address: QueueAddress<T>, concurrency: number): Source<T> {
    const source: Source<T> = { idle: [], backoff: new Backoff(), reading: 0 }
    for (let count = 0; count < concurrency; count += 1) {
      const reader = new QueueReader<T>(address)
      this.#readers.push(reader)
      source.idle.push(reader)
    }
    return source
  }

  /** Begins as many reads as there are jobs asked for, on each server: which of them has one is not known before. */
  #read(): void {
    for (const source of this.#sources) {
      while (source.reading < this.#waiting.length) {
        const reader = source.idle.pop() // the one that was released last, whose acknowledgement the read can carry
        if (reader === undefined) break
        void this.#readOnce(source, reader)
      }
    }
  }

  async #readOnce(source: Source<T>, reader: QueueReader<T>): Promise<void> {
    source.reading += 1
    this.#reading.add(reader)
    let idle = true
    try {
      idle = !(await this.#take(source, reader))
    } catch (error) {
      this.#fail(error)
    } finally {
      source.reading -= 1
      this.#reading.delete(reader)
      if (idle) source.idle.push(reader)
      if (this.#closing !== undefined) this.#endIfIdle(reader)
      this.#progressed()
      this.#read()
    }
  }

  /** Whether there was a job. Lasts until the next read may follow: after a fault, and after an END before its time, not at once. */
  async #take(source: Source<T>, reader: QueueReader<T>): Promise<boolean> {
    const began = performance.now()
    let job: Job<T> | undefined
    const released = (): void => {
      source.idle.push(reader)
      this.#read()
    }
    try {
      job = await reader.take(this.#blockFor, this.#ending.signal, { released, finished: (outcome) => this.#finish(job, outcome) })
      source.backoff.reset()
      if (job !== undefined) this.#receive(job, reader)
      else {
        this.#counters.empty += 1
        await pause(this.#blockFor - (performance.now() - began), this.#ending.signal)
      }
      return job !== undefined
    } catch (error) {
      if (this.#ending.signal.aborted) return false
      if (!isPassing(error)) throw error
      this.#counters.faults += 1
      // In a turn of its own, so that what it throws harms nobody else.
      if (this.#onFault !== undefined) process.nextTick(this.#onFault, error)
      await pause(source.backoff.next(), this.#ending.signal)
      return false
    }
  }

  #receive(job: Job<T>, reader: QueueReader<T>): void {
    this.#counters.received += 1
    if (!job.open) return // lost on its way here
    this.#unfinished.set(job, reader)
    const waiter = this.#waiting.shift()
    if (waiter !== undefined) return waiter.resolve(this.#handOut(job))
    if (this.#closing !== undefined) return void job.abort()
    // If nobody asks for it soon, others may have it.
    const timer = setTimeout(() => {
      this.#ready.splice(this.#ready.findIndex((each) => each.job === job), 1)
      void job.abort()
    }, this.#blockFor)
    this.#ready.push({ job, timer })
  }

  #takeReady(): Job<T> | undefined {
    for (let ready = this.#ready.shift(); ready !== undefined; ready = this.#ready.shift()) {
      clearTimeout(ready.timer)
      if (ready.job.open) return ready.job // else it was lost while it waited
    }
    return undefined
  }

  #handOut(job: Job<T>): Next<T> {
    this.#latest = job
    return { done: false, value: job }
  }

  #finish(job: Job<T> | undefined, outcome: Outcome): void {
    this.#counters[outcome] += 1
    const reader = job && this.#unfinished.get(job)
    if (job === undefined || reader === undefined) return
    this.#unfinished.delete(job)
    if (this.#closing !== undefined) this.#endIfIdle(reader)
    this.#progressed()
  }

  /** Ends a reader's connection, unless something still depends on it. */
  #endIfIdle(reader: QueueReader<T>): void {
    if (this.#reading.has(reader) || [...this.#unfinished.values()].includes(reader)) return
    reader.end(new MemcacheClosedError('the consumer was closed'))
  }

  #progressed(): void {
    for (const told of this.#onProgress.splice(0)) told()
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    for (const { reject } of this.#waiting.splice(0)) reject(error)
    void this.close()
  }
}

/** Whether it may have passed the next time: the server is gone, or has trouble of its own. */
function isPassing(error: unknown): boolean {
  if (error instanceof MemcacheServerError) return true
  return error instanceof MemcacheSocketError && !(error instanceof MemcacheClosedError)
}

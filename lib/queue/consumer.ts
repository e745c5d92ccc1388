import { onAbort } from '../abort-watch.ts'
import { MemcacheClosedError, MemcacheServerError, MemcacheSocketError } from '../errors.ts'
import { Backoff, pause } from './backoff.ts'
import type { Job } from './job.ts'
import { QueueReader, type QueueAddress } from './reader.ts'
import type { Outcome } from './reservation.ts'

/** Milliseconds that one of several servers has for its answer before the others are asked, too. */
const PATIENCE = 10

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

/** One server, and those of its readers that are free to take a job. */
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
  /** In the order in which it is their turn. */
  readonly #sources: Source<T>[]
  readonly #readers: QueueReader<T>[] = []
  readonly #counters = { received: 0, acked: 0, aborted: 0, lost: 0, empty: 0, faults: 0 }
  readonly #waiting: { resolve: (next: Next<T> | Promise<Next<T>>) => void; reject: (reason: unknown) => void }[] = []
  /** Jobs that came when another server had been quicker. */
  readonly #ready: { readonly job: Job<T>; readonly timer: NodeJS.Timeout }[] = []
  readonly #ending = new AbortController()
  readonly #unwatch: (() => void) | undefined
  #patience: NodeJS.Timeout | undefined
  #latest: Job<T> | undefined
  #closed: Promise<void> | undefined
  #ended: Promise<unknown> | undefined
  #failure: { readonly error: unknown } | undefined

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

  /** Aborted as soon as no more jobs are taken: by `close()`, by leaving the loop, by the option `signal`, by a failure. */
  get closing(): AbortSignal {
    return this.#ending.signal
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /**
   * The next job; done, once the consumer is closed and the server has confirmed what was said about the jobs. Where every
   * reader has an open job, it waits until one is settled.
   * @throws what is no passing fault: the server refuses the command, the client was closed.
   */
  next(): Promise<Next<T>> {
    this.#acknowledgeLatest()
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error)
    if (this.closing.aborted) return this.#done()
    const ready = this.#takeReady()
    if (ready !== undefined) return Promise.resolve(this.#handOut(ready))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#ask()
    })
  }

  /**
   * What leaving a `for await` loop calls: `close()`, and open jobs go back to the queue. Resolves when all connections have
   * ended.
   */
  async return(): Promise<Next<T>> {
    const closed = this.close()
    for (const reader of this.#readers) reader.giveBack()
    await closed
    await this.#ended
    return DONE
  }

  /**
   * Takes no more jobs. Resolves when all connections have ended but those of open jobs, which each keep theirs until they
   * are settled. A read that carries an acknowledgement has to be answered before.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #close(): Promise<void> {
    this.#unwatch?.()
    clearTimeout(this.#patience)
    this.#ending.abort()
    for (const { resolve } of this.#waiting.splice(0)) resolve(this.#done())
    for (let job = this.#takeReady(); job !== undefined; job = this.#takeReady()) void job.abort()
    const readers = this.#readers.map((reader) => ({ open: reader.open, ended: reader.retire() }))
    this.#ended = Promise.all(readers.map(({ ended }) => ended))
    await Promise.all(readers.map(({ open, ended }) => (open ? undefined : ended)))
  }

  /** Not before what was said about jobs has arrived: who has left the loop may end the connections next. */
  async #done(): Promise<Next<T>> {
    await Promise.all(this.#readers.map((reader) => reader.settling))
    return DONE
  }

  #source(address: QueueAddress<T>, concurrency: number): Source<T> {
    const source: Source<T> = { idle: [], backoff: new Backoff(), reading: 0 }
    for (let count = 0; count < concurrency; count += 1) {
      const reader = new QueueReader<T>(address, {
        released: () => {
          source.idle.push(reader)
          this.#askAll()
        },
        finished: (outcome: Outcome) => void (this.#counters[outcome] += 1),
      })
      this.#readers.push(reader)
      source.idle.push(reader)
    }
    return source
  }

  /** Asks the server whose turn it is. If it has no job at once, all are asked: which of them has one is not known before. */
  #ask(): void {
    const source = this.#sources.find((each) => this.#mayRead(each))
    if (source !== undefined) {
      this.#sources.push(...this.#sources.splice(this.#sources.indexOf(source), 1))
      this.#read(source)
    }
    if (this.#sources.length > 1) this.#patience ??= setTimeout(() => this.#askAll(), PATIENCE)
  }

  /** Begins as many reads as there are jobs asked for, on each server. */
  #askAll(): void {
    clearTimeout(this.#patience)
    this.#patience = undefined
    for (const source of this.#sources) while (this.#mayRead(source)) this.#read(source)
  }

  #mayRead({ reading, idle }: Source<T>): boolean {
    return reading < this.#waiting.length && idle.length > 0
  }

  #read(source: Source<T>): void {
    const reader = source.idle.pop() // the one that was released last, whose acknowledgement the read can carry
    if (reader !== undefined) void this.#readOnce(source, reader)
  }

  async #readOnce(source: Source<T>, reader: QueueReader<T>): Promise<void> {
    source.reading += 1
    let job: Job<T> | undefined
    try {
      job = await this.#take(source, reader)
    } catch (error) {
      this.#fail(error)
    }
    source.reading -= 1
    if (job === undefined) source.idle.push(reader)
    else this.#counters.received += 1
    if (job?.open === true) this.#receive(job)
    else this.#askAll() // none, or lost on its way here
  }

  /** A job, if there is one. Lasts until the next read may follow: after a fault, and after an END before its time, not at once. */
  async #take(source: Source<T>, reader: QueueReader<T>): Promise<Job<T> | undefined> {
    const began = performance.now()
    try {
      const job = await reader.take(this.#blockFor, this.closing)
      source.backoff.reset()
      if (job !== undefined) return job
      this.#counters.empty += 1
      await pause(this.#blockFor - (performance.now() - began), this.closing)
    } catch (error) {
      if (this.closing.aborted) return undefined
      if (!isPassing(error)) throw error
      this.#counters.faults += 1
      // In a turn of its own, so that what it throws harms nobody else.
      if (this.#onFault !== undefined) process.nextTick(this.#onFault, error)
      await pause(source.backoff.next(), this.closing)
    }
    return undefined
  }

  #receive(job: Job<T>): void {
    const waiter = this.#waiting.shift()
    if (waiter !== undefined) return waiter.resolve(this.#handOut(job))
    if (this.closing.aborted) return void job.abort()
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
    this.#acknowledgeLatest() // who asked twice at once asked for this one after that one
    this.#latest = job
    return { done: false, value: job }
  }

  #acknowledgeLatest(): void {
    if (this.#auto && this.#latest?.open === true) void this.#latest.ack()
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    for (const { reject } of this.#waiting.splice(0)) reject(error)
    void this.close()
  }
}

/** Whether it may have passed the next time: the server is gone, or has trouble of its own. */
function isPassing(error: unknown): boolean {
  if (error instanceof MemcacheServerError) return true
  return error instanceof MemcacheSocketError && !(error instanceof MemcacheClosedError)
}

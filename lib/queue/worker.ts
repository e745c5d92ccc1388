import { LONGEST_TIMEOUT } from '../alarm.ts'
import { MemcacheValueError } from '../errors.ts'
import { show } from '../show.ts'
import { pause } from './backoff.ts'
import type { Consumer, QueueCounters } from './consumer.ts'
import type { Job } from './job.ts'

/** What becomes of a job whose handler fails for good: back to the head of the queue, to its end, or away. */
export type OnError = 'abort' | 'retry' | 'ack'

/** How a worker runs its handler. */
export interface WorkOptions {
  /** Default `abort`: the job goes back to the head of the queue, and is the next one that somebody gets. */
  readonly onError?: OnError | undefined
  /** How many times the handler is called again for the same job, which stays reserved, before `onError` applies. Default 0. */
  readonly retries?: number | undefined
  /** Where a job goes for which all that has failed, in place of what `onError` says. */
  readonly deadLetter?: string | undefined
  /** Milliseconds to wait after the handler failed, by how often it did for this job. Default 100, 200, 400 … up to 10,000. */
  readonly backoff?: number | ((failures: number) => number) | undefined
  /** Told of each failure: of the handler with its job, of a server without. */
  readonly onFault?: ((fault: unknown, job?: Job) => void) | undefined
}

/** Does a job. The signal aborts when the job is no longer reserved for this process. */
export type Handler<T> = (job: Job<T>, context: { readonly signal: AbortSignal }) => unknown

/** A worker's counters. */
export interface WorkCounters extends QueueCounters {
  /** Jobs whose handler succeeded. */
  readonly done: number
  /** Calls of the handler that failed. */
  readonly failures: number
  /** Jobs that were put to the end of their queue. */
  readonly retried: number
  /** Jobs that were put to the dead letters. */
  readonly buried: number
}

const LONGEST_BACKOFF = 10_000

/** Calls a handler for the jobs of a consumer, several at a time. Asking for the next job acknowledges the one before, in one command. */
export class QueueWorker<T = unknown> {
  /** Resolves when the worker is closed; rejects when it cannot go on, as when the client was closed. Nobody has to wait for it. */
  readonly finished: Promise<void>
  readonly #consumer: Consumer<T>
  readonly #handler: Handler<T>
  readonly #options: WorkOptions
  readonly #counters = { done: 0, failures: 0, retried: 0, buried: 0 }

  constructor(consumer: Consumer<T>, handler: Handler<T>, concurrency: number, options: WorkOptions) {
    this.#consumer = consumer
    this.#handler = handler
    this.#options = options
    this.finished = this.#runAll(concurrency)
    this.finished.catch(() => {})
  }

  /** What has happened so far. */
  get counters(): WorkCounters {
    return { ...this.#consumer.counters, ...this.#counters }
  }

  /** Takes no more jobs. Resolves when the handlers of those that are open have ended and the connections are closed. */
  async close(): Promise<void> {
    void this.#consumer.close()
    await this.finished.catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #runAll(concurrency: number): Promise<void> {
    const ends = await Promise.allSettled(Array.from({ length: concurrency }, () => this.#run()))
    await this.#consumer.return()
    for (const end of ends) if (end.status === 'rejected') throw end.reason
  }

  async #run(): Promise<void> {
    for (;;) {
      const { done, value: job } = await this.#consumer.next()
      if (done === true) return
      await this.#work(job)
    }
  }

  async #work(job: Job<T>): Promise<void> {
    const { retries = 0 } = this.#options
    const { closing } = this.#consumer
    for (let failures = 1; ; failures += 1) {
      if (await this.#succeeds(job)) return void job.ack() // not awaited: it travels with the next read
      const backoff = this.#backoff(failures, job)
      if (failures > retries) {
        const gone = await this.#giveUp(job)
        return gone ? undefined : pause(backoff, closing)
      }
      await pause(backoff, closing, job.signal)
      if (closing.aborted) return job.abort().catch(() => {}) // it was only interrupted, and goes back
      if (!job.open) return // lost, or settled by the handler itself
    }
  }

  async #succeeds(job: Job<T>): Promise<boolean> {
    try {
      await this.#handler(job, { signal: job.signal })
      this.#counters.done += 1
      return true
    } catch (error) {
      this.#counters.failures += 1
      this.#report(error, job)
      return false
    }
  }

  /** Does what the options say about a job that cannot be done. Whether it is gone: else it may well be the next one again. */
  async #giveUp(job: Job<T>): Promise<boolean> {
    const { onError = 'abort', deadLetter } = this.#options
    if (!job.open) return false // settled by the handler itself
    const to = deadLetter ?? (onError === 'retry' ? job.queue : undefined)
    try {
      if (to === undefined && onError === 'ack') await job.ack()
      if (to !== undefined && (await job.retry({ to }))) this.#counters[deadLetter === undefined ? 'retried' : 'buried'] += 1
    } catch (error) {
      this.#report(error, job)
    }
    if (!job.open) return to !== job.queue
    await job.abort().catch(() => {}) // as asked for, or because there was no room where it should go
    return false
  }

  /** In a turn of its own, so that what it throws harms nobody else. */
  #report(fault: unknown, job: Job<T>): void {
    if (this.#options.onFault !== undefined) process.nextTick(this.#options.onFault, fault, job)
  }

  /** Milliseconds. What is wrong with the caller's own function is a fault like others, and must not end the work. */
  #backoff(failures: number, job: Job<T>): number {
    const { backoff } = this.#options
    const usual = Math.min(100 * 2 ** (failures - 1), LONGEST_BACKOFF)
    if (typeof backoff !== 'function') return backoff ?? usual
    try {
      const milliseconds = backoff(failures)
      if (milliseconds >= 0) return Math.min(milliseconds, LONGEST_TIMEOUT)
      throw new MemcacheValueError(`"backoff" gives milliseconds, not ${show(milliseconds)}`)
    } catch (error) {
      this.#report(error, job)
      return usual
    }
  }
}

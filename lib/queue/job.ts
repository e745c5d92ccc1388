/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { complete, MemcacheReservationLostError, MemcacheValueError, type MemcacheError } from '../errors.ts'
import { decodeJob, type QueueCodec } from './codec.ts'

/** `acked`, `aborted`: the server has said so. `lost`: the connection ended before it did. */
export type Outcome = 'acked' | 'aborted' | 'lost'

/** What a job tells its reader, each once. */
export interface JobEvents {
  /** It has been settled, or will be with what is sent next: the reader may take another one. */
  readonly released: () => void
  /** What became of it is known. */
  readonly finished: (outcome: Outcome) => void
}

/** What a job needs of the reader that took it. */
export interface Reservation extends JobEvents {
  readonly queue: string
  readonly server: string
  /** Tells the server on the connection of the reservation: `close` acknowledges, `abort` gives the item back. */
  readonly settle: (verb: Verb) => Promise<void>
  /** Puts bytes into a queue, on the same connection; `false` = it is full. */
  readonly put: (queue: string, bytes: Buffer) => Promise<boolean>
}

type Verb = 'close' | 'abort'

/** An acknowledgement that has not left yet. Whoever takes it over sees to it that it is done. */
export interface DeferredAck {
  resolve(): void
  reject(reason: unknown): void
}

/**
 * An item of a queue, reserved for this process on one connection: until it is acknowledged the server keeps it, and
 * gives it to somebody else when the connection ends.
 */
export class Job<T = unknown> {
  /** As they came. */
  readonly bytes: Buffer
  #state: 'open' | 'settling' | Outcome = 'open'
  readonly #codec: QueueCodec<T>
  readonly #reservation: Reservation
  readonly #lost = new AbortController()
  #deferred: DeferredAck | undefined
  #settled: { readonly verb: Verb; readonly done: Promise<void> } | undefined

  constructor(bytes: Buffer, codec: QueueCodec<T>, reservation: Reservation) {
    this.bytes = bytes
    this.#codec = codec
    this.#reservation = reservation
  }

  /** The item, decoded anew each time. @throws MemcacheValueError for bytes that the codec cannot read. */
  get value(): T {
    return decodeJob(this.#codec, this.bytes, this.#reservation.queue)
  }

  /** The queue that it came from. */
  get queue(): string {
    return this.#reservation.queue
  }

  /** The server that it came from, as errors name it. */
  get server(): string {
    return this.#reservation.server
  }

  /** Whether nothing has been said about it yet. */
  get open(): boolean {
    return this.#state === 'open'
  }

  /** Aborts when the reservation is lost before the job is settled: somebody else will do it, or does it already. */
  get signal(): AbortSignal {
    return this.#lost.signal
  }

  /**
   * The job is done: the server forgets it. Resolves when the server has said so. It leaves at the end of this turn; where the
   * next job is asked for in the same turn, both go in one command. Wire: `get <queue>/close`.
   * @throws MemcacheReservationLostError when the connection was lost before: the job may be done again.
   */
  ack(): Promise<void> {
    return this.#settle('close', () => {
      const sent = new Promise<void>((resolve, reject) => (this.#deferred = { resolve, reject }))
      process.nextTick(() => {
        const deferred = this.takeAck()
        if (deferred !== undefined) this.#reservation.settle('close').then(deferred.resolve, deferred.reject)
      })
      return sent
    })
  }

  /** Gives the job back, to the head of the queue. Wire: `get <queue>/abort`. @throws MemcacheReservationLostError as `ack`. */
  abort(): Promise<void> {
    return this.#settle('abort', () => this.#reservation.settle('abort'))
  }

  /**
   * Puts the item to the end of its queue, or of another one, and then acknowledges it: it may be there twice after a fault, never
   * not at all. `false` = that queue is full, and the job is still open. Wire: `set <queue>`, then `get <queue>/close`.
   */
  async retry({ to = this.#reservation.queue }: { readonly to?: string } = {}): Promise<boolean> {
    this.#check()
    if (!(await this.#reservation.put(to, this.bytes))) return false
    await this.ack()
    return true
  }

  /** For the reader: when it is known what became of the job, if that is under way. */
  get settlement(): Promise<void> | undefined {
    return this.#settled?.done
  }

  /** For the reader, whose next command can carry it: the acknowledgement that has not left yet. */
  takeAck(): DeferredAck | undefined {
    const deferred = this.#deferred
    this.#deferred = undefined
    return deferred
  }

  /** For the reader: the connection has ended. */
  lose(cause: MemcacheError): void {
    const before = this.#state
    if (before !== 'open' && before !== 'settling') return
    const error = this.#lostError(cause)
    this.#state = 'lost'
    this.takeAck()?.reject(error)
    this.#lost.abort(error)
    if (before === 'open') this.#reservation.released()
    this.#reservation.finished('lost')
  }

  #settle(verb: Verb, send: () => Promise<void>): Promise<void> {
    if (this.#settled?.verb === verb) return this.#settled.done
    try {
      this.#check()
    } catch (error) {
      return Promise.reject(error)
    }
    this.#state = 'settling'
    const said = (): void => {
      if (this.#state === 'lost') return
      this.#state = verb === 'close' ? 'acked' : 'aborted'
      this.#reservation.finished(this.#state)
    }
    const done = send().then(said, (error: MemcacheError) => {
      this.lose(error)
      throw this.#lost.signal.reason
    })
    // Who does not wait for it learns of the loss by the signal and the counters; no process ends for it.
    done.catch(() => {})
    this.#settled = { verb, done }
    this.#reservation.released()
    return done
  }

  #check(): void {
    if (this.#state === 'lost') throw this.#lost.signal.reason
    if (this.#state !== 'open') throw new MemcacheValueError(`the job is ${this.#settled?.verb === 'abort' ? 'aborted' : 'acknowledged'} already`)
  }

  #lostError(cause: MemcacheError): MemcacheReservationLostError {
    const error = new MemcacheReservationLostError(`the job of ${JSON.stringify(this.queue)} is no longer reserved: ${cause.message}`, { cause, sent: true })
    return complete(error, { server: this.server })
  }
}

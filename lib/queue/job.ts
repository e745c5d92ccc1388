/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { NO_OPTIONS } from '../call-options.ts'
import { decodeJob, type QueueCodec } from './codec.ts'
import type { Reservation } from './reservation.ts'

/**
 * An item of a queue, reserved for this process on one connection: until it is acknowledged the server keeps it, and
 * gives it to somebody else when the connection ends.
 */
export class Job<T = unknown> {
  readonly #reservation: Reservation
  readonly #codec: QueueCodec<T>

  constructor(reservation: Reservation, codec: QueueCodec<T>) {
    this.#reservation = reservation
    this.#codec = codec
  }

  /** The item, decoded anew each time. @throws MemcacheValueError for bytes that the codec cannot read. */
  get value(): T {
    return decodeJob(this.#codec, this.bytes, this.queue)
  }

  /** The item as it came. */
  get bytes(): Buffer {
    return this.#reservation.bytes
  }

  /** The queue that it came from. */
  get queue(): string {
    return this.#reservation.holder.queue
  }

  /** The server that it came from, as errors name it. */
  get server(): string {
    return this.#reservation.holder.server
  }

  /** Whether it is still reserved and nothing has been said about it yet. */
  get open(): boolean {
    return this.#reservation.open
  }

  /** Aborts when the reservation is lost before the job is settled: somebody else will do it, or does it already. */
  get signal(): AbortSignal {
    return this.#reservation.signal
  }

  /**
   * The job is done: the server forgets it. Resolves when the server has said so. It leaves at the end of this turn; where the
   * next job is asked for in the same turn, both go in one command, and it resolves with the reply to that. Wire: `get <queue>/close`.
   * @throws MemcacheReservationLostError when the connection was lost before: the job may be done again.
   */
  ack(): Promise<void> {
    return this.#reservation.ack()
  }

  /** Gives the job back, to the head of the queue. Wire: `get <queue>/abort`. @throws MemcacheReservationLostError as `ack`. */
  abort(): Promise<void> {
    return this.#reservation.abort()
  }

  /**
   * Puts the item to the end of its queue, or of another one, and then acknowledges it: it may be there twice after a fault, never
   * not at all. `false` = that queue is full, and the job is still open. Wire: `set <queue>`, then `get <queue>/close`.
   */
  async retry({ to = this.queue }: { readonly to?: string | undefined } = NO_OPTIONS): Promise<boolean> {
    return this.#reservation.retry(to)
  }
}

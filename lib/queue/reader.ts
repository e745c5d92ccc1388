/// <reference types="node" preserve="true" />
import { onAbort } from '../abort-watch.ts'
import type { Item, Key } from '../commands.ts'
import { MemcacheClosedError, MemcacheError, MemcacheProtocolError, MemcacheSocketError } from '../errors.ts'
import { showThrown } from '../show.ts'
import type { QueueCodec } from './codec.ts'
import { Job } from './job.ts'
import type { Link, Links } from './links.ts'
import { Reservation, type Holder, type ReservationEvents, type Verb } from './reservation.ts'

/** A queue of one server, and how to reach it. */
export interface QueueAddress<T> {
  /** As the caller knows it. */
  readonly name: string
  /** The wire form of a queue's name, prefix included. @throws MemcacheKeyError for what is no name of a queue. */
  readonly keyOf: (name: string) => Key
  /** The server's name in errors. */
  readonly server: string
  readonly codec: QueueCodec<T>
  readonly links: Links
  /** The most bytes that a value may have. */
  readonly maxValueLength: number
  /** How many milliseconds later than it was asked to a server may answer that waits. */
  readonly slack: number
}

/**
 * Takes items of one queue, one at a time, on a connection of its own: that is what a server ties a reservation to. A
 * connection that is lost takes its reservation along; nothing about it is ever said on another one.
 */
export class QueueReader<T> {
  readonly #address: QueueAddress<T>
  readonly #events: ReservationEvents
  #link: Link | undefined
  /** The latest one. The next is taken when this one is released. */
  #reservation: Reservation | undefined
  #reading: Promise<unknown> | undefined

  constructor(address: QueueAddress<T>, events: ReservationEvents) {
    this.#address = address
    this.#events = events
  }

  /**
   * Reserves the next item, and acknowledges the one before if that has not been said yet; `undefined` = none came within
   * `blockFor` milliseconds. Aborted, it gives up the connection, so that the server takes back what it may just have given;
   * but not before it is known what became of the item before.
   */
  take(blockFor: number, signal: AbortSignal): Promise<Job<T> | undefined> {
    const taken = this.#take(blockFor, signal)
    this.#reading = taken.catch(() => {})
    return taken
  }

  /** Whether it has an item about which nothing has been said yet. */
  get open(): boolean {
    return this.#reservation?.open === true
  }

  /** Resolves when it is known what became of the item about which something was said last. */
  get settling(): Promise<void> | undefined {
    return this.#reservation?.settling
  }

  /** Gives back an item that is open. */
  giveBack(): void {
    if (this.open) void this.#reservation?.abort()
  }

  /** Ends the connection as soon as nothing depends on it any more, and resolves then. */
  async retire(): Promise<void> {
    await this.#reading
    await this.#reservation?.settled
    await this.#end(new MemcacheClosedError('the consumer was closed'))
  }

  /** Wire: `get <queue>/t=<milliseconds>[/close]/open`. */
  async #take(blockFor: number, signal: AbortSignal): Promise<Job<T> | undefined> {
    const { codec, server, slack } = this.#address
    const before = this.#reservation
    const ack = before?.takeAck()
    let reading = true
    const unwatch = onAbort(signal, async () => {
      await before?.settled
      if (reading) await this.#end(new MemcacheClosedError('the wait for a job was broken off'))
    })
    try {
      const link = (this.#link ??= this.#connect())
      const item = await this.#get(link, `/t=${blockFor}${ack === undefined ? '' : '/close'}/open`, blockFor + slack)
      ack?.resolve()
      if (link !== this.#link) throw new MemcacheSocketError('the connection has ended, and with it the reservation', { server, sent: true })
      this.#reservation = item && new Reservation(item.value, this.#holder(link))
      return this.#reservation && new Job(this.#reservation, codec)
    } catch (error) {
      const fault = faultOf(error)
      ack?.reject(fault)
      void this.#end(fault)
      throw error
    } finally {
      reading = false
      unwatch()
    }
  }

  /** Ends the connection. An item that is not settled is lost, which means that it goes back to the queue. */
  async #end(reason: MemcacheError): Promise<void> {
    const link = this.#link
    const reservation = this.#reservation
    this.#link = undefined
    this.#reservation = undefined
    const ended = link?.end(reason)
    reservation?.lose(reason)
    await ended
  }

  #connect(): Link {
    const link = this.#address.links.open((cause) => {
      if (link === this.#link) void this.#end(cause)
    })
    return link
  }

  #get(link: Link, options: string, timeout?: number): Promise<Item | undefined> {
    const { name, keyOf } = this.#address
    return link.execute({ op: 'get', key: keyOf(name) + options, cas: false }, { timeout })
  }

  #holder(link: Link): Holder {
    const { name: queue, server, keyOf } = this.#address
    const settle = async (verb: Verb): Promise<void> => {
      try {
        const item = await this.#get(link, `/${verb}`)
        if (item !== undefined) throw new MemcacheProtocolError(`the reply to "${verb}" is an item`, { server, sent: true })
      } catch (error) {
        const fault = faultOf(error)
        if (link === this.#link) void this.#end(fault)
        throw fault
      }
    }
    const put: Holder['put'] = async (to, value) => {
      const status = await link.execute({ op: 'store', mode: 'set', key: keyOf(to), item: { value, flags: 0 }, expires: 0 })
      return status === 'stored'
    }
    return { queue, server, settle, put, ...this.#events }
  }
}

/** An error of ours, whatever a user's layer may have thrown. */
function faultOf(error: unknown): MemcacheError {
  if (error instanceof MemcacheError) return error
  return new MemcacheSocketError(`a layer has failed: ${showThrown(error)}`, { cause: error, sent: true })
}

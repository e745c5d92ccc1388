/// <reference types="node" preserve="true" />
import { onAbort } from '../abort-watch.ts'
import type { Item, Key } from '../commands.ts'
import { MemcacheClosedError, MemcacheProtocolError, type MemcacheError } from '../errors.ts'
import { Job, type JobEvents, type Reservation } from './job.ts'
import type { Link, Links } from './links.ts'
import type { QueueCodec } from './codec.ts'

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
  /** Milliseconds until a reply has to be there, the time that the server was asked to wait not counted. */
  readonly timeout: number
}

/**
 * Takes items of one queue, one at a time, on a connection of its own: that is what a server ties a reservation to. A
 * connection that is lost takes its reservation along; nothing about it is ever said on another one.
 */
export class QueueReader<T> {
  readonly #address: QueueAddress<T>
  readonly #key: Key
  #link: Link | undefined
  #job: Job<T> | undefined

  constructor(address: QueueAddress<T>) {
    this.#address = address
    this.#key = address.keyOf(address.name)
  }

  /**
   * Reserves the next item, and acknowledges the one before if that has not been said yet; `undefined` = none came within
   * `blockFor` milliseconds. Aborted, it gives up the connection, so that the server takes back what it may just have given;
   * but not before the acknowledgement of the job before is confirmed.
   * Wire: `get <queue>/t=<milliseconds>[/close]/open`.
   */
  async take(blockFor: number, signal: AbortSignal, events: JobEvents): Promise<Job<T> | undefined> {
    const before = this.#job
    const ack = before?.takeAck()
    let reading = true
    const unwatch = onAbort(signal, async () => {
      await before?.settlement?.catch(() => {})
      if (reading) this.end(new MemcacheClosedError('the wait for a job was broken off'))
    })
    try {
      const link = (this.#link ??= this.#connect())
      const item = await this.#get(link, `${wait(blockFor)}${ack === undefined ? '' : '/close'}/open`, blockFor + this.#address.timeout)
      ack?.resolve()
      if (link !== this.#link) throw new MemcacheClosedError('the connection has ended, and with it the reservation')
      this.#job = item && new Job(item.value, this.#address.codec, { ...this.#reservation(link), ...events })
      return this.#job
    } catch (error) {
      ack?.reject(error)
      this.end(error as MemcacheError)
      throw error
    } finally {
      reading = false
      unwatch()
    }
  }

  /** Takes the next item for good. Wire: `get <queue>/t=<milliseconds>`. */
  pop(blockFor: number, timeout: number): Promise<Item | undefined> {
    return this.#get((this.#link ??= this.#connect()), wait(blockFor), blockFor + timeout)
  }

  /** Ends the connection. An open item goes back to the queue. */
  end(reason: MemcacheError): void {
    const link = this.#link
    const job = this.#job
    this.#link = undefined
    this.#job = undefined
    link?.end(reason)
    job?.lose(reason)
  }

  #connect(): Link {
    const link = this.#address.links.open((cause) => {
      if (link === this.#link) this.end(cause)
    })
    return link
  }

  #get(link: Link, options: string, timeout?: number): Promise<Item | undefined> {
    return link.execute({ op: 'get', key: this.#key + options, cas: false }, { timeout })
  }

  #reservation(link: Link): Omit<Reservation, keyof JobEvents> {
    const { name, server, keyOf } = this.#address
    return {
      queue: name,
      server,
      settle: async (verb) => {
        try {
          const item = await this.#get(link, `/${verb}`)
          if (item !== undefined) throw new MemcacheProtocolError(`the reply to "${verb}" is an item`, { server, sent: true })
        } catch (error) {
          if (link === this.#link) this.end(error as MemcacheError)
          throw error
        }
      },
      put: async (queue, value) => {
        const key = keyOf(queue)
        const status = await link.execute({ op: 'store', mode: 'set', key, item: { value, flags: 0 }, expires: 0 })
        return status === 'stored'
      },
    }
  }
}

/** The option with which a server waits for an item. Without it, it says at once that there is none. */
function wait(blockFor: number): string {
  return blockFor > 0 ? `/t=${blockFor}` : ''
}

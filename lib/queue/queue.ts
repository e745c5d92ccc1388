/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { NO_OPTIONS } from '../call-options.ts'
import type { Caller } from '../caller.ts'
import type { CallOptions, Item, Request } from '../commands.ts'
import { isStored, same } from '../results.ts'
import { pause } from './backoff.ts'
import { decodeJob, encodeJob } from './codec.ts'
import { Consumer, type ConsumeOptions } from './consumer.ts'
import { checkConsume, checkGet, checkWork, queueExpiry, type ProcessOptions, type QueueGetOptions, type QueuePutOptions } from './options.ts'
import type { QueueAddress } from './reader.ts'
import { queueStats } from './stats.ts'
import { QueueWorker, type Handler } from './worker.ts'

/**
 * A queue of a kestrel, a darner, or of another server of their kind. Faults are never taken for an empty queue, whatever
 * the client's `errorAsMiss` says. Reading has connections of its own, which need to lead to the server itself: behind a
 * proxy, reservations get mixed up.
 */
export class Queue<T = Buffer> {
  readonly #address: QueueAddress<T>
  readonly #caller: Caller

  constructor(address: QueueAddress<T>, caller: Caller) {
    address.keyOf(address.name)
    this.#address = address
    this.#caller = caller
  }

  get name(): string {
    return this.#address.name
  }

  /** Puts a value to the end; `false` = the queue is full. kestrel drops it when `ttl` is over. Wire: `set`, flags 0. */
  put(value: T, options?: QueuePutOptions): Promise<boolean> {
    const { codec, maxValueLength } = this.#address
    const build = (): Request<'store'> => {
      const item = { value: encodeJob(codec, value, maxValueLength), flags: 0 }
      return { op: 'store', mode: 'set', key: this.#key, item, expires: queueExpiry(options) }
    }
    return this.#caller.call('put', options, build, isStored)
  }

  /**
   * Takes the first value for good, at most once: what is lost on its way from the server is lost. `undefined` = there was
   * none for `blockFor`, for which the server is asked on a connection of its own. A signal that is aborted while the server
   * waits rejects only if nothing comes: an item that comes is given. Wire: `get <queue>[/t=<milliseconds>]`.
   */
  get(options?: QueueGetOptions): Promise<T | undefined> {
    return this.#caller.guard('get', undefined, async (caller) => {
      const { blockFor, timeout, signal = NEVER } = checkGet(options)
      signal.throwIfAborted()
      const item = await (blockFor > 0 ? this.#wait(blockFor, timeout, signal) : caller.execute(this.#reading(''), { timeout }))
      if (item === undefined) signal.throwIfAborted()
      return item && decodeJob(this.#address.codec, item.value, this.name)
    })
  }

  /**
   * The first value, which stays where it is: it is reserved and given back, since `peek` takes it away on some servers.
   * Wire: `get <queue>/open`, `get <queue>/abort`.
   */
  peek(options?: CallOptions): Promise<T | undefined> {
    return this.#caller.guard('peek', options, async () => {
      const [item] = await this.#address.links.use(({ execute }) =>
        Promise.all([execute(this.#reading('/open'), options), execute(this.#reading('/abort'), options)]))
      return item && decodeJob(this.#address.codec, item.value, this.name)
    })
  }

  /** Drops all values. Wire: `flush <queue>`. */
  flush(options?: CallOptions): Promise<boolean> {
    return this.#caller.call('flush', options, () => ({ op: 'flushQueue', key: this.#key }), same)
  }

  /** Drops the queue. `false` = the server does not say that there was one. Wire: `delete <queue>`. */
  delete(options?: CallOptions): Promise<boolean> {
    return this.#caller.call('delete', options, () => ({ op: 'delete', key: this.#key }), same)
  }

  /** What the server counts of this queue: `items`, `open_transactions`, … Empty for one that it does not know. Wire: `stats`. */
  stats(options?: CallOptions): Promise<Map<string, number>> {
    return this.#caller.call('stats', options, () => ({ op: 'stats', section: '' }), (stats) => queueStats(stats, this.#key))
  }

  /**
   * The jobs of the queue, reserved one by one, at least once each: a job that is not acknowledged goes back when its
   * connection ends. Leaving the loop gives back what is open. Wire: `get <queue>/t=<milliseconds>/open`.
   */
  consume(options: ConsumeOptions = NO_OPTIONS): Consumer<T> {
    return new Consumer([this.#address], checkConsume(options))
  }

  /**
   * Calls a handler for each job, several at a time, and acknowledges those whose handler succeeds. A handler may be called
   * twice for one job: after a fault, nobody knows whether it was acknowledged.
   */
  process(handler: Handler<T>, options: ProcessOptions = NO_OPTIONS): QueueWorker<T> {
    const { consume, work, concurrency } = checkWork(handler, options, this.#address.keyOf)
    return new QueueWorker(new Consumer([this.#address], consume), handler, concurrency, work)
  }

  /** For `consumeAll`: clients may come from the other copy of this package, which has no access to private fields. */
  get address(): QueueAddress<T> {
    return this.#address
  }

  /**
   * On a connection of its own, so that nothing else waits for the server to answer. One that does not wait is asked again,
   * plainly: memcacheq takes the option for a part of the name.
   */
  async #wait(blockFor: number, timeout = this.#address.slack, signal: AbortSignal): Promise<Item | undefined> {
    const end = performance.now() + blockFor
    for (let option = `/t=${blockFor}`; ; option = '') {
      const item = await this.#address.links.use(({ execute }) => execute(this.#reading(option), { timeout: blockFor + timeout }))
      const left = end - performance.now()
      if (item !== undefined || left <= 0 || signal.aborted) return item
      await pause(Math.min(left, ASK_AGAIN), signal)
    }
  }

  #reading(options: string): Request<'get'> {
    return { op: 'get', key: this.#key + options, cas: false }
  }

  get #key(): string {
    return this.#address.keyOf(this.#address.name)
  }
}

const NEVER = new AbortController().signal
/** Milliseconds. */
const ASK_AGAIN = 100

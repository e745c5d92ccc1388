/// <reference types="node" preserve="true" />
import { EventEmitter } from 'node:events'
import { LONGEST_TIMEOUT } from './alarm.ts'
import { whole } from './arguments.ts'
import { checkNames, NO_OPTIONS } from './call-options.ts'
import { Client } from './client.ts'
import { MemcacheError, MemcacheValueError } from './errors.ts'
import { KeyvNamespace } from './keyv-namespace.ts'
import type { ClientOptions } from './options.ts'
import { show } from './show.ts'

/** What an adapter for Keyv can be told. */
export interface KeyvErmcOptions {
  /** Keyv sets its own. Default: the one without a name. */
  readonly namespace?: string | undefined
  /**
   * For how many milliseconds this adapter may go on with what another process has cleared, which spares it the round trip
   * that each operation else begins with. What it clears itself is gone at once. Default 0.
   */
  readonly maxStaleness?: number | undefined
}

/** One item of `setMany`. */
export interface KeyvErmcEntry {
  readonly key: string
  readonly value: unknown
  /** Milliseconds. */
  readonly ttl?: number | undefined
}

/** What Keyv hears of an adapter. */
export interface KeyvErmcEvents {
  error: [fault: unknown]
}

const OPTIONS = new Set(['namespace', 'maxStaleness'])

/**
 * A store for Keyv 4, 5 and 6: `new Keyv({ store: new KeyvErmc('memcached://host') })`. Any string is a key. Faults reject,
 * and Keyv does with them what its version does; the one that Keyv 5 would drop, of `get`, is also an 'error' event.
 */
export class KeyvErmc extends EventEmitter<KeyvErmcEvents> {
  /** Keyv 4 and 5 look here for what kind of store it is. */
  readonly opts: { readonly dialect: 'memcached'; [name: string]: unknown } = { dialect: 'memcached' }
  /** Whose items these are. Keyv sets it. */
  namespace: string | undefined
  readonly #client: Client
  readonly #ownsClient: boolean
  readonly #maxStaleness: number
  #present: { readonly name: string; readonly namespace: KeyvNamespace } | undefined
  #keyvReports = false

  /**
   * @param connection A client, which stays its owner's to close; or a URL or the options of one of its own.
   * @throws MemcacheValueError for options that cannot be right.
   */
  constructor(connection: Client | ClientOptions | string = {}, options: KeyvErmcOptions = NO_OPTIONS) {
    super()
    checkNames('KeyvErmc', options, OPTIONS)
    const { namespace, maxStaleness = 0 } = options
    if (namespace !== undefined && typeof namespace !== 'string') throw new MemcacheValueError(`a namespace is a string, not ${show(namespace)}`)
    this.namespace = namespace
    this.#maxStaleness = whole('"maxStaleness"', maxStaleness, [0, LONGEST_TIMEOUT])
    this.#ownsClient = !isClient(connection)
    this.#client = isClient(connection) ? connection : typeof connection === 'string' ? new Client(connection) : new Client(connection)
  }

  /** Keyv 6 asks what a store can do more than others, which is nothing; and reports by itself what `get` rejects with. */
  get capabilities(): undefined {
    this.#keyvReports = true
    return undefined
  }

  /** The value of a key, as it was given to `set`; `undefined` = a miss. */
  async get<Value>(key: string): Promise<Value | undefined> {
    try {
      const keys = await this.#items().reading()
      return keys && (await this.#client.get<Value>(keys(key)))
    } catch (error) {
      if (!this.#keyvReports && this.listenerCount('error') > 0) this.emit('error', error)
      throw error
    }
  }

  /** The values of many keys, in their order. */
  async getMany<Value>(keys: string[]): Promise<(Value | undefined)[]> {
    const keyOf = await this.#items().reading()
    if (keyOf === undefined) return keys.map(() => undefined)
    const wires = keys.map(keyOf)
    const hits = await this.#client.getMulti<Value>(wires)
    return wires.map((wire) => hits.get(wire))
  }

  /** Stores a value, for so many milliseconds, rounded up to seconds; for ever without, or with 0. */
  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    const keys = await this.#items().writing()
    return keys !== undefined && (await this.#client.set(keys(key), value, { ttl: seconds(ttl) }))
  }

  /** Stores many; says of each whether it is stored. Rejects if one of them does, when all have settled. */
  async setMany(entries: readonly KeyvErmcEntry[]): Promise<boolean[]> {
    const keys = await this.#items().writing()
    if (keys === undefined) return entries.map(() => false)
    const outcomes = await Promise.allSettled(entries.map(({ key, value, ttl }) => this.#client.set(keys(key), value, { ttl: seconds(ttl) })))
    return outcomes.map((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason
      return outcome.value
    })
  }

  /** Whether there is a value. memcached has no question for that: the value is read. */
  async has(key: string): Promise<boolean> {
    const [found = false] = await this.hasMany([key])
    return found
  }

  /** The same of many keys, in their order. */
  async hasMany(keys: string[]): Promise<boolean[]> {
    const values = await this.getMany(keys)
    return values.map((value) => value !== undefined)
  }

  /** Removes a key; `false` = there is no such key. */
  async delete(key: string): Promise<boolean> {
    const keys = await this.#items().reading()
    return keys !== undefined && (await this.#client.delete(keys(key)))
  }

  /** Removes many keys; `true` = all of them were there. */
  async deleteMany(keys: string[]): Promise<boolean> {
    const keyOf = await this.#items().reading()
    if (keyOf === undefined) return keys.length === 0
    const gone = await this.#client.deleteMulti(keys.map(keyOf))
    return [...gone.values()].every((wasThere) => wasThere)
  }

  /** Empties this namespace, and no other: its items are no longer found, and memcached gives their memory to others. */
  async clear(): Promise<void> {
    if (await this.#items().renew()) return
    throw new MemcacheError('the namespace could not be cleared', { command: 'clear' }) // of errorAsMiss there is no more to know
  }

  /** Closes the client, if it is one of its own. */
  async disconnect(): Promise<void> {
    if (this.#ownsClient) await this.#client.close()
  }

  #items(): KeyvNamespace {
    const name = this.namespace ?? ''
    if (this.#present?.name !== name) this.#present = { name, namespace: new KeyvNamespace(this.#client, name, this.#maxStaleness) }
    return this.#present.namespace
  }
}

/** Not `instanceof`: a client may come from the other copy of this package. */
function isClient(connection: Client | ClientOptions | string): connection is Client {
  return typeof connection === 'object' && connection !== null && 'checkKey' in connection
}

/** Not rounded up where it has passed already: that would be 0, which is for ever. */
function seconds(ttl: number | undefined): number {
  if (ttl === undefined || ttl === Infinity) return 0
  return ttl < 0 ? -1 : Math.ceil(ttl / 1000)
}

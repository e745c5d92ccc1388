/// <reference types="node" preserve="true" />
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { casId, list, pairs, statsSection, whole } from './arguments.ts'
import { executeAll } from './bulk.ts'
import { checkCall, type CasOptions, type CountOptions, type StoreOptions } from './call-options.ts'
import { CasIds } from './cas-ids.ts'
import { compose, transcode } from './codec.ts'
import type { CallOptions, Execute, Item, Key, Reply, Request, StoreMode, StoreStatus } from './commands.ts'
import { compression, lengthLimit } from './compression.ts'
import { countLike, initialCount, step } from './counter.ts'
import type { Driver } from './driver.ts'
import { errorAsMiss } from './error-as-miss.ts'
import { atCaller, MemcacheClosedError, type MemcacheError } from './errors.ts'
import { expiry, type Ttl } from './expiry.ts'
import { nameKeys, wireKey, wirePrefix, type KeyLike, type KeyRules } from './key.ts'
import { stack } from './middleware.ts'
import { endpointOf, resolveOptions, type ClientOptions } from './options.ts'
import { serialization } from './serialization.ts'

/** A value and the id of its version, as `gets` gives them. */
export interface Versioned<T> {
  readonly value: T
  /** To be given to `cas`. Queue servers have no such ids and leave it `undefined`. */
  readonly cas: bigint
}

/** What a client tells of its connection. There is no 'error' event: what fails rejects the call that it fails. */
export interface ClientEvents {
  connect: []
  /** A connection that stood has ended: with MemcacheClosedError by `close()`, else with the fault. */
  disconnect: [cause: MemcacheError]
}

/**
 * A client of one server. It connects by itself at the first command and again after a fault; every command gives a
 * promise that settles within its deadline. A miss is `undefined`, a store whose condition failed is `false`, and what
 * went wrong is a {@link MemcacheError}.
 */
export class Client extends EventEmitter<ClientEvents> {
  readonly #driver: Driver
  readonly #execute: Execute<unknown>
  readonly #keys: KeyRules
  readonly #server: string
  readonly #timeout: number
  readonly #casIds: CasIds | undefined
  #closed = false

  /**
   * @param url `memcached://host:port` or `unix:/path`; options win over it.
   * @throws MemcacheValueError for an option that cannot be right, MemcacheUnsupportedError for one that is not there yet.
   */
  constructor(options?: ClientOptions)
  constructor(url: string, options?: ClientOptions)
  constructor(first: string | ClientOptions = {}, second: ClientOptions = {}) {
    super()
    const settings = typeof first === 'string' ? resolveOptions(first, second) : resolveOptions(undefined, first)
    const endpoint = endpointOf(settings, {
      // In a turn of their own, so that a listener that throws harms nobody but itself.
      onConnect: () => process.nextTick(() => this.emit('connect')),
      onDisconnect: (cause) => process.nextTick(() => this.emit('disconnect', cause)),
    })
    const { maxReplyLength: maxLength } = endpoint
    const { serializer, compressor, minCompressLength: minLength, maxValueLength, maxKeyLength } = settings
    const squeeze = compose(compression(compressor, { minLength, maxLength }), lengthLimit(maxValueLength))
    this.#driver = settings.driver(endpoint)
    const execute = transcode(compose(serialization(serializer), squeeze))(stack(settings.layers)(this.#driver.execute))
    this.#execute = settings.errorAsMiss ? errorAsMiss<unknown>()(execute) : execute
    this.#keys = { prefix: wirePrefix(settings.keyPrefix, maxKeyLength), maxLength: maxKeyLength }
    this.#server = endpoint.name
    this.#timeout = settings.timeout
    this.#casIds = settings.cacheCas ? new CasIds() : undefined
  }

  /** The value of a key; `undefined` = a miss. Wire: `get`. */
  get<T = unknown>(key: KeyLike, options?: CallOptions): Promise<T | undefined> {
    return this.#call('get', options, () => this.#execute({ op: 'get', key: this.#key(key), cas: false }, options), valueOf<T>)
  }

  /** The values of many keys, by key; a miss has no entry. One round trip. Wire: `get` with several keys. */
  getMulti<T = unknown>(keys: Iterable<KeyLike>, options?: CallOptions): Promise<Map<string, T>> {
    return this.#many('getMulti', keys, options, (item) => item.value as T)
  }

  /** The value of a key and the id of its version, for `cas`. Wire: `gets`. */
  gets<T = unknown>(key: KeyLike, options?: CallOptions): Promise<Versioned<T> | undefined> {
    return this.#versioned('gets', key, options, undefined)
  }

  /** As `getMulti`, each value with the id of its version. Wire: `gets` with several keys. */
  getsMulti<T = unknown>(keys: Iterable<KeyLike>, options?: CallOptions): Promise<Map<string, Versioned<T>>> {
    return this.#many('getsMulti', keys, options, (item, key) => this.#remember<T>(item, key))
  }

  /** The value of a key, which gets a new time to live. Wire: `gat`. */
  gat<T = unknown>(key: KeyLike, ttl: Ttl, options?: CallOptions): Promise<T | undefined> {
    return this.#call('gat', options, () => this.#execute({ op: 'get', key: this.#key(key), cas: false, touch: expiry(ttl) }, options), valueOf<T>)
  }

  /** As `gat`, with the id of the value's version. Wire: `gats`. */
  gats<T = unknown>(key: KeyLike, ttl: Ttl, options?: CallOptions): Promise<Versioned<T> | undefined> {
    return this.#versioned('gats', key, options, ttl)
  }

  /** Gives a key a new time to live; `false` = there is no such key. Wire: `touch`. */
  touch(key: KeyLike, ttl: Ttl, options?: CallOptions): Promise<boolean> {
    return this.#call('touch', options, () => this.#execute({ op: 'touch', key: this.#key(key), expires: expiry(ttl) }, options), same)
  }

  /** Stores a value. Wire: `set`. */
  set(key: KeyLike, value: unknown, options?: StoreOptions): Promise<boolean> {
    return this.#store('set', key, value, options)
  }

  /** Stores a value where there is none; `false` = there is one. Wire: `add`. */
  add(key: KeyLike, value: unknown, options?: StoreOptions): Promise<boolean> {
    return this.#store('add', key, value, options)
  }

  /** Stores a value where there is one already; `false` = there is none. Wire: `replace`. */
  replace(key: KeyLike, value: unknown, options?: StoreOptions): Promise<boolean> {
    return this.#store('replace', key, value, options)
  }

  /**
   * Puts a string, a Buffer or a number's digits behind what is stored; `false` = there is nothing, or no room. The item
   * keeps its flags and time to live. Never compressed. Wire: `append`.
   */
  append(key: KeyLike, value: string | Buffer | number | bigint, options?: StoreOptions): Promise<boolean> {
    return this.#store('append', key, value, options)
  }

  /** As `append`, in front of what is stored. Wire: `prepend`. */
  prepend(key: KeyLike, value: string | Buffer | number | bigint, options?: StoreOptions): Promise<boolean> {
    return this.#store('prepend', key, value, options)
  }

  /**
   * Stores a value if the one there is still the version that `gets` saw; `false` = it was changed meanwhile, or is gone.
   * The version is `options.cas`, else the one that `cacheCas` remembers, which stays until it is seen anew or reset.
   * Without either it rejects with MemcacheValueError: it is never a silent `set`. Wire: `cas`.
   */
  cas(key: KeyLike, value: unknown, options?: CasOptions): Promise<boolean> {
    return this.#store('cas', key, value, options)
  }

  /**
   * Stores many values, given as pairs, a Map or an object; says by key which are stored. A pair that comes later wins.
   * Rejects if one of them does, when all that were sent have settled. Wire: `set`, pipelined.
   */
  setMulti(entries: Iterable<readonly [KeyLike, unknown]> | { readonly [key: string]: unknown }, options?: StoreOptions): Promise<Map<string, boolean>> {
    const requests = (): [KeyLike, Request<'store', unknown>][] =>
      Array.from(pairs(entries), ([key, value]) => [key, this.#storeRequest('set', key, value, options)])
    return this.#each('setMulti', options, requests, isStored)
  }

  /** Removes a key; `false` = there is no such key. Wire: `delete`. */
  delete(key: KeyLike, options?: CallOptions): Promise<boolean> {
    return this.#call('delete', options, () => this.#execute({ op: 'delete', key: this.#key(key) }, options), same)
  }

  /** Removes many keys; says by key which were there. Rejects if one of them does, as `setMulti`. Wire: `delete`, pipelined. */
  deleteMulti(keys: Iterable<KeyLike>, options?: CallOptions): Promise<Map<string, boolean>> {
    const requests = (): [KeyLike, Request<'delete', unknown>][] =>
      Array.from(list('keys', keys), (key) => [key, { op: 'delete', key: this.#key(key) }])
    return this.#each('deleteMulti', options, requests, same)
  }

  /**
   * Counts up, in 64 bits without a sign: past 2^64-1 the server goes on at 0. `undefined` = there is no such counter and
   * no `initial`. A bigint delta gives a bigint; with a number, a count past 2^53 rejects with MemcacheValueError although
   * the server has counted. A negative delta counts down. Wire: `incr`; with `initial` first `add`, in two round trips.
   */
  incr(key: KeyLike, delta?: number, options?: CountOptions): Promise<number | undefined>
  incr(key: KeyLike, delta: bigint, options?: CountOptions): Promise<bigint | undefined>
  incr(key: KeyLike, delta: number | bigint = 1, options?: CountOptions): Promise<number | bigint | undefined> {
    return this.#count('incr', key, delta, options)
  }

  /** Counts down, to 0 and no further; else as `incr`. Wire: `decr`. */
  decr(key: KeyLike, delta?: number, options?: CountOptions): Promise<number | undefined>
  decr(key: KeyLike, delta: bigint, options?: CountOptions): Promise<bigint | undefined>
  decr(key: KeyLike, delta: number | bigint = 1, options?: CountOptions): Promise<number | bigint | undefined> {
    return this.#count('decr', key, delta, options)
  }

  /** Drops everything that the server holds, now or in `delay` seconds. Wire: `flush_all`. */
  flushAll(delay = 0, options?: CallOptions): Promise<boolean> {
    return this.#call('flushAll', options, () => this.#execute({ op: 'flush', delay: expiry(whole('a delay', delay)) }, options), same)
  }

  /** The server's statistics by name: the general ones, or a section such as `settings`, `items`, `slabs`. Wire: `stats`. */
  stats(section = '', options?: CallOptions): Promise<Map<string, string>> {
    return this.#call('stats', options, () => this.#execute({ op: 'stats', section: statsSection(section) }, options), same)
  }

  /** The server's version. Wire: `version`. */
  version(options?: CallOptions): Promise<string> {
    return this.#call('version', options, () => this.#execute({ op: 'version' }, options), same)
  }

  /** How much the server logs: 0, 1, 2. Wire: `verbosity`. */
  verbosity(level: number, options?: CallOptions): Promise<boolean> {
    return this.#call('verbosity', options, () => this.#execute({ op: 'verbosity', level: whole('a level', level) }, options), same)
  }

  /**
   * Connects, or joins the attempt that is under way; commands do it by themselves. Also opens a client again that was
   * closed. `reconnect` first ends the connection that there is: what is pending on it rejects with MemcacheClosedError.
   */
  async connect({ reconnect = false }: { readonly reconnect?: boolean } = {}): Promise<void> {
    try {
      if (reconnect) await this.#driver.disconnect(new MemcacheClosedError('connect({ reconnect: true }) ended the connection'))
      this.#closed = false
      await this.#driver.connect()
    } catch (error) {
      throw atCaller(error, { server: this.#server })
    }
  }

  /**
   * Ends the connection at once: what is pending rejects with MemcacheClosedError, and so does every later command until
   * `connect()`. Settles when the socket is closed, after which this client keeps no process alive. It never rejects.
   */
  async close(): Promise<void> {
    this.#closed = true
    await this.#driver.disconnect(new MemcacheClosedError('close() was called'))
  }

  /** The same as `close`. */
  disconnect(): Promise<void> {
    return this.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Whether there is a connection at this moment. */
  isConnected(): boolean {
    return this.#driver.connected
  }

  /** The socket of the present connection, or attempt to connect; `undefined` where there is none. */
  get socket(): Socket | undefined {
    return this.#driver.socket
  }

  /** Forgets the cas ids that `cacheCas` has remembered. */
  resetCas(): void {
    this.#casIds?.clear()
  }

  /** Forgets all that this client remembers of the server's items; the connection stays. */
  resetClient(): void {
    this.resetCas()
  }

  /**
   * The key as it goes on the wire, prefix included, one character a byte.
   * @throws MemcacheKeyError where a command with this key would reject with it.
   */
  checkKey(key: KeyLike): string {
    return this.#key(key)
  }

  /** Every command goes through here: options checked, executed, the reply turned into the result, errors made the caller's. */
  async #call<Reply, R>(
    command: string,
    options: CallOptions | undefined,
    execute: () => Promise<Reply>,
    result: (reply: Reply) => R,
  ): Promise<R> {
    try {
      if (options !== undefined) checkCall(command, options)
      options?.signal?.throwIfAborted()
      if (this.#closed) throw new MemcacheClosedError('close() was called')
      return result(await execute())
    } catch (error) {
      throw atCaller(error, { command, server: this.#server })
    }
  }

  #key(key: KeyLike): Key {
    return wireKey(key, this.#keys)
  }

  #versioned<T>(command: string, key: KeyLike, options: CallOptions | undefined, ttl: Ttl | undefined): Promise<Versioned<T> | undefined> {
    const touch = (): number | undefined => (ttl === undefined ? undefined : expiry(ttl))
    return this.#call(
      command,
      options,
      () => this.#execute({ op: 'get', key: this.#key(key), cas: true, touch: touch() }, options),
      (item) => item && this.#remember<T>(item, this.#key(key)),
    )
  }

  #many<R>(
    command: 'getMulti' | 'getsMulti',
    keys: Iterable<KeyLike>,
    options: CallOptions | undefined,
    result: (item: Item<unknown>, key: Key) => R,
  ): Promise<Map<string, R>> {
    let names = new Map<Key, string>()
    const execute = async (): Promise<readonly (Item<unknown> | undefined)[]> => {
      names = nameKeys(Array.from(list('keys', keys), (key) => [this.#key(key), key]))
      if (names.size === 0) return []
      return this.#execute({ op: 'getMulti', keys: [...names.keys()], cas: command === 'getsMulti' }, options)
    }
    return this.#call(command, options, execute, (items) => {
      const results = new Map<string, R>()
      let place = 0
      for (const [key, name] of names) {
        const item = items[place++]
        if (item !== undefined) results.set(name, result(item, key))
      }
      return results
    })
  }

  /** One request for each different key, pipelined; the results by the keys' names. */
  #each<O extends 'store' | 'delete', R>(
    command: string,
    options: CallOptions | undefined,
    requests: () => Iterable<[KeyLike, Request<O, unknown>]>,
    result: (reply: Reply<O, unknown>) => R,
  ): Promise<Map<string, R>> {
    const execute = async (): Promise<Map<string, R>> => {
      const latest = new Map<Key, [KeyLike, Request<O, unknown>]>()
      for (const pair of requests()) latest.set(pair[1].key, pair)
      const names = nameKeys(Array.from(latest, ([wire, [key]]) => [wire, key]))
      const work = Array.from(latest.values(), ([, request]) => request)
      const replies = await executeAll(this.#execute, work, { ...options, timeout: options?.timeout ?? this.#timeout })
      return new Map(Array.from(names.values(), (name, place) => [name, result(replies[place] as Reply<O, unknown>)]))
    }
    return this.#call(command, options, execute, same)
  }

  #store(mode: StoreMode, key: KeyLike, value: unknown, options: CasOptions | undefined): Promise<boolean> {
    return this.#call(mode, options, () => this.#execute(this.#storeRequest(mode, key, value, options), options), isStored)
  }

  #storeRequest(mode: StoreMode, key: KeyLike, value: unknown, options: CasOptions | undefined): Request<'store', unknown> {
    const wire = this.#key(key)
    const cas = mode === 'cas' ? casId(options?.cas ?? this.#casIds?.get(wire)) : undefined
    return { op: 'store', mode, key: wire, item: { value, flags: 0, cas }, expires: expiry(options?.ttl ?? 0) }
  }

  #count<N extends number | bigint>(command: 'incr' | 'decr', key: KeyLike, delta: N, options: CountOptions | undefined): Promise<N | undefined> {
    const request = (): Request<'count', unknown> => {
      const initial = options?.initial === undefined ? undefined : initialCount(options.initial)
      return { op: 'count', key: this.#key(key), ...step(delta, command === 'decr'), initial, expires: expiry(options?.ttl ?? 0) }
    }
    const result = (count: bigint | undefined): N | undefined => (count === undefined ? undefined : countLike(delta, count))
    return this.#call(command, options, () => this.#execute(request(), options), result)
  }

  #remember<T>(item: Item<unknown>, key: Key): Versioned<T> {
    if (item.cas !== undefined) this.#casIds?.remember(key, item.cas)
    return { value: item.value, cas: item.cas } as Versioned<T>
  }
}

function valueOf<T>(item: Item<unknown> | undefined): T | undefined {
  return item?.value as T | undefined
}

function isStored(status: StoreStatus): boolean {
  return status === 'stored'
}

function same<R>(reply: R): R {
  return reply
}

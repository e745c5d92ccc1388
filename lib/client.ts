/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { list, pairs, statsSection, whole } from './arguments.ts'
import { NO_OPTIONS, type CasOptions, type CountOptions, type StoreOptions } from './call-options.ts'
import { Caller, type Life } from './caller.ts'
import { CasIds } from './cas-ids.ts'
import type { Command } from './command.ts'
import type { CallOptions, Item, MetaItem, Reply, Request, StoreMode } from './commands.ts'
import { countLike } from './counter.ts'
import type { CounterStart } from './counting.ts'
import type { Driver } from './driver.ts'
import { complete, MemcacheClosedError, type MemcacheError } from './errors.ts'
import { expiry, type Ttl } from './expiry.ts'
import { valueFormat } from './format.ts'
import type { KeyLike, NamedKeys } from './key.ts'
import type { OpenDriver } from './queue/links.ts'
import { stack } from './middleware.ts'
import { checkTransports, endpointOf, keyRulesOf, resolveOptions, type ClientOptions } from './options.ts'
import type { QueueOptions } from './queue/options.ts'
import type { Queue } from './queue/queue.ts'
import { queuesOf, type QueueHost, type Queues } from './queue/queues.ts'
import { checkRequests } from './request-check.ts'
import { hitsOf, Requests } from './requests.ts'
import { isStored, Results, same, type Read, type Versioned } from './results.ts'
import { Tracer } from './tracing.ts'
import { directWay } from './wire.ts'

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
  readonly #caller: Caller
  readonly #life: Life
  readonly #requests: Requests
  readonly #casIds: CasIds | undefined
  readonly #results: Results
  readonly #get: Command<'get', unknown>
  readonly #stores: { readonly [mode in StoreMode]: Command<'store', boolean> }
  readonly #queueHost: QueueHost
  /** Made for the first queue. */
  #queues: Queues | undefined

  /**
   * @param url `memcached://user:password@host:port`, `memcacheds:` for TLS, or `unix:/path`; options win over it.
   * @throws MemcacheValueError for an option that cannot be right, MemcacheUnsupportedError for one that the driver does not have.
   */
  constructor(options?: ClientOptions)
  constructor(url: string, options?: ClientOptions)
  constructor(first: string | ClientOptions = {}, second: ClientOptions = {}) {
    super()
    const settings = typeof first === 'string' ? resolveOptions(first, second) : resolveOptions(undefined, first)
    const open: OpenDriver = (events) => {
      const driver = settings.driver(endpointOf(settings, events))
      checkTransports(settings, driver)
      if (settings.layers.length === 0) return { driver, execute: driver.execute }
      return { driver, execute: stack(settings.layers)(checkRequests(driver.execute, keyRulesOf(settings, driver), driver.queues ?? false)) }
    }
    const endpoint = endpointOf(settings, {
      // In a turn of their own, so that a listener that throws harms nobody but itself.
      onConnect: () => process.nextTick(() => this.emit('connect')),
      onDisconnect: (cause) => process.nextTick(() => this.emit('disconnect', complete(cause, { server: endpoint.name }))),
    })
    const values = valueFormat(settings, endpoint.maxReplyLength) // first: what it refuses must leave no driver behind
    const { driver, execute } = open(endpoint)
    // What stands between has to see every request, and its values as bytes.
    const direct = settings.layers.length === 0 ? directWay(driver) : undefined
    const life = (this.#life = { closed: false })
    const caller = { ...settings, server: endpoint.name, tracer: new Tracer(endpoint, settings.traceKeys) }
    this.#driver = driver
    this.#caller = new Caller(execute, caller, life, direct)
    const keys = keyRulesOf(settings, driver)
    this.#queueHost = { driver, execute, open, endpoint, keys, caller, life, maxValueLength: settings.maxValueLength }
    this.#casIds = settings.cacheCas ? new CasIds() : undefined
    this.#requests = new Requests({ keys, values, latin1: direct?.latin1Values ?? false, casIds: this.#casIds })
    this.#results = new Results(values, this.#casIds)
    this.#get = this.#caller.command('get', 'get', (key) => this.#requests.get(key, false), this.#results.value)
    const store = (mode: StoreMode): Command<'store', boolean> =>
      this.#caller.command(mode, 'store', (key, value, options) => this.#requests.store(mode, key, value, options), isStored)
    this.#stores = { set: store('set'), add: store('add'), replace: store('replace'), append: store('append'), prepend: store('prepend'), cas: store('cas') }
  }

  /** The value of a key; `undefined` = a miss. Wire: `get`. */
  get<T = unknown>(key: KeyLike, options?: CallOptions): Promise<T | undefined> {
    return this.#caller.run(this.#get as Command<'get', T | undefined>, options, key)
  }

  /** The values of many keys, by key; a miss has no entry. One round trip. Wire: `get` with several keys. */
  getMulti<T = unknown>(keys: Iterable<KeyLike>, options?: CallOptions): Promise<Map<string, T>> {
    return this.#many('getMulti', keys, options, false, this.#results.value as Read<Item, T>)
  }

  /** The value of a key and the id of its version, for `cas`. Wire: `gets`. */
  gets<T = unknown>(key: KeyLike, options?: CallOptions): Promise<Versioned<T> | undefined> {
    return this.#caller.call('gets', options, () => this.#requests.get(key, true), this.#results.versioned as Read<Item | undefined, Versioned<T> | undefined>)
  }

  /**
   * The value of a key with all that the server knows about its item: flags, cas id, time to live, when it was last
   * read. Only the driver `meta` has it. Wire: `mg`.
   */
  metaGet<T = unknown>(key: KeyLike, options?: CallOptions): Promise<MetaItem<T> | undefined> {
    return this.#caller.call('metaGet', options, () => ({ op: 'metaGet', key: this.#requests.key(key) }), this.#results.described as Read<MetaItem | undefined, MetaItem<T> | undefined>)
  }

  /** As `getMulti`, each value with the id of its version. Wire: `gets` with several keys. */
  getsMulti<T = unknown>(keys: Iterable<KeyLike>, options?: CallOptions): Promise<Map<string, Versioned<T>>> {
    return this.#many('getsMulti', keys, options, true, this.#results.versioned as Read<Item, Versioned<T>>)
  }

  /** The value of a key, which gets a new time to live. Wire: `gat`. */
  gat<T = unknown>(key: KeyLike, ttl: Ttl, options?: CallOptions): Promise<T | undefined> {
    return this.#caller.call('gat', options, () => this.#requests.get(key, false, expiry(ttl)), this.#results.value as Read<Item | undefined, T | undefined>)
  }

  /** As `gat`, with the id of the value's version. Wire: `gats`. */
  gats<T = unknown>(key: KeyLike, ttl: Ttl, options?: CallOptions): Promise<Versioned<T> | undefined> {
    return this.#caller.call('gats', options, () => this.#requests.get(key, true, expiry(ttl)), this.#results.versioned as Read<Item | undefined, Versioned<T> | undefined>)
  }

  /** Gives a key a new time to live; `false` = there is no such key. Wire: `touch`. */
  touch(key: KeyLike, ttl: Ttl, options?: CallOptions): Promise<boolean> {
    return this.#caller.call('touch', options, () => ({ op: 'touch', key: this.#requests.key(key), expires: expiry(ttl) }), same)
  }

  /** Stores a value. A Buffer is not copied: it must not change until the promise is settled. Wire: `set`. */
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
  setMulti(entries: Iterable<readonly [KeyLike, unknown]>, options?: StoreOptions): Promise<Map<string, boolean>>
  setMulti(entries: { readonly [key: string]: unknown }, options?: StoreOptions): Promise<Map<string, boolean>>
  setMulti(entries: Iterable<readonly [KeyLike, unknown]> | { readonly [key: string]: unknown }, options?: StoreOptions): Promise<Map<string, boolean>> {
    const build = (): [KeyLike, Request<'store'>][] => Array.from(pairs(entries), ([key, value]) => [key, this.#requests.store('set', key, value, options)])
    return this.#each('setMulti', options, build, isStored)
  }

  /** Removes a key; `false` = there is no such key. Wire: `delete`. */
  delete(key: KeyLike, options?: CallOptions): Promise<boolean> {
    return this.#caller.call('delete', options, () => ({ op: 'delete', key: this.#requests.key(key) }), same)
  }

  /** Removes many keys; says by key which were there. Rejects if one of them does, as `setMulti`. Wire: `delete`, pipelined. */
  deleteMulti(keys: Iterable<KeyLike>, options?: CallOptions): Promise<Map<string, boolean>> {
    const build = (): [KeyLike, Request<'delete'>][] => Array.from(list('keys', keys), (key) => [key, { op: 'delete', key: this.#requests.key(key) }])
    return this.#each('deleteMulti', options, build, same)
  }

  /**
   * Counts up, in 64 bits without a sign: past 2^64-1 the server goes on at 0. `undefined` = there is no such counter and
   * no `initial`. A bigint delta gives a bigint; with a number, a count past 2^53 rejects with MemcacheValueError although
   * the server has counted. A negative delta counts down. Wire: `incr`; with `initial`, if there is no counter, then `add`.
   */
  incr(key: KeyLike, delta?: number, options?: CountOptions): Promise<number | undefined>
  incr(key: KeyLike, delta: bigint, options?: CountOptions): Promise<bigint | undefined>
  incr(key: KeyLike, delta: number | bigint, options?: CountOptions): Promise<number | bigint | undefined>
  incr(key: KeyLike, delta: number | bigint = 1, options?: CountOptions): Promise<number | bigint | undefined> {
    return this.#count('incr', key, delta, options)
  }

  /** Counts down, to 0 and no further; else as `incr`. Wire: `decr`. */
  decr(key: KeyLike, delta?: number, options?: CountOptions): Promise<number | undefined>
  decr(key: KeyLike, delta: bigint, options?: CountOptions): Promise<bigint | undefined>
  decr(key: KeyLike, delta: number | bigint, options?: CountOptions): Promise<number | bigint | undefined>
  decr(key: KeyLike, delta: number | bigint = 1, options?: CountOptions): Promise<number | bigint | undefined> {
    return this.#count('decr', key, delta, options)
  }

  /** Drops everything that the server holds, now or in `delay` seconds. Wire: `flush_all`. */
  flushAll(delay = 0, options?: CallOptions): Promise<boolean> {
    return this.#caller.call('flushAll', options, () => ({ op: 'flush', delay: expiry(whole('a delay', delay)) }), same)
  }

  /** The server's statistics by name: the general ones, or a section such as `settings`, `items`, `slabs`. Wire: `stats`. */
  stats(section = '', options?: CallOptions): Promise<Map<string, string>> {
    return this.#caller.call('stats', options, () => ({ op: 'stats', section: statsSection(section) }), same)
  }

  /** The server's version. Wire: `version`. */
  version(options?: CallOptions): Promise<string> {
    return this.#caller.call('version', options, () => ({ op: 'version' }), same)
  }

  /** How much the server logs: 0, 1, 2. Wire: `verbosity`. */
  verbosity(level: number, options?: CallOptions): Promise<boolean> {
    return this.#caller.call('verbosity', options, () => ({ op: 'verbosity', level: whole('a level', level) }), same)
  }

  /** A queue of a kestrel, a darner or their like. @throws MemcacheUnsupportedError unless the driver is `text`, MemcacheKeyError. */
  queue(name: string, options?: { readonly codec?: 'buffer' | undefined }): Queue<Buffer>
  queue(name: string, options: { readonly codec: 'string' }): Queue<string>
  queue<T = unknown>(name: string, options: QueueOptions<T>): Queue<T>
  queue(name: string, options: QueueOptions<never> = NO_OPTIONS): unknown {
    return (this.#queues ??= queuesOf(this.#queueHost)).open(name, options)
  }

  /**
   * Connects, or joins the attempt that is under way; commands do it by themselves. Also opens a client again that was
   * closed. `reconnect` first ends the connection that there is: what is pending on it rejects with MemcacheClosedError.
   */
  async connect({ reconnect = false }: { readonly reconnect?: boolean } = NO_OPTIONS): Promise<void> {
    try {
      this.#life.closed = false
      if (reconnect) await this.#driver.disconnect(new MemcacheClosedError('connect({ reconnect: true }) ended the connection'))
      if (this.#life.closed) throw new MemcacheClosedError('close() was called')
      await this.#driver.connect()
    } catch (error) {
      throw this.#caller.fault(error, undefined)
    }
  }

  /**
   * Ends the connection at once: what is pending rejects with MemcacheClosedError, and so does every later command until
   * `connect()`. Settles when the socket is closed, after which this client keeps no process alive. It never rejects.
   */
  async close(): Promise<void> {
    this.#life.closed = true
    const reason = new MemcacheClosedError('close() was called')
    await Promise.all([this.#queues?.end(reason), this.#driver.disconnect(reason)])
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
    return this.#requests.key(key)
  }

  /** One request for all keys; the hits by the keys' names. */
  #many<R>(command: string, keys: Iterable<KeyLike>, options: CallOptions | undefined, cas: boolean, result: Read<Item, R>): Promise<Map<string, R>> {
    if (Array.isArray(keys) && keys.length > 0) {
      let named: NamedKeys
      const build = (): Request<'getMulti'> => ({ op: 'getMulti', keys: (named = this.#requests.named(keys)).wires, cas })
      return this.#caller.call(command, options, build, (items) => hitsOf(items, named, result))
    }
    return this.#caller.guard(command, options, async (caller) => {
      const named = this.#requests.named([...list('keys', keys)])
      const items = named.wires.length === 0 ? [] : await caller.execute({ op: 'getMulti', keys: named.wires, cas }, options)
      return hitsOf(items, named, result)
    })
  }

  /** One request for each different key, pipelined; the results by the keys' names. */
  #each<O extends 'store' | 'delete', R>(
    command: string,
    options: CallOptions | undefined,
    build: () => (readonly [KeyLike, Request<O>])[],
    result: (reply: Reply<O>) => R,
  ): Promise<Map<string, R>> {
    return this.#caller.guard(command, options, async (caller) => {
      const latest = new Map(build().map((pair) => [pair[1].key, pair]))
      const { names, results } = this.#requests.named(Array.from(latest.values(), ([key]) => key))
      const requests = Array.from(latest.values(), ([, request]) => request)
      const replies = await caller.all(requests, options)
      for (const [place, name] of names.entries()) results.set(name, result(replies[place] as Reply<O>))
      return results as Map<string, R>
    })
  }

  #store(mode: StoreMode, key: KeyLike, value: unknown, options: CasOptions | undefined): Promise<boolean> {
    return this.#caller.run(this.#stores[mode], options, key, value)
  }

  #count<N extends number | bigint>(command: 'incr' | 'decr', key: KeyLike, delta: N, options: CountOptions | undefined): Promise<N | undefined> {
    const build = (): Request<'count'> => this.#requests.count(key, delta, command === 'decr')
    const result = (count: bigint | undefined): N | undefined => (count === undefined ? undefined : countLike(delta, count))
    const initial = options?.initial
    if (initial === undefined) return this.#caller.call(command, options, build, result)
    const start = (): CounterStart => this.#requests.counterStart(initial, delta, options)
    return this.#caller.guard(command, options, async (caller) => result(await caller.countFrom(build(), start(), options)))
  }
}

/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'

/**
 * The vocabulary: every operation that a driver can be asked for, as plain data. Drivers, layers and the client are tables
 * or functions over it. Keys and values are bytes here: the client makes them so, see key.ts and codec.ts.
 */

/**
 * A key as it goes on the wire: one character a byte (latin1), checked, prefixed. `Buffer.from(key, 'latin1')` gives
 * its bytes. For the keys that most people use, which are ASCII, it is simply the key.
 */
export type Key = string

/** What a server stores under a key. Outside the vocabulary, on the caller's side of a codec, a value can be anything. */
export interface Item<Value = Buffer> {
  /** Bytes from a server may share memory with those of other items: a layer copies what it keeps. */
  readonly value: Value
  /** The 32 bits that say what the bytes of the value mean: see flags.ts. */
  readonly flags: number
  /** The item's version, where it was asked for and the server has one. */
  readonly cas?: bigint | undefined
}

/** An item with what the server knows about it. Times are in seconds. */
export interface MetaItem<Value = Buffer> extends Item<Value> {
  /** How long it still lives; `undefined` = it does not expire. */
  readonly ttl: number | undefined
  /** How long ago it was last read or written, this reading not counted. */
  readonly lastAccess: number
  /** Whether it was read before, this reading not counted. */
  readonly hitBefore: boolean
  /** Its value's length in bytes, as it is stored. */
  readonly size: number
}

/**
 * A value on its way to the server: bytes, or, where a driver says that it takes them so, latin1 text, in which a character is a
 * byte. A short value that is text already need not become bytes first to leave as a part of its turn's text.
 */
export type Content = Buffer | string

/** The storage commands that differ only in their condition. */
export type StoreMode = 'set' | 'add' | 'replace' | 'append' | 'prepend' | 'cas'

/** `exists`: a cas id did not match. `not-found`: a cas on a key that is gone. `not-stored`: any other condition failed. */
export type StoreStatus = 'stored' | 'not-stored' | 'exists' | 'not-found'

/** Each operation's arguments and its reply; `Value` is what a value to be stored is. Times to live are in the form that expiry.ts makes of them. */
export interface Commands<Value = Buffer> {
  /** One key. `cas`: also ask for the cas id. `touch`: give the item this time to live as well (`gat`). */
  get: { args: { key: Key; cas: boolean; touch?: number | undefined }; reply: Item | undefined }
  /** Many different keys: the reply has one place for each, in the order of the keys, `undefined` for a miss. */
  getMulti: { args: { keys: readonly Key[]; cas: boolean }; reply: readonly (Item | undefined)[] }
  /** One key, with all that is known about its item. */
  metaGet: { args: { key: Key }; reply: MetaItem | undefined }
  /** `append` and `prepend` leave flags and time to live as they are. `item.cas` belongs to mode `cas` alone. */
  store: { args: { mode: StoreMode; key: Key; item: Item<Value>; expires: number }; reply: StoreStatus }
  delete: { args: { key: Key }; reply: boolean }
  touch: { args: { key: Key; expires: number }; reply: boolean }
  /** `down`: decrement. A missing key gives `undefined`, and is not made. */
  count: { args: { key: Key; delta: bigint; down: boolean }; reply: bigint | undefined }
  /** Drops what is in one queue of a queue server. */
  flushQueue: { args: { key: Key }; reply: boolean }
  /** `delay` in the form of expiry.ts; 0 = now. */
  flush: { args: { delay: number }; reply: boolean }
  /** `section` is '' for the general statistics. */
  stats: { args: { section: string }; reply: Map<string, string> }
  version: { args: object; reply: string }
  verbosity: { args: { level: number }; reply: boolean }
}

/** The name of an operation. */
export type Op = keyof Commands

/** What is asked of a driver: the operation and its arguments in one object. */
export type Request<O extends Op = Op, Value = Buffer> = { [K in O]: { readonly op: K } & Readonly<Commands<Value>[K]['args']> }[O]

/** What a driver answers. */
export type Reply<O extends Op = Op> = { [K in O]: Commands[K]['reply'] }[O]

/** What a caller may say about one call, whatever the command. */
export interface CallOptions {
  /** Milliseconds from the call until the promise is settled. Default: the client's `timeout`. */
  readonly timeout?: number | undefined
  /** Aborting it rejects the call at once with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** The one verb: does what a request asks for. It rejects, it never throws, and it settles within the call's deadline. */
export type Execute = <O extends Op>(request: Request<O>, call?: CallOptions) => Promise<Reply<O>>

/** The name that a caller knows a request by: `gets`, `add`, `decr`, … */
export function commandName<O extends Op>(asked: Request<O>): string {
  const request = asked as Request
  switch (request.op) {
    case 'get':
      return `${request.touch === undefined ? 'get' : 'gat'}${request.cas ? 's' : ''}`
    case 'getMulti':
      return request.cas ? 'getsMulti' : 'getMulti'
    case 'store':
      return request.mode
    case 'count':
      return request.down ? 'decr' : 'incr'
    case 'flush':
      return 'flushAll'
    case 'flushQueue':
      return 'flush'
    default:
      return request.op
  }
}

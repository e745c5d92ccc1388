import { Buffer } from 'node:buffer'
import { MemcacheClientError, MemcacheServerError, MemcacheValueError, type MemcacheError } from '../../lib/errors.ts'
import type { Ttl } from '../../lib/expiry.ts'
import type { Call, KeyCommand } from './calls.ts'
import { flagsOf, LIMITS, numberIn, read, sizeOf, store, storeCount, storePiece, type Stored } from './values.ts'

/** What a command does to one key, and answers. */

/** Seconds: a longer time to live is sent as the moment that the real clock will show then. */
const LONGEST_RELATIVE = 30 * 86_400

/** What is stored under a key. */
export interface Item extends Stored {
  /** The number of the change that made it what it is: what a cas id stands for. */
  readonly version: number
  /** The second from which on it is gone. */
  readonly expires: number
  /** The second in which it was stored. */
  readonly since: number
}

/** A class of errors. */
export type ErrorClass = new (message: string) => MemcacheError

/** What `metaGet` says beside value and version. */
interface Description {
  readonly flags: number
  /** Bytes; `undefined` where the model does not know it. */
  readonly size: number | undefined
  /** Seconds. */
  readonly ttl: number
}

/** What a call has to give. */
export type Answer =
  | { readonly gives: 'value'; readonly value: unknown }
  | { readonly gives: 'version'; readonly value: unknown; readonly version: number }
  | ({ readonly gives: 'description'; readonly value: unknown; readonly version: number } & Description)
  | { readonly gives: 'error'; readonly anyOf: readonly ErrorClass[]; readonly sent: boolean }

/** The answer that is this very value. */
export function value(result: unknown): Answer {
  return { gives: 'value', value: result }
}

/** The answer that is one of these errors. */
export function refusal(anyOf: readonly ErrorClass[], sent: boolean): Answer {
  return { gives: 'error', anyOf, sent }
}

/** One of the ways that a call can end: its answer, and what is there then. */
export interface Ending {
  readonly answer: Answer
  readonly item: Item | undefined
}

/** What else decides the end of a call. */
export interface Circumstances {
  /** Seconds since the program began. */
  readonly now: number
  /** The number of this change, if it is one. */
  readonly version: number
  /** The version that a cas id stands for; `undefined` for one that was never seen. */
  versionOf(id: bigint): number | undefined
  /** Whether the server has no choice in how it counts: see `counted`. */
  readonly exact: boolean
}

/** All the ways that a call can end, whose arguments are as they should be. */
export function endings(item: Item | undefined, call: Call<KeyCommand>, at: Circumstances): Ending[] {
  const { command, args } = call
  switch (command) {
    case 'get':
    case 'gets':
    case 'metaGet':
      return [{ answer: reading(item, command, at), item }]
    case 'gat':
      return [{ answer: reading(item, 'get', at), item: item && { ...item, expires: end(args[1], at.now) } }]
    case 'gats':
      return [{ answer: reading(item, 'gets', at), item: item && { ...item, expires: end(args[1], at.now) } }]
    case 'touch':
      return [{ answer: value(item !== undefined), item: item && { ...item, expires: end(args[1], at.now) } }]
    case 'delete':
      return [{ answer: value(item !== undefined), item: undefined }]
    case 'append':
    case 'prepend':
      return joined(item, command, storePiece(args[1]) as Buffer, at)
    case 'incr':
    case 'decr':
      return counted(item, command, args, at)
    default:
      return stored(item, call as Call<'set' | 'add' | 'replace' | 'cas'>, at)
  }
}

/** The ends of a call on a server that forgets all it is given. */
export function endingsWithout(call: Call<KeyCommand>): Ending[] {
  return [{ answer: value(answerWithout(call)), item: undefined }]
}

function answerWithout({ command, args }: Call<KeyCommand>): unknown {
  switch (command) {
    case 'set':
    case 'add':
    case 'replace':
    case 'cas':
    case 'append':
    case 'prepend':
      return true
    case 'delete':
    case 'touch':
      return false
    case 'incr':
    case 'decr':
      return args[2]?.initial === undefined ? undefined : likeDelta(args[1], BigInt(args[2].initial))
    default:
      return undefined
  }
}

/** The second from which on an item is gone that is given this time to live. Second 0 was now: the real clock has hardly moved. */
function end(ttl: Ttl | undefined, now: number): number {
  if (ttl === undefined || ttl === 0) return Infinity
  if (ttl instanceof Date) return Math.max((ttl.getTime() - Date.now()) / 1000, -1)
  if (ttl < 0) return -1
  return ttl > LONGEST_RELATIVE ? ttl : now + ttl
}

function reading(item: Item | undefined, command: 'get' | 'gets' | 'metaGet', { now }: Circumstances): Answer {
  if (item === undefined) return value(undefined)
  const found = read(item)
  if (found === undefined) return refusal([MemcacheValueError], true)
  const { version } = item
  if (command === 'get') return value(found.value)
  if (command === 'gets') return { gives: 'version', value: found.value, version }
  const size = item.form === 'plain' ? item.bytes.length : undefined
  return { gives: 'description', value: found.value, version, flags: flagsOf(item), size, ttl: item.expires - now }
}

function stored(item: Item | undefined, { command, args }: Call<'set' | 'add' | 'replace' | 'cas'>, at: Circumstances): Ending[] {
  const [, given, options = {}] = args
  const bytes = store(given, 'minCompressLength' in options ? options.minCompressLength : undefined) as Stored
  if (sizeOf(bytes) > LIMITS.server) {
    const refused = tooLarge(item, command)
    // With the id 0 the binary protocol has only a question, which is answered before the server sees how long the value is.
    return command === 'cas' && args[2].cas === 0n ? [...refused, { answer: value(false), item }] : refused
  }
  const allowed = command === 'set' || (command === 'add' ? item === undefined : item !== undefined)
  const same = command !== 'cas' || at.versionOf(args[2].cas as bigint) === item?.version
  if (!allowed || !same) return [{ answer: value(false), item }]
  return [{ answer: value(true), item: { ...bytes, version: at.version, since: at.now, expires: end(options.ttl, at.now) } }]
}

/** Better no value than one that should have been overwritten: in some protocols the servers see to that for `set` alone. */
function tooLarge(item: Item | undefined, command: KeyCommand): Ending[] {
  const answer = refusal([MemcacheServerError], true)
  const gone = { answer, item: undefined }
  return command === 'set' || item === undefined ? [gone] : [gone, { answer, item }]
}

function joined(item: Item | undefined, command: 'append' | 'prepend', piece: Buffer, { version, now }: Circumstances): Ending[] {
  if (piece.length > LIMITS.server) return tooLarge(item, command)
  if (item === undefined || sizeOf(item) + piece.length > LIMITS.server) return [{ answer: value(false), item }]
  const bytes = Buffer.concat(command === 'append' ? [item.bytes, piece] : [piece, item.bytes])
  const form = item.form === 'packed' && piece.length > 0 ? 'broken' : item.form
  return [{ answer: value(true), item: { ...item, bytes, form, version, since: now } }]
}

/**
 * A counter that becomes shorter stays as long, with blanks behind it; but memcached makes a new one while it is still sending
 * the old one. And from 2^63 on it takes a counter for a negative number if a `-` happens to lie in the memory behind it.
 */
function counted(item: Item | undefined, command: 'incr' | 'decr', [, delta, options]: Call<'incr'>['args'], at: Circumstances): Ending[] {
  const { now, version } = at
  if (item === undefined) {
    const initial = options?.initial
    if (initial === undefined) return [{ answer: value(undefined), item }]
    const made = { ...storeCount(BigInt(initial)), version, since: now, expires: end(options?.ttl, now) }
    return [{ answer: value(likeDelta(delta, BigInt(initial))), item: made }]
  }
  const number = numberIn(item)
  const noNumber = { answer: refusal([MemcacheClientError], true), item }
  if (number === undefined) return [noNumber]
  const step = command === 'incr' ? BigInt(delta) : -BigInt(delta)
  const count = step < 0n ? (number + step < 0n ? 0n : number + step) : BigInt.asUintN(64, number + step)
  const fits = typeof delta === 'bigint' || count <= BigInt(Number.MAX_SAFE_INTEGER)
  const answer = fits ? value(likeDelta(delta, count)) : refusal([MemcacheValueError], true)
  const digits = String(count)
  const inPlace = Math.max(item.bytes.length, digits.length)
  const lengths = at.exact ? [inPlace] : [...new Set([inPlace, digits.length])]
  const ends = lengths.map((length) => ({ answer, item: { ...item, bytes: Buffer.from(digits.padEnd(length)), version, since: now } }))
  return at.exact || number < 2n ** 63n ? ends : [...ends, noNumber]
}

function likeDelta(delta: number | bigint, count: bigint): number | bigint {
  return typeof delta === 'bigint' ? count : Number(count)
}

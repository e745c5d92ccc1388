import { json } from '../../serializers/json.ts'
import { whole } from '../arguments.ts'
import { checkCall, checkNames, isPlain, lifetime, NO_OPTIONS, type StoreOptions } from '../call-options.ts'
import type { CallOptions, Key } from '../commands.ts'
import type { ConsumeOptions } from './consumer.ts'
import { MemcacheKeyError, MemcacheValueError } from '../errors.ts'
import { wireKey, type KeyRules } from '../key.ts'
import { bytes, utf8, type QueueCodec } from './codec.ts'
import type { WorkOptions } from './worker.ts'
import { show } from '../show.ts'

/** Milliseconds: a server that waits longer cannot be told from one that is gone. */
const LONGEST_WAIT = 60_000
const MOST_READERS = 1000

const CODECS = { buffer: bytes, string: utf8, json }
const GET = new Set(['timeout', 'signal', 'blockFor'])
const CONSUME = new Set(['blockFor', 'concurrency', 'signal', 'ack', 'onFault'])
const WORK = new Set(['blockFor', 'concurrency', 'signal', 'onError', 'retries', 'deadLetter', 'backoff', 'onFault'])
const ON_ERROR = new Set(['abort', 'retry', 'ack'])

/** Seconds: from here on kestrel takes an expiry for a moment since 1970. Its smallest such moment is long past. */
const KESTREL_MOMENT = 1_000_000
/** Seconds since 1970 that are no time to live in any server's eyes. */
const MOMENT = 1_000_000_000

/** Options of a queue's `put`. */
export type QueuePutOptions = Omit<StoreOptions, 'minCompressLength'>

/** Options of a queue's `get`. */
export interface QueueGetOptions extends CallOptions {
  /** How long the server waits for an item before it says that there is none, in milliseconds. Default 0. */
  readonly blockFor?: number | undefined
}

/** Options of `process`. */
export type ProcessOptions = Omit<ConsumeOptions, 'ack' | 'onFault'> & WorkOptions

/** How a queue's values become bytes: `buffer` (the default: only Buffers), `string`, `json`, or a codec or serializer of your own. */
export interface QueueOptions<T> {
  readonly codec?: 'buffer' | 'string' | 'json' | QueueCodec<T> | QueueCodec<unknown> | undefined
}

/**
 * A queue's name on the wire. @throws MemcacheKeyError for what is no key, and for a name with a slash, behind which servers
 * read options.
 */
export function queueKey(name: string, rules: KeyRules): Key {
  if (typeof name !== 'string') throw new MemcacheKeyError(`the name of a queue is a string, not ${show(name)}`)
  const key = wireKey(name, rules)
  if (key.includes('/')) throw new MemcacheKeyError(`the name of a queue has no slash, as ${show(name)} has: options would be read behind it`)
  return key
}

/** @throws MemcacheValueError for what is no codec. */
export function queueCodec({ codec }: { readonly codec?: unknown }): QueueCodec<never> {
  const named = typeof codec === 'string' && Object.hasOwn(CODECS, codec) ? CODECS[codec as keyof typeof CODECS] : codec === undefined ? bytes : codec
  const { serialize, deserialize } = (typeof named === 'object' && named !== null ? named : {}) as Partial<QueueCodec>
  if (typeof serialize === 'function' && typeof deserialize === 'function') return named as QueueCodec<never>
  throw new MemcacheValueError(`a codec is 'buffer', 'string', 'json', or an object with serialize and deserialize, not ${show(codec)}`)
}

/** When a value expires, in words that these servers agree on: those that do not refuse a negative number, or forget the value. */
export function queueExpiry(options: QueuePutOptions | undefined): number {
  const expires = lifetime(options)
  if (expires < 0) return KESTREL_MOMENT
  return expires >= KESTREL_MOMENT && expires < MOMENT ? Math.floor(Date.now() / 1000) + expires : expires
}

/** The options of `get` with their defaults. @throws MemcacheValueError for what cannot be right. */
export function checkGet(options: QueueGetOptions = NO_OPTIONS): QueueGetOptions & { readonly blockFor: number } {
  plain('get', options)
  checkNames('get', options, GET)
  const { blockFor = 0, ...call } = options
  checkCall('get', call as CallOptions)
  whole('"blockFor"', blockFor, [0, LONGEST_WAIT])
  return { ...call, blockFor }
}

/** @throws MemcacheValueError for what cannot be right. */
export function checkConsume(options: ConsumeOptions): ConsumeOptions {
  plain('consume', options)
  checkNames('consume', options, CONSUME)
  const { blockFor = 1000, concurrency = 1, ack = 'manual', signal, onFault } = options
  whole('"blockFor"', blockFor, [1, LONGEST_WAIT])
  whole('"concurrency"', concurrency, [1, MOST_READERS])
  if (ack !== 'manual' && ack !== 'auto') throw new MemcacheValueError(`"ack" is 'manual' or 'auto', not ${show(ack)}`)
  checkCall('consume', { signal })
  callable('onFault', onFault)
  return options
}

/** The options of `process`, for its parts. @throws MemcacheValueError or MemcacheKeyError for what cannot be right. */
export function checkWork(
  handler: unknown,
  options: ProcessOptions,
  keyOf: (name: string) => Key,
): { readonly consume: ConsumeOptions; readonly work: WorkOptions; readonly concurrency: number } {
  plain('process', options)
  checkNames('process', options, WORK)
  const { blockFor, concurrency = 1, signal, onFault, onError = 'abort', retries = 0, deadLetter, backoff } = options
  if (typeof handler !== 'function') throw new MemcacheValueError(`a handler is a function, not ${show(handler)}`)
  callable('onFault', onFault)
  const consume = checkConsume({ blockFor, concurrency, signal, onFault: onFault && ((fault) => onFault(fault)) })
  if (!ON_ERROR.has(onError)) throw new MemcacheValueError(`"onError" is 'abort', 'retry' or 'ack', not ${show(onError)}`)
  whole('"retries"', retries, [0, Number.MAX_SAFE_INTEGER])
  if (deadLetter !== undefined) keyOf(deadLetter)
  if (typeof backoff === 'number') whole('"backoff"', backoff, [0, 2 ** 31 - 1])
  else callable('backoff', backoff)
  return { consume, work: { onError, retries, deadLetter, backoff, onFault }, concurrency }
}

function plain(command: string, options: unknown): void {
  if (!isPlain(options)) throw new MemcacheValueError(`the options of ${command} are an object, not ${show(options)}`)
}

function callable(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw new MemcacheValueError(`"${name}" is a function, not ${show(value)}`)
}

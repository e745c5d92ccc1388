import { LONGEST_TIMEOUT } from './alarm.ts'
import type { CallOptions } from './commands.ts'
import { MemcacheValueError } from './errors.ts'
import { expiry, type Ttl } from './expiry.ts'
import { show } from './show.ts'

/** Options of the storage commands. */
export interface StoreOptions extends CallOptions {
  /** How long the item lives: seconds from now, or a Date. Default 0: until it is evicted. */
  readonly ttl?: Ttl | undefined
  /** Compress from this many bytes on; 0 = never. Default: the client's option of that name. */
  readonly minCompressLength?: number | undefined
}

/** Options of `cas`. */
export interface CasOptions extends StoreOptions {
  /** The version that must still be the present one, as `gets` gave it. Default: the one that the client has cached. */
  readonly cas?: bigint | undefined
}

/** Options of `incr` and `decr`. */
export interface CountOptions extends CallOptions {
  /** What a counter that does not exist starts with; the delta is not applied then. Default: it is not made. */
  readonly initial?: number | bigint | undefined
  /** How long a counter that is made lives. Default 0: until it is evicted. */
  readonly ttl?: Ttl | undefined
}

const CALL = new Set(['timeout', 'signal'])
const STORE = new Set([...CALL, 'ttl', 'minCompressLength'])
const CAS = new Set([...STORE, 'cas'])
const COUNT = new Set([...CALL, 'initial', 'ttl'])
const KNOWN = new Map(Object.entries({ put: new Set([...CALL, 'ttl']), set: STORE, add: STORE, replace: STORE, append: STORE, prepend: STORE, setMulti: STORE, cas: CAS, incr: COUNT, decr: COUNT }))

/** What stands for options that nobody has given: it has none, not even what somebody has written to Object.prototype. */
export const NO_OPTIONS: object = Object.freeze(Object.create(null) as object)

/** What is called of a signal. */
const SIGNAL = ['addEventListener', 'removeEventListener', 'throwIfAborted'] as const

/** Whether this is an object that can only be meant as options: a Date, a Map or a URL is meant as something else. */
export function isPlain(options: unknown): options is object {
  if (typeof options !== 'object' || options === null) return false
  const prototype: unknown = Object.getPrototypeOf(options)
  return prototype === null || Object.getPrototypeOf(prototype) === null // of this realm or of another one
}

/**
 * Checks what may be wrong with the options of any call.
 * @throws MemcacheValueError for a name that the command does not know (another client's `expires` would else be an item
 * that never does), for a timeout that is no positive number, and for what is no options object or signal at all.
 */
export function checkCall(command: string, options: CallOptions & { readonly minCompressLength?: unknown }): void {
  if (!isPlain(options)) {
    throw new MemcacheValueError(`the options of ${command} are an object, such as { timeout: 500 }, not ${show(options)}`)
  }
  checkNames(command, options, KNOWN.get(command) ?? CALL)
  const { timeout, signal, minCompressLength } = options
  if (timeout !== undefined && !(typeof timeout === 'number' && timeout > 0 && timeout <= LONGEST_TIMEOUT)) {
    throw new MemcacheValueError(`a timeout is a number of milliseconds above 0, at most ${LONGEST_TIMEOUT}, not ${show(timeout)}`)
  }
  if (signal !== undefined && !SIGNAL.every((method) => typeof signal?.[method] === 'function')) {
    throw new MemcacheValueError('a signal is an AbortSignal')
  }
  if (minCompressLength !== undefined && !(Number.isInteger(minCompressLength) && (minCompressLength as number) >= 0)) {
    throw new MemcacheValueError(`minCompressLength is a whole number of bytes, not ${show(minCompressLength)}`)
  }
}

/**
 * @throws MemcacheValueError for an option whose name is not among these, and for one that is inherited: somebody has written
 * to Object.prototype, and it would hold for every call of the process.
 */
export function checkNames(command: string, options: object, known: ReadonlySet<string>): void {
  for (const name of known) {
    if (name in options && !Object.hasOwn(options, name)) throw new MemcacheValueError(`the option "${name}" of ${command} is not the caller's own: a prototype has it`)
  }
  for (const name of Object.keys(options)) {
    if (!known.has(name)) throw new MemcacheValueError(`${command} has no option "${name}": it has ${[...known].join(', ')}`)
  }
}

/** How long an item lives, in the form of expiry.ts. Not `??`: null is no time to live, and least of all an unlimited one. */
export function lifetime(options: { readonly ttl?: Ttl | undefined } | undefined): number {
  return options?.ttl === undefined ? 0 : expiry(options.ttl)
}

import { Buffer, isUtf8 } from 'node:buffer'
import { MemcacheKeyError, MemcacheValueError } from '../../lib/errors.ts'
import type { Ttl } from '../../lib/expiry.ts'
import type { KeyLike } from '../../lib/key.ts'
import { makeCall, type Call, type KeyCommand } from './calls.ts'
import type { ErrorClass } from './item.ts'
import { LIMITS, sizeOf, store, storePiece } from './values.ts'

/** The arguments of calls: the keys that they name, and what is wrong with them whatever is stored, so that nothing is sent. */

/** Texts that are no key; a Buffer of these bytes is none either. */
export const NO_KEYS: readonly KeyLike[] = ['', 'k'.repeat(251), '\ud800']
/** Keys for those drivers alone that can say any bytes. */
export const BINARY_KEYS: readonly KeyLike[] = ['two words', Buffer.from([0, 13, 10, 32, 255, 127])]
/** What is no time to live: memcached's clock ends in 2038. */
export const NO_TTLS: readonly Ttl[] = [1.5, NaN, 1e10, new Date(NaN), new Date('2100-01-01')]
/** What is no step of a counter. */
export const NO_DELTAS: readonly (number | bigint)[] = [0.5, NaN, 2 ** 53, 2n ** 64n]
/** What is no beginning of a counter. */
export const NO_INITIALS: readonly (number | bigint)[] = [-1, 1.5, -1n, 2n ** 64n]

/** The bytes of a key, one character a byte. */
export function wireKey(key: KeyLike): string {
  return Buffer.from(key as string).toString('latin1')
}

/** The name under which a result lists a key. */
export function nameOf(key: KeyLike): string {
  return typeof key === 'string' ? key : key.toString(isUtf8(key) ? 'utf8' : 'latin1')
}

/** The errors of which the call has to give one; none for a call that is as it should be. */
export function faultsOf(call: Call, binaryKeys: boolean): ErrorClass[] {
  const wrongKey = keysOf(call).some((key) => NO_KEYS.includes(key) || (BINARY_KEYS.includes(key) && !binaryKeys))
  return [...(wrongKey ? [MemcacheKeyError] : []), ...(hasWrongValue(call) ? [MemcacheValueError] : [])]
}

/** The keys that a call names. */
export function keysOf({ command, args }: Call): readonly KeyLike[] {
  switch (command) {
    case 'flushAll':
    case 'resetCas':
    case 'verbosity':
    case 'version':
      return []
    case 'getMulti':
    case 'getsMulti':
    case 'deleteMulti':
      return args[0]
    case 'setMulti':
      return args[0].map(([key]) => key)
    default:
      return [args[0]]
  }
}

/**
 * What a command that names several keys does to each, as calls for one key; `undefined` for other commands. A key that is
 * named again has its last value and its first place.
 */
export function partsOf({ command, args }: Call): readonly Call<KeyCommand>[] | undefined {
  switch (command) {
    case 'getMulti':
      return oneForEach(args[0].map((key) => makeCall('get', [key])))
    case 'getsMulti':
      return oneForEach(args[0].map((key) => makeCall('gets', [key])))
    case 'deleteMulti':
      return oneForEach(args[0].map((key) => makeCall('delete', [key])))
    case 'setMulti':
      return oneForEach(args[0].map(([key, value]) => makeCall('set', [key, value, args[1]])))
    default:
      return undefined
  }
}

function oneForEach(calls: readonly Call<KeyCommand>[]): Call<KeyCommand>[] {
  return [...new Map(calls.map((call) => [wireKey(call.args[0]), call])).values()]
}

function hasWrongValue({ command, args }: Call): boolean {
  switch (command) {
    case 'gat':
    case 'gats':
    case 'touch':
      return isWrongTtl(args[1])
    case 'set':
    case 'add':
    case 'replace':
      return isWrongTtl(args[2]?.ttl) || isWrongValue(args[1], args[2]?.minCompressLength)
    case 'setMulti':
      return args[0].some(([, value]) => isWrongTtl(args[1]?.ttl) || isWrongValue(value, args[1]?.minCompressLength))
    case 'cas':
      return args[2].cas === undefined || isWrongTtl(args[2].ttl) || isWrongValue(args[1])
    case 'append':
    case 'prepend':
      return isWrongTtl(args[2]?.ttl) || (storePiece(args[1])?.length ?? Infinity) > LIMITS.client
    case 'incr':
    case 'decr':
      return NO_DELTAS.includes(args[1]) || (args[2] !== undefined && (isWrongInitial(args[2].initial, args[1]) || isWrongTtl(args[2].ttl)))
    default:
      return false
  }
}

function isWrongTtl(ttl: Ttl | undefined): boolean {
  return ttl !== undefined && NO_TTLS.includes(ttl)
}

function isWrongValue(value: unknown, minCompressLength?: number): boolean {
  const stored = store(value, minCompressLength)
  return stored === undefined || sizeOf(stored) > LIMITS.client
}

/** What begins as a count that the caller could not be given back is wrong, too. */
function isWrongInitial(initial: number | bigint | undefined, delta: number | bigint): boolean {
  if (initial === undefined) return false
  return NO_INITIALS.includes(initial) || (typeof delta === 'number' && initial > Number.MAX_SAFE_INTEGER)
}

import { MemcacheValueError } from './errors.ts'
import { show } from './show.ts'

const MOST = 2 ** 31 - 1
const LARGEST_CAS = 2n ** 64n - 1n
/** Words of printable ASCII, one blank between them: nothing that ends a line or begins another. */
const SECTION = /^(?:[\x21-\x7e]+(?: [\x21-\x7e]+)*)?$/
const LONGEST_SECTION = 200

/** @throws MemcacheValueError for what is no whole number of this range. */
export function whole(what: string, value: unknown, [least, most]: readonly [number, number] = [0, MOST]): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number
  throw new MemcacheValueError(`${what} is a whole number from ${least} to ${most}, not ${show(value)}`)
}

/** @throws MemcacheValueError for what is no name of a section of the statistics. */
export function statsSection(section: string): string {
  if (typeof section !== 'string' || section.length > LONGEST_SECTION || !SECTION.test(section)) {
    throw new MemcacheValueError(`a section of the statistics is a word or a few, not ${show(section)}`)
  }
  return section
}

/** @throws MemcacheValueError where there is no cas id, or one that no server gives. */
export function casId(cas: bigint | undefined): bigint {
  if (cas === undefined) {
    throw new MemcacheValueError('cas needs the id of a version: pass the one that gets gave, or let the client remember it (cacheCas)')
  }
  if (typeof cas !== 'bigint' || cas < 0n || cas > LARGEST_CAS) {
    throw new MemcacheValueError(`a cas id is a bigint from 0 to 2^64-1, not ${show(cas)}`)
  }
  return cas
}

/** @throws MemcacheValueError for what cannot be gone through, and for a string, whose parts are not what is meant. */
export function list<T>(what: string, values: Iterable<T>): Iterable<T> {
  if (typeof values === 'object' && values !== null && typeof values[Symbol.iterator] === 'function') return values
  throw new MemcacheValueError(`${what} are an array or another iterable, not ${show(values)}`)
}

/** Pairs as they are, or those of a Map or of an object's own properties. @throws MemcacheValueError for anything else. */
export function pairs<K, V>(entries: Iterable<readonly [K, V]> | { readonly [key: string]: V }): Iterable<readonly [K | string, V]> {
  if (typeof entries === 'object' && entries !== null && !(Symbol.iterator in entries)) return Object.entries(entries)
  return Array.from(list('entries', entries as Iterable<readonly [K, V]>), (entry) => {
    if (Array.isArray(entry)) return entry
    throw new MemcacheValueError(`an entry is a pair of a key and a value, not ${show(entry)}`)
  })
}

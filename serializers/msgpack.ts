/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { types } from 'node:util'
import { MemcacheUnsupportedError, MemcacheValueError } from '../lib/errors.ts'
import { flags } from '../lib/flags.ts'
import { loadPackage } from '../lib/package-loader.ts'
import type { Serializer } from '../lib/serialization.ts'
import { mayHaveTooMany, MOST_LEVELS } from './bounds.ts'
import { describe, findFlaw, isBare, refuse, type Leaves } from './flaws.ts'
import { checkBounds } from './msgpack-bounds.ts'

/** What is used of the package @msgpack/msgpack. */
interface Package {
  encode(value: unknown, options: { readonly ignoreUndefined: true; readonly maxDepth: number }): Uint8Array
  decode(bytes: Buffer, options: { readonly useBigInt64: true }): unknown
}

let loaded: Package | undefined

function load(): Package {
  try {
    return (loaded ??= loadPackage('@msgpack/msgpack') as Package)
  } catch (error) {
    throw new MemcacheUnsupportedError('the serializer msgpack needs a package that does not load: npm install @msgpack/msgpack', { cause: error })
  }
}

/**
 * MessagePack, which many languages read. It keeps what JSON does, and NaN, Infinity, Date and Buffers. What it would change
 * is refused with the path to the culprit, as by `json`; a property that is `undefined` is left out. Integers of others past
 * 2^53 are read as bigints.
 */
export const msgpack: Serializer = {
  flag: flags.msgpack,
  serialize(value) {
    const { buffer, byteOffset, length } = encode(value)
    const bytes = Buffer.from(buffer, byteOffset, length)
    check(value)
    if (mayHaveTooMany(bytes)) checkBounds(bytes)
    return bytes
  },
  deserialize(bytes) {
    const special = checkBounds(bytes)
    const value = load().decode(bytes, { useBigInt64: true })
    return special ? adapt(value) : value
  },
}

/** What the package refuses is looked for once more, to name the path to it: a circle, for one, it finds too deep. */
function encode(value: unknown): Uint8Array {
  const { encode: encodeAny } = load()
  try {
    return encodeAny(value, { ignoreUndefined: true, maxDepth: MOST_LEVELS })
  } catch (error) {
    check(value, new Set())
    throw error
  }
}

function check(value: unknown, ancestors?: Set<object>): void {
  const flaw = findFlaw(value, leaves, ancestors)
  if (flaw !== undefined) refuse('MessagePack', flaw)
}

const leaves: Leaves = {
  flawOf(leaf) {
    switch (typeof leaf) {
      case 'string':
        return flawOfString(leaf)
      case 'boolean':
        return undefined
      case 'number':
        return Object.is(leaf, -0) ? describe(leaf) : undefined
      default:
        return leaf === null || isKept(leaf) ? undefined : describe(leaf)
    }
  },
  flawOfKey: (key) => (key === '__proto__' ? 'a property named __proto__' : flawOfString(key)),
}

function flawOfString(text: string): string | undefined {
  if (!text.isWellFormed()) return 'a string with a lone surrogate'
  return text.startsWith('\ufeff') ? 'a string that begins with U+FEFF' : undefined // which the package takes for a byte order mark, and drops
}

function isKept(value: unknown): boolean {
  if (types.isDate(value)) return isBare(value, Date.prototype) && !Number.isNaN(value.getTime())
  return Buffer.isBuffer(value) && Object.getPrototypeOf(value) === Buffer.prototype
}

/** What was decoded, but bytes as Buffers, which share no memory with the item, and integers as numbers where that is exact. */
function adapt(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return checkDate(value)
  if (value instanceof Uint8Array) return Buffer.from(value)
  const holder = value as { [key: string]: unknown }
  for (const key of Object.keys(holder)) holder[key] = adapt(holder[key])
  return value
}

function checkDate(date: Date): Date {
  if (Number.isNaN(date.getTime())) throw new MemcacheValueError('it has a time that is out of the range of a Date')
  return date
}

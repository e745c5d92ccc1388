/// <reference types="node" preserve="true" />
import { Buffer, isUtf8 } from 'node:buffer'
import { makeBytes, type Codec } from './codec.ts'
import type { Item } from './commands.ts'
import { MemcacheValueError } from './errors.ts'
import { flags } from './flags.ts'

/** A number of more digits is refused: reading it takes time that grows with the square of its length, in which nothing else runs. */
const MOST_DIGITS = 10_000

/** How values that are no string, Buffer, integer or bigint become bytes. */
export interface Serializer {
  /** The bit that marks its values among an item's flags: one of flags.ts, or above 128 for a serializer of the user's own. */
  readonly flag: number
  /** @throws MemcacheValueError for what would come back changed. */
  serialize(value: unknown): Buffer
  deserialize(bytes: Buffer): unknown
}

/**
 * Values to bytes: strings, Buffers, integers and bigints by themselves, as flags.ts says, all else by the serializer.
 * What is read with flags that have no meaning here comes back as a Buffer.
 */
export function serialization(serializer: Serializer): Codec<unknown, Buffer> {
  return {
    encode(item, mode) {
      const plain = encodePlain(item)
      if (plain !== undefined) return plain
      if (mode === 'append' || mode === 'prepend') {
        throw new MemcacheValueError(`${mode} takes a string, a Buffer, a whole number or a bigint: the server only puts bytes together`)
      }
      return { value: makeBytes('serializer', () => serializer.serialize(item.value)), flags: serializer.flag, cas: item.cas }
    },
    decode: ({ value: bytes, flags: itemFlags, cas }) => ({
      value: itemFlags === serializer.flag ? serializer.deserialize(compact(bytes)) : decodePlain(bytes, itemFlags),
      flags: itemFlags,
      cas,
    }),
  }
}

/** The bytes of a value that needs no serializer; `undefined` for one that does. */
function encodePlain({ value, cas }: Item<unknown>): Item | undefined {
  switch (typeof value) {
    case 'string':
      return { value: encodeString(value), flags: flags.string, cas }
    case 'number': // -0 would come back as 0
      if (!Number.isSafeInteger(value) || Object.is(value, -0)) return undefined
      return { value: Buffer.from(String(value)), flags: flags.integer, cas }
    case 'bigint':
      return { value: encodeBigint(value), flags: flags.long, cas }
    case 'undefined':
      throw new MemcacheValueError('undefined cannot be stored: it is what a miss gives')
    default:
      return Buffer.isBuffer(value) ? { value, flags: flags.bytes, cas } : undefined
  }
}

function encodeBigint(value: bigint): Buffer {
  const digits = String(value)
  if (digits.length > MOST_DIGITS) throw new MemcacheValueError(`a bigint has at most ${MOST_DIGITS} digits, not ${digits.length}`)
  return Buffer.from(digits)
}

function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length !== text.length && !text.isWellFormed()) {
    throw new MemcacheValueError('the string has a lone surrogate, which has no bytes in UTF-8: store it as a Buffer')
  }
  return bytes
}

function decodePlain(bytes: Buffer, itemFlags: number): unknown {
  switch (itemFlags) {
    case flags.string:
      return decodeString(bytes)
    case flags.integer: {
      const exact = decodeInteger(bytes)
      const number = Number(exact)
      return Number.isSafeInteger(number) ? number : exact // other languages have larger integers
    }
    case flags.long:
      return decodeInteger(bytes)
    default:
      return compact(bytes)
  }
}

/** Text; but bytes that are no UTF-8, as clients write them that know no flags, come back as they are. */
function decodeString(bytes: Buffer): string | Buffer {
  const text = bytes.toString()
  return text.includes('\ufffd') && !isUtf8(bytes) ? compact(bytes) : text
}

/** memcached pads a counter that has become shorter with spaces. */
function decodeInteger(bytes: Buffer): bigint {
  if (bytes.length > MOST_DIGITS) throw new MemcacheValueError(`it is marked as a number but is ${bytes.length} bytes long`)
  const digits = bytes.toString('latin1').trim()
  if (!/^-?\d+$/.test(digits)) throw new MemcacheValueError('it is marked as a number but is none')
  return BigInt(digits)
}

/** Bytes that may be kept for long: a small value must not hold the whole chunk in memory that it came in. */
function compact(bytes: Buffer): Buffer {
  const held = bytes.buffer.byteLength
  return held > Buffer.poolSize && held > 2 * bytes.length ? Buffer.from(bytes) : bytes
}

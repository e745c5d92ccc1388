/// <reference types="node" preserve="true" />
import { Buffer, isUtf8 } from 'node:buffer'
import { MemcacheValueError } from './errors.ts'

/** Strings and numbers as bytes, in the way that all clients agree on; how they are flagged is a format's affair. */

/** A number of more digits is refused: reading it takes time that grows with the square of its length, in which nothing else runs. */
const MOST_DIGITS = 10_000

/** @throws MemcacheValueError for a string that UTF-8 cannot say. */
export function encodeString(text: string): Buffer {
  if (Buffer.byteLength(text) === text.length) return Buffer.from(text, 'latin1') // ASCII: the same bytes, for less
  if (!text.isWellFormed()) throw new MemcacheValueError('the string has a lone surrogate, which has no bytes in UTF-8: store it as a Buffer')
  return Buffer.from(text, 'utf8')
}

/** Text; but bytes that are no UTF-8, as clients write them that know no flags, come back as they are. */
export function decodeString(bytes: Buffer): string | Buffer {
  const text = bytes.toString()
  return text.includes('\ufffd') && !isUtf8(bytes) ? bytes : text
}

/** @throws MemcacheValueError for a bigint so long that it would not be read again. */
export function encodeBigint(value: bigint): Buffer {
  const digits = String(value)
  if (digits.length > MOST_DIGITS) throw new MemcacheValueError(`a bigint has at most ${MOST_DIGITS} digits, not ${digits.length}`)
  return Buffer.from(digits)
}

/** Decimal digits. @throws MemcacheValueError for anything else. */
export function decodeBigint(bytes: Buffer): bigint {
  if (bytes.length > MOST_DIGITS) throw new MemcacheValueError(`it is marked as a number but is ${bytes.length} bytes long`)
  const digits = bytes.toString('latin1').trim() // memcached pads a counter that has become shorter with spaces
  if (!/^-?\d+$/.test(digits)) throw new MemcacheValueError('it is marked as a number but is none')
  return BigInt(digits)
}

/** As `decodeBigint`, but a number where that is exact: other languages have larger integers. */
export function decodeInteger(bytes: Buffer): number | bigint {
  const exact = decodeBigint(bytes)
  const number = Number(exact)
  return Number.isSafeInteger(number) ? number : exact
}

/** Whether these bytes of a number come back as the same one; -0 would come back as 0. */
export function isInteger(value: number): boolean {
  return Number.isSafeInteger(value) && !Object.is(value, -0)
}

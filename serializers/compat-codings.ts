/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { decodeBigint, decodeInteger, decodeString, encodeBigint, encodeString } from '../lib/plain-values.ts'
import { json } from './json.ts'
import { readMarshal } from './marshal-reader.ts'
import { writeMarshal } from './marshal-writer.ts'
import { phpFloat, readPhp } from './php-reader.ts'
import { writePhp } from './php-writer.ts'
import { pickle } from './pickle.ts'

/** How values of a kind become bytes in other clients' formats, and back. */
export interface Coding {
  /** Given only the kinds of values that the table has for it. @throws MemcacheValueError for what would come back changed. */
  encode(value: unknown): Buffer
  decode(bytes: Buffer): unknown
}

/** A coding of values of this type. */
export function coding<Value>(encode: (value: Value) => Buffer, decode: (bytes: Buffer) => unknown): Coding {
  return { encode: encode as Coding['encode'], decode }
}

/** A coding of what JavaScript has no type for. */
export function readOnly(decode: (bytes: Buffer) => unknown): Coding {
  return {
    encode() {
      throw new MemcacheValueError('it is only read')
    },
    decode,
  }
}

/** What only the client itself can read. */
export function unreadable(what: string): Coding {
  return readOnly(() => {
    throw new MemcacheValueError(`it is ${what}, which cannot be read`)
  })
}

/** UTF-8; bytes that are none come back as a Buffer. */
export const text = coding(encodeString, decodeString)
/** As they are. */
export const bytes = coding((value: Buffer) => value, (value) => value)
/** Decimal digits: a number where that is exact, else a bigint. */
export const integer = coding((value: number) => Buffer.from(String(value)), decodeInteger)
/** Decimal digits of what is kept apart from integers: always a bigint. */
export const long = coding(encodeBigint, decodeBigint)
/** Decimal digits, where there is one type for all integers. */
export const largeInteger = coding((value: bigint) => encodeBigint(large(value)), decodeInteger)
/** The same of 64 bits. */
export const int64 = coding((value: bigint) => encodeBigint(fitting(value)), decodeInteger)
/** As JavaScript writes numbers, and PHP too: `1.5`, `-0`, `NaN`. */
export const float = coding(
  (value: number) => Buffer.from(Object.is(value, -0) ? '-0' : String(value)),
  (digits) => phpFloat(digits.toString('latin1')),
)
/** The same where integers are not kept apart: digits alone are an integer, of any length. */
export const number = coding(
  (value: number) => (Number.isInteger(value) && !Number.isSafeInteger(value) ? Buffer.from(value.toExponential()) : float.encode(value)),
  (digits) => (/^-?[1-9]\d* *$/.test(digits.toString('latin1')) ? decodeInteger(digits) : float.decode(digits)),
)
/** `1`, or nothing at all. */
export const phpBoolean = coding((value: boolean) => Buffer.from(value ? '1' : ''), (digit) => digit.toString('latin1') === '1')
/** Python's pickle. */
export const pickled = coding(pickle.serialize, pickle.deserialize)
/** PHP's serialize(). */
export const phpSerialized = coding(writePhp, readPhp)
/** JSON. */
export const jsonText = coding(json.serialize, json.deserialize)
/** Ruby's Marshal. JSON, which dalli can be told to write, is told from it by its first byte. */
export const marshalled = coding(writeMarshal, (value) => (value[0] === 4 ? readMarshal(value) : json.deserialize(value)))
/** The reverse: JSON is written, and Marshal is read too. */
export const marshalledOrJson = coding(json.serialize, marshalled.decode)
/** UTF-8 in which a backslash stands before each line feed and carriage return. */
export const escapedText = coding((value: string) => escaped(encodeString(value)), (value) => decodeString(unescaped(value)))
/** The same of JSON. */
export const escapedJson = coding(json.serialize, (value) => json.deserialize(unescaped(value)))
/** Bytes, of which each is a character of such a text. */
export const escapedBytes = coding(
  (value: Buffer) => escaped(Buffer.from(value.toString('latin1'))),
  (value) => latin1(unescaped(value).toString()),
)

/** The bigint, unless a number could say it, which it would come back as. */
function large(value: bigint): bigint {
  if (!Number.isSafeInteger(Number(value))) return value
  throw new MemcacheValueError(`the bigint ${value} would come back as a number: store it as one`)
}

/** The bigint, unless a number could say it or 64 bits with a sign could not. */
export function fitting(value: bigint): bigint {
  if (BigInt.asIntN(64, value) === value) return large(value)
  throw new MemcacheValueError('the bigint has more than 64 bits')
}

/** Bytes with a backslash before each line feed and carriage return. */
export function escaped(value: Buffer): Buffer {
  return Buffer.from(value.toString('latin1').replace(/[\r\n]/g, '\\$&'), 'latin1')
}

function unescaped(value: Buffer): Buffer {
  return Buffer.from(value.toString('latin1').replace(/\\([\r\n])/g, '$1'), 'latin1')
}

function latin1(value: string): Buffer {
  const characters = Buffer.from(value, 'latin1')
  if (characters.toString('latin1') !== value) throw new MemcacheValueError('it is marked as bytes but has characters that are none')
  return characters
}

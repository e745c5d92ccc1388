/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { coding, fitting, readOnly } from './compat-codings.ts'

/** Java's types as spymemcached and xmemcached store them: big-endian numbers, without the zeros in front. */

/** A byte that is `1` or `0`. */
export const javaBoolean = coding((value: boolean) => Buffer.from(value ? '1' : '0'), (digit) => digit.toString('latin1') === '1')
/** 1 byte; only read. */
export const javaByte = readOnly((bytes) => Number(unpacked(bytes, 1)))
/** 4 bytes. */
export const javaInteger = coding((value: number) => packed(BigInt(value), 4), (bytes) => Number(unpacked(bytes, 4)))
/** 8 bytes: a number where that is exact, else a bigint. */
export const javaLong = coding(
  (value: number | bigint) => packed(typeof value === 'bigint' ? fitting(value) : BigInt(value), 8),
  (bytes) => {
    const integer = unpacked(bytes, 8)
    return Number.isSafeInteger(Number(integer)) ? Number(integer) : integer
  },
)
/** The bits of 4 bytes; only read. */
export const javaFloat = readOnly((bytes) => wide(bytes, 4).readFloatBE())
/** The bits of 8 bytes. */
export const javaDouble = coding(
  (value: number) => {
    const bits = Buffer.alloc(8)
    bits.writeDoubleBE(value)
    return withoutZeros(bits)
  },
  (bytes) => wide(bytes, 8).readDoubleBE(),
)
/** Milliseconds since 1970, in 8 bytes. */
export const javaDate = coding(
  (value: Date) => packed(BigInt(validDate(value).getTime()), 8),
  (bytes) => validDate(new Date(Number(unpacked(bytes, 8)))),
)

function packed(value: bigint, size: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(value)
  return withoutZeros(bytes.subarray(8 - size))
}

function withoutZeros(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0)
  return first === -1 ? Buffer.alloc(0) : bytes.subarray(first)
}

function unpacked(bytes: Buffer, size: number): bigint {
  return BigInt.asIntN(8 * size, wide(bytes, 8, size).readBigUInt64BE())
}

/** With the zeros again, to this size. */
function wide(bytes: Buffer, size: number, most = size): Buffer {
  if (bytes.length > most) throw new MemcacheValueError(`it is marked as a number of ${most} bytes, but is ${bytes.length} bytes long`)
  const all = Buffer.alloc(size)
  bytes.copy(all, size - bytes.length)
  return all
}

function validDate(date: Date): Date {
  if (Number.isNaN(date.getTime())) throw new MemcacheValueError('the date is none that a Date can be')
  return date
}

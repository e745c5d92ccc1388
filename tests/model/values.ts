import { Buffer, isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'

/** The values that programs store, and how they are stored by what is promised, not by what the client does. */

/** Bytes. What is longer is refused by the client, or by the server. No item comes near to it. */
export const LIMITS = { client: 700_000, server: 512 * 1024 }

/** A text that becomes shorter by compression, if a call asks for it from {@link COMPRESS_FROM} bytes on. */
export const LONG_TEXT = 'ab'.repeat(600)

/** Bytes. Among the values that are so long, only {@link LONG_TEXT} becomes shorter. */
export const COMPRESS_FROM = 1000

/** It can be stored, but not twice in one item. */
export const LARGE = noise(300_000)

/** What only the server refuses. */
export const TOO_LARGE = noise(600_000)

/** What the client refuses. */
export const FAR_TOO_LARGE = noise(800_000)

/** Bytes: a number of more digits is refused. */
const LONGEST_NUMBER = 10_000

/** What is no value. */
export const NO_VALUES: readonly unknown[] = [undefined, NaN, -Infinity, new Map(), new Date(0), () => 1, Symbol('s'), '\ud800']

/** Bytes that do not become fewer by compression, the same in every run. */
function noise(outputLength: number): Buffer {
  return createHash('shake256', { outputLength }).digest()
}

/** `packed`: compressed. `broken`: something was put before or behind what is compressed: its bytes are just as many. */
export type Form = 'plain' | 'packed' | 'broken'

/** A value as it is stored. `bytes` are those before compression. */
export interface Stored {
  readonly bytes: Buffer
  readonly flags: number
  readonly form: Form
}

const STRING = 0
const INTEGER = 2
const LONG = 4
const BYTES = 16
const JSON_TEXT = 32

/** How a value is stored; `undefined` for one that cannot be. */
export function store(value: unknown, minCompressLength = Infinity): Stored | undefined {
  if (NO_VALUES.includes(value)) return undefined
  const [flags, bytes] = encode(value)
  return { bytes, flags, form: value === LONG_TEXT && bytes.length >= minCompressLength ? 'packed' : 'plain' }
}

function encode(value: unknown): [flags: number, bytes: Buffer] {
  if (typeof value === 'string') return [STRING, Buffer.from(value)]
  if (typeof value === 'bigint') return [LONG, Buffer.from(String(value))]
  if (Buffer.isBuffer(value)) return [BYTES, value]
  if (Object.is(value, -0)) return [JSON_TEXT, Buffer.from('-0')]
  return Number.isSafeInteger(value) ? [INTEGER, Buffer.from(String(value))] : [JSON_TEXT, Buffer.from(JSON.stringify(value))]
}

/** What `append` and `prepend` put there: bytes alone. */
export function storePiece(piece: unknown): Buffer | undefined {
  const stored = store(piece)
  return stored === undefined || stored.flags === JSON_TEXT ? undefined : stored.bytes
}

/** A counter that was made by `initial`. */
export function storeCount(count: bigint): Stored {
  return { bytes: Buffer.from(String(count)), flags: INTEGER, form: 'plain' }
}

/** The bytes of an item on the server, at most. */
export function sizeOf({ bytes, form }: Stored): number {
  return form === 'packed' ? COMPRESS_FROM : bytes.length
}

/** The flags of an item on the server: 8 = compressed. */
export function flagsOf({ flags, form }: Stored): number {
  return form === 'plain' ? flags : flags | 8
}

/** The value of an item; `undefined` for one that cannot be decoded. */
export function read({ bytes, flags, form }: Stored): { readonly value: unknown } | undefined {
  if (form === 'broken') return undefined
  if (flags === BYTES) return { value: bytes }
  if (flags === STRING) return { value: isUtf8(bytes) ? bytes.toString() : bytes }
  if (flags === JSON_TEXT) return parse(bytes.toString())
  const digits = bytes.toString('latin1').trim()
  if (bytes.length > LONGEST_NUMBER || !/^-?\d+$/.test(digits)) return undefined
  return { value: flags === INTEGER && Number.isSafeInteger(Number(digits)) ? Number(BigInt(digits)) : BigInt(digits) }
}

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return undefined
  }
}

/** The number that the server counts on from, by C's strtoull; `undefined` where there is none. */
export function numberIn({ bytes, form }: Stored): bigint | undefined {
  const text = `${bytes.toString('latin1')}\r\n`
  const [, sign, digits] = /^[\t-\r ]*([+-]?)(\d+)(?=[\0\t-\r ])/.exec(text) ?? []
  if (form !== 'plain' || digits === undefined || BigInt(digits) >= 2n ** 64n) return undefined
  const number = BigInt.asUintN(64, sign === '-' ? -BigInt(digits) : BigInt(digits))
  return number >= 2n ** 63n && text.includes('-') ? undefined : number
}

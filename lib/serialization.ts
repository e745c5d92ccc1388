/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { kept } from './byte-reader.ts'
import { asBuffer, attempt, type Codec } from './codec.ts'
import type { StoreMode } from './commands.ts'
import type { Compressor } from './compression.ts'
import { MemcacheValueError } from './errors.ts'
import { flags } from './flags.ts'
import { decodeBigint, decodeInteger, decodeString, encodeBigint, encodeString, isInteger } from './plain-values.ts'
import { show } from './show.ts'

/** How values that are no string, Buffer, integer or bigint become bytes. */
export interface Serializer {
  /** The one bit that marks its values among an item's flags: one of flags.ts, or from 1024 on for a serializer of the user's own. */
  readonly flag: number
  /** @throws MemcacheValueError for what would come back changed. */
  serialize(value: unknown): Buffer
  deserialize(bytes: Buffer): unknown
}

/** A value as it is stored, but for compression. */
export interface Encoded {
  readonly value: Buffer
  /** From 0 to 2^32-1. */
  readonly flags: number
}

/** How all values become bytes and flags: ermc's own way is one format, those of other clients are others. */
export interface Format {
  /** Its name in messages. */
  readonly name: string
  /** Its compressors, none for a format that knows none. The first one writes, all of them read. */
  readonly compressors: readonly Compressor[]
  /** What `append` and `prepend` send of a string's, a Buffer's or a number's bytes. Throws where that is not possible. Default: the bytes. */
  piece?(bytes: Buffer): Buffer
  /** Never called with `undefined`, nor for `append` and `prepend`. @throws MemcacheValueError for what would come back changed. */
  encode(value: unknown): Encoded
  /** `bytes` and `flags` are those of the item, without a compressor's. What is kept of the bytes has to be a copy. */
  decode(bytes: Buffer, flags: number): unknown
  /** The flags of a counter that `incr` makes, whose bytes are decimal digits. Default: those of an integer. */
  readonly counterFlags?: number
  /** Whether nothing that `decode` gives shares memory with the bytes, but for the bytes themselves. Default: it may. */
  readonly readsAtOnce?: boolean
  /** Whether these flags, without a compressor's, mean anything here: what has others is read as a Buffer, as it is. Default: all do. */
  knows?(flags: number): boolean
}

/** Values to items, by a format. */
export function serialization(format: Format): Codec<unknown, Buffer> {
  return {
    encode({ value, cas }, mode) {
      if (value === undefined) throw new MemcacheValueError('undefined cannot be stored: it is what a miss gives')
      if (mode === 'append' || mode === 'prepend') return { value: pieceOf(value, mode, format), flags: flags.string, cas }
      const encoded: Partial<Encoded> | undefined = attempt('serializer', () => format.encode(value))
      return { value: asBuffer('serializer', encoded?.value), flags: checkFlags(encoded?.flags), cas }
    },
    decode({ value: bytes, flags: itemFlags, cas }) {
      const value = format.knows?.(itemFlags) === false ? bytes : format.decode(format.readsAtOnce === true ? bytes : kept(bytes), itemFlags)
      return { value: Buffer.isBuffer(value) ? compact(value) : value, flags: itemFlags, cas }
    },
  }
}

/**
 * ermc's own format: strings, Buffers, integers and bigints by themselves, as flags.ts says, all else by a serializer: the
 * first one writes, all of them read. Values of a serializer that is not among them are read as a Buffer.
 */
export function ownFormat(serializers: readonly Serializer[], compressors: readonly Compressor[]): Format {
  const [writer] = serializers
  const known = serializers.reduce((all, { flag }) => all | flag, KNOWN)
  return {
    name: 'ermc',
    compressors,
    readsAtOnce: true,
    encode(value) {
      const plain = encodePlain(value)
      if (plain !== undefined) return plain
      if (writer === undefined) throw new MemcacheValueError(`there is no serializer for ${show(value)}`)
      return { value: writer.serialize(value), flags: writer.flag }
    },
    decode(bytes, itemFlags) {
      const reader = serializers.find(({ flag }) => flag === itemFlags)
      return reader === undefined ? decodePlain(bytes, itemFlags) : reader.deserialize(compact(bytes))
    },
    knows: (itemFlags) => (itemFlags & ~known) === 0,
  }
}

/** What the flags of a value can be, whichever serializers there are. */
const KNOWN = flags.pickle | flags.integer | flags.long | flags.bytes | flags.json | flags.v8 | flags.msgpack

/** What a value becomes that needs no serializer; `undefined` for one that does. */
function encodePlain(value: unknown): Encoded | undefined {
  switch (typeof value) {
    case 'string':
      return { value: encodeString(value), flags: flags.string }
    case 'number':
      return isInteger(value) ? { value: Buffer.from(String(value)), flags: flags.integer } : undefined
    case 'bigint':
      return { value: encodeBigint(value), flags: flags.long }
    default:
      return Buffer.isBuffer(value) ? { value, flags: flags.bytes } : undefined
  }
}

function decodePlain(bytes: Buffer, itemFlags: number): unknown {
  switch (itemFlags) {
    case flags.string:
      return decodeString(bytes)
    case flags.integer:
      return decodeInteger(bytes)
    case flags.long:
      return decodeBigint(bytes)
    default:
      return bytes
  }
}

/** Bytes to be put before or behind others, whose flags stay: nearly the same in every format. */
function pieceOf(value: unknown, mode: StoreMode, format: Format): Buffer {
  const piece = encodePlain(value)?.value
  if (piece !== undefined) return asBuffer('serializer', format.piece === undefined ? piece : attempt('serializer', () => format.piece?.(piece)))
  throw new MemcacheValueError(`${mode} takes a string, a Buffer, a whole number or a bigint: the server only puts bytes together`)
}

function checkFlags(itemFlags: unknown): number {
  if (Number.isInteger(itemFlags) && (itemFlags as number) >= 0 && (itemFlags as number) < 2 ** 32) return itemFlags as number
  throw new MemcacheValueError(`the serializer has given flags that are ${show(itemFlags)}, not a number of 32 bits`)
}

/** Bytes that may be kept for long: a small value must not hold the whole chunk in memory that it came in. */
function compact(bytes: Buffer): Buffer {
  const held = bytes.buffer.byteLength
  return held > Buffer.poolSize && held > 2 * bytes.length ? Buffer.from(bytes) : kept(bytes)
}

/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { makeBytes, type Codec } from './codec.ts'
import { MemcacheValueError } from './errors.ts'
import { foreign } from './flags.ts'

/** Makes bytes fewer, and back. */
export interface Compressor {
  /** The bit that marks its values among an item's flags, beside what the value is. */
  readonly flag: number
  compress(bytes: Buffer): Buffer
  /** @throws MemcacheValueError, before reserving memory, when the result would be longer than `maxLength` bytes. */
  decompress(bytes: Buffer, maxLength: number): Buffer
}

/** When to compress, and how far to trust what claims to be compressed; all in bytes. */
export interface CompressionLimits {
  /** Values shorter than this stay as they are; 0 = all do. */
  readonly minLength: number
  /** The longest value that is compressed or decompressed. */
  readonly maxLength: number
  /** The serializer's flag, which may be one of the user's own. */
  readonly ownFlag?: number
}

/** Bytes to fewer bytes, where that is asked for and true. */
export function compression(compressor: Compressor, { minLength, maxLength, ownFlag = 0 }: CompressionLimits): Codec {
  return {
    encode(item, mode, options) {
      const least = options?.minCompressLength ?? minLength
      const { length } = item.value
      // The server puts appended bytes behind what it has, compressed or not: they stay as they are.
      if (least === 0 || length < least || length > maxLength || mode === 'append' || mode === 'prepend') return item
      const compressed = makeBytes('compressor', () => compressor.compress(item.value))
      return compressed.length < length ? { ...item, value: compressed, flags: item.flags | compressor.flag } : item
    },
    decode(item) {
      if ((item.flags & compressor.flag) === 0 || foreign(item.flags & ~compressor.flag & ~ownFlag)) return item
      return { ...item, value: compressor.decompress(item.value, maxLength), flags: item.flags & ~compressor.flag }
    },
  }
}

/** Refuses values that are longer on the wire than `maxLength` bytes. */
export function lengthLimit(maxLength: number): Codec {
  return {
    encode(item) {
      const { length } = item.value
      if (length > maxLength) throw new MemcacheValueError(`the value is ${length} bytes long: maxValueLength is ${maxLength}`)
      return item
    },
    decode: (item) => item,
  }
}

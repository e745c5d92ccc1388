/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { asBuffer, attempt, type Codec } from './codec.ts'
import { MemcacheValueError } from './errors.ts'

/** Makes bytes fewer, and back. */
export interface Compressor {
  /**
   * What marks its values among an item's flags, beside what the value is: one bit, from 1024 on for a compressor of the
   * user's own. In a whole format it may be several bits.
   */
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
}

/** Compressors, of which the first one writes and all of them read, and which flags without theirs have a meaning. */
export interface Compressed {
  readonly compressors: readonly Compressor[]
  knows?(flags: number): boolean
}

/** Bytes to fewer bytes, where that is asked for and true. */
export function compression(format: Compressed, { minLength, maxLength }: CompressionLimits): Codec {
  const { compressors } = format
  const [writer] = compressors
  const anyFlag = compressors.reduce((all, { flag }) => all | flag, 0)
  const marking = (flags: number): readonly Compressor[] => compressors.filter(({ flag }) => (flags & flag) >>> 0 === flag)
  return {
    encode(item, mode, options) {
      if ((item.flags & anyFlag) !== 0 && marking(item.flags).length > 0) {
        throw new MemcacheValueError(`the value has the flags ${item.flags}, which would mark it as compressed`)
      }
      const least = options?.minCompressLength ?? minLength
      const { length } = item.value
      // The server puts appended bytes behind what it has, compressed or not: they stay as they are.
      if (writer === undefined || least === 0 || length < least || length > maxLength || mode === 'append' || mode === 'prepend') return item
      const value = asBuffer('compressor', attempt('compressor', () => writer.compress(item.value)))
      return value.length < length ? { ...item, value, flags: (item.flags | writer.flag) >>> 0 } : item
    },
    decode(item) {
      if ((item.flags & anyFlag) === 0) return item
      const marks = marking(item.flags)
      const [reader] = marks
      const flags = marks.reduce((rest, { flag }) => rest & ~flag, item.flags) >>> 0
      if (reader === undefined || format.knows?.(flags) === false) return item // somebody else's flags
      if (marks.length > 1) throw new MemcacheValueError('it is marked as compressed in more than one way')
      return { ...item, value: asBuffer('compressor', reader.decompress(item.value, maxLength)), flags }
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

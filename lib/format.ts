/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { deflate } from '../serializers/deflate.ts'
import { json } from '../serializers/json.ts'
import { lz4 } from '../serializers/lz4.ts'
import { zstd } from '../serializers/zstd.ts'
import { compose, type Codec, type EncodeOptions } from './codec.ts'
import { compression, lengthLimit, type Compressor } from './compression.ts'
import { SHORT_VALUE } from './driver.ts'
import { MemcacheValueError } from './errors.ts'
import { flags } from './flags.ts'
import { ownFormat, serialization, type Format, type Serializer } from './serialization.ts'

/** What of a client's settings says how its values are stored; lengths in bytes. */
export interface FormatSettings {
  readonly serializer: Serializer | readonly Serializer[] | Format
  /** `undefined`: lz4, or the format's own. */
  readonly compressor: Compressor | readonly Compressor[] | undefined
  readonly minCompressLength: number
  readonly maxValueLength: number
}

/** How a client's values become items and back. */
export interface ValueFormat extends Codec<unknown, Buffer> {
  /** The flags of the counters that it makes. */
  readonly counterFlags: number
  /** The text of a short string that is stored as it is, with flags 0; `undefined`: it has to be encoded. */
  latin1(value: unknown, options: EncodeOptions | undefined): string | undefined
}

/** What is read whatever the settings, unless they give its flag to something else. */
const ALWAYS: { readonly serializers: readonly Serializer[]; readonly compressors: readonly Compressor[] } = {
  serializers: [json],
  compressors: [lz4, deflate, zstd],
}

/**
 * How a client's values become items and back. `maxLength`: the longest value, in bytes, that is decompressed.
 * @throws MemcacheValueError for serializers and compressors whose flags do not tell them apart, and for a compressor
 * beside a whole format.
 */
export function valueFormat({ serializer, compressor, minCompressLength, maxValueLength }: FormatSettings, maxLength: number): ValueFormat {
  if (isFormat(serializer) && compressor !== undefined) {
    throw new MemcacheValueError(`the format "${serializer.name}" says how its values are compressed: there is no "compressor" beside it`)
  }
  const format = isFormat(serializer) ? serializer : formatOf([serializer].flat(), [compressor ?? lz4].flat())
  const squeeze = compression(format, { minLength: minCompressLength, maxLength })
  const longest = isFormat(serializer) ? -1 : Math.min(maxValueLength, SHORT_VALUE)
  return {
    ...compose(serialization(format), compose(squeeze, lengthLimit(maxValueLength))),
    counterFlags: format.counterFlags ?? flags.integer,
    latin1(value, options) {
      if (typeof value !== 'string' || value.length > longest) return undefined
      const least = options?.minCompressLength ?? minCompressLength
      if (least !== 0 && value.length >= least) return undefined
      return Buffer.byteLength(value) === value.length ? value : undefined
    },
  }
}

/** Whether it says how all values are stored, not only those that need a serializer. */
export function isFormat(serializer: object): serializer is Format {
  return 'encode' in serializer
}

/** ermc's own format with these parts. */
function formatOf(serializers: readonly Serializer[], compressors: readonly Compressor[]): Format {
  let taken: number = flags.integer | flags.long | flags.bytes
  for (const { flag } of [...serializers, ...compressors]) {
    if ((flag & (flag - 1)) !== 0) throw new MemcacheValueError(`the flag of a serializer or compressor is one bit, not ${flag}`)
    if ((flag & taken) !== 0) throw new MemcacheValueError(`two serializers or compressors have the flag ${flag}, or it has a meaning already`)
    taken |= flag
  }
  const free = ({ flag }: { readonly flag: number }): boolean => (flag & taken) === 0
  return ownFormat([...serializers, ...ALWAYS.serializers.filter(free)], [...compressors, ...ALWAYS.compressors.filter(free)])
}

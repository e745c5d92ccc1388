/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { deflate } from '../serializers/deflate.ts'
import { json } from '../serializers/json.ts'
import { lz4 } from '../serializers/lz4.ts'
import { zstd } from '../serializers/zstd.ts'
import { compose, type Codec, type EncodeOptions } from './codec.ts'
import type { Content, Item, StoreMode } from './commands.ts'
import { compression, lengthLimit, type Compressor } from './compression.ts'
import { SHORT_VALUE } from './driver.ts'
import { MemcacheValueError } from './errors.ts'
import { flags } from './flags.ts'
import { isOrdinaryBuffer, latin1Text, trueLength } from './plain-bytes.ts'
import { ReceivedItem } from './received-item.ts'
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
  /** The value of an item. @throws MemcacheValueError for one that cannot be read. */
  read(item: Item): unknown
  /** The flags of the counters that it makes. */
  readonly counterFlags: number
  /**
   * The item that a value is stored as. `latin1`: for a driver that takes text, which a short string then stays.
   * @throws MemcacheValueError for a value that cannot be stored so that it comes back the same.
   */
  item(value: unknown, cas: bigint | undefined, mode: StoreMode, options: EncodeOptions | undefined, latin1: boolean): Item<Content>
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
  const codec = compose(serialization(format), compose(squeeze, lengthLimit(maxValueLength)))
  const longest = isFormat(serializer) ? -1 : Math.min(maxValueLength, SHORT_VALUE)
  /** Whether nothing is to be done to a value of this length, which is short. */
  const staysAsItIs = (length: number, options: EncodeOptions | undefined): boolean => {
    const least = options?.minCompressLength ?? minCompressLength
    return length <= longest && (least === 0 || length < least)
  }
  /** The latin1 text as which a value is stored, if that is all there is to it. */
  const textOf = (value: unknown, options: EncodeOptions | undefined): string | undefined => {
    if (typeof value === 'string') return staysAsItIs(value.length, options) && Buffer.byteLength(value) === value.length ? value : undefined
    return isOrdinaryBuffer(value) && staysAsItIs(trueLength(value), options) ? latin1Text(value) : undefined
  }
  const isOurs = !isFormat(serializer)
  return {
    ...codec,
    read(item) {
      if (isOurs && item.flags === flags.string && item instanceof ReceivedItem) {
        const { text } = item
        if (!text.includes('\ufffd')) return text // else it may be no UTF-8
      }
      if (isOurs && item.flags === flags.bytes && item instanceof ReceivedItem && item.length <= SHORT_VALUE) return item.copy
      return codec.decode(item).value
    },
    counterFlags: format.counterFlags ?? flags.integer,
    item(value, cas, mode, options, latin1) {
      const text = latin1 ? textOf(value, options) : undefined
      if (text === undefined) return codec.encode({ value, flags: 0, cas }, mode, options)
      const isPiece = mode === 'append' || mode === 'prepend' // the flags of what is there stay
      return { value: text, flags: typeof value === 'string' || isPiece ? flags.string : flags.bytes, cas }
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

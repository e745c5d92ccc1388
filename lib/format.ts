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
  /** Whether this is text that is stored as it is: nothing is to be done to it, and each of its characters is a byte. */
  const isPlain = (value: unknown, options: EncodeOptions | undefined): value is string => {
    if (typeof value !== 'string' || value.length > longest) return false
    const least = options?.minCompressLength ?? minCompressLength
    return (least === 0 || value.length < least) && Buffer.byteLength(value) === value.length
  }
  const readsText = !isFormat(serializer)
  return {
    ...codec,
    read(item) {
      if (readsText && item.flags === flags.string && item instanceof ReceivedItem) {
        const { text } = item
        if (!text.includes('\ufffd')) return text // else it may be no UTF-8
      }
      return codec.decode(item).value
    },
    counterFlags: format.counterFlags ?? flags.integer,
    item: (value, cas, mode, options, latin1) =>
      latin1 && isPlain(value, options) ? { value, flags: flags.string, cas } : codec.encode({ value, flags: 0, cas }, mode, options),
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

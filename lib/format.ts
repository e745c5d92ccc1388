/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { compose, type Codec } from './codec.ts'
import { compression, lengthLimit, type Compressor } from './compression.ts'
import { serialization, type Serializer } from './serialization.ts'

/** What of a client's settings says how its values are stored; lengths in bytes. */
export interface FormatSettings {
  readonly serializer: Serializer
  readonly compressor: Compressor
  readonly minCompressLength: number
  readonly maxValueLength: number
}

/** How a client's values become items and back. `maxLength`: the longest value, in bytes, that is decompressed. */
export function valueFormat({ serializer, compressor, minCompressLength, maxValueLength }: FormatSettings, maxLength: number): Codec<unknown, Buffer> {
  const squeeze = compression(compressor, { minLength: minCompressLength, maxLength, ownFlag: serializer.flag })
  return compose(serialization(serializer), compose(squeeze, lengthLimit(maxValueLength)))
}

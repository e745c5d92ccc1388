/// <reference types="node" preserve="true" />
import { deflateSync, inflateSync } from 'node:zlib'
import type { Compressor } from '../lib/compression.ts'
import { flags } from '../lib/flags.ts'
import { inflateAll } from './inflation.ts'

/** zlib's format (RFC 1950), which every language reads. Smaller than lz4, and many times slower. */
export const deflate: Compressor = {
  flag: flags.deflate,
  compress: (bytes) => deflateSync(bytes),
  decompress: (bytes, maxLength) => inflateAll(inflateSync, bytes, maxLength),
}

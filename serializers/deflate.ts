/// <reference types="node" preserve="true" />
import type { Compressor } from '../lib/compression.ts'
import { flags } from '../lib/flags.ts'
import { inflateAll } from './inflation.ts'
import { nodeZlib } from './node-zlib.ts'

/** zlib's format (RFC 1950), which every language reads. Smaller than lz4, and many times slower. */
export const deflate: Compressor = {
  flag: flags.deflate,
  compress: (bytes) => nodeZlib().deflateSync(bytes),
  decompress: (bytes, maxLength) => inflateAll(nodeZlib().inflateSync, bytes, maxLength),
}

/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { Compressor } from '../lib/compression.ts'
import { MemcacheUnsupportedError, MemcacheValueError } from '../lib/errors.ts'
import { readFastlz } from './fastlz.ts'
import { inflateAll } from './inflation.ts'
import { nodeZlib } from './node-zlib.ts'

/** How other clients compress, each under its own flag. */

/** The length in front of what php-memcached compresses, little-endian. */
const HEADER = 4
/** One byte of FastLZ says no more bytes than this. */
const MOST_PER_BYTE = 264

/** zlib's format, as the clients of Python write it. */
export function zlib(flag: number): Compressor {
  return compressor(flag, 'deflateSync', 'inflateSync')
}

/** zlib's format, as dalli writes it; gzip's is read too, which it can be told to write. */
export function zlibOrGzip(flag: number): Compressor {
  return compressor(flag, 'deflateSync', 'unzipSync')
}

/** gzip's format, as spymemcached writes it. */
export function gzip(flag: number): Compressor {
  return compressor(flag, 'gzipSync', 'gunzipSync')
}

function compressor(flag: number, deflate: 'deflateSync' | 'gzipSync', inflate: 'inflateSync' | 'unzipSync' | 'gunzipSync'): Compressor {
  return { flag, compress: (bytes) => nodeZlib()[deflate](bytes), decompress: (bytes, maxLength) => inflateAll(nodeZlib()[inflate], bytes, maxLength) }
}

/** zlib's format behind its length, as php-memcached writes it when told to, and always reads. */
export function sizedZlib(flag: number): Compressor {
  return {
    flag,
    compress(bytes) {
      const header = Buffer.alloc(HEADER)
      header.writeUInt32LE(bytes.length)
      return Buffer.concat([header, nodeZlib().deflateSync(bytes)])
    },
    decompress(bytes, maxLength) {
      const length = claim(bytes, maxLength)
      const value = inflateAll(nodeZlib().inflateSync, bytes.subarray(HEADER), length)
      if (value.length !== length) throw new MemcacheValueError(`it claims to be ${length} bytes, but is ${value.length}`)
      return value
    },
  }
}

/** FastLZ behind its length, as php-memcached writes it by default. It is only read. */
export function sizedFastlz(flag: number): Compressor {
  return {
    flag,
    compress() {
      throw new MemcacheUnsupportedError('FastLZ is only read')
    },
    decompress: (bytes, maxLength) => readFastlz(bytes.subarray(HEADER), claim(bytes, Math.min(maxLength, bytes.length * MOST_PER_BYTE))),
  }
}

/** The length in front. @throws MemcacheValueError for one that cannot be true, or is too long. */
function claim(bytes: Buffer, most: number): number {
  if (bytes.length <= HEADER) throw new MemcacheValueError(`${bytes.length} bytes are too few for a compressed value`)
  const length = bytes.readUInt32LE(0)
  if (length > most) throw new MemcacheValueError(`it claims to be ${length} bytes, compressed to ${bytes.length}: at most ${most} can be true`)
  return length
}

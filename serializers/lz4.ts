/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { Compressor } from '../lib/compression.ts'
import { MemcacheUnsupportedError, MemcacheValueError } from '../lib/errors.ts'
import { flags } from '../lib/flags.ts'
import { loadPackage } from '../lib/package-loader.ts'

/** What is used of the package lz4-napi. */
interface Lz4 {
  compressSync(bytes: Buffer): Buffer
  uncompressSync(bytes: Buffer): Buffer
}

/** The length in front of the block, little-endian. */
const HEADER = 4
/** A block of LZ4 cannot say more bytes than this with one byte. */
const MOST_PER_BYTE = 255

let loaded: Lz4 | undefined

function load(): Lz4 {
  try {
    return (loaded ??= loadPackage('lz4-napi') as Lz4)
  } catch (error) {
    throw new MemcacheUnsupportedError(
      'lz4-napi does not load: its binary for this platform is an optional dependency, which must be installed',
      { cause: error },
    )
  }
}

/** LZ4 as Python's pyermc writes it: 4 bytes of length, little-endian, then one block. */
export const lz4: Compressor = {
  flag: flags.lz4,
  compress: (bytes) => load().compressSync(bytes),
  decompress(bytes, maxLength) {
    // The package believes the length: it would reserve the memory for any claim, and accept one that is too large.
    if (bytes.length <= HEADER) throw new MemcacheValueError(`${bytes.length} bytes are too few for a compressed value`)
    const length = bytes.readUInt32LE(0)
    const most = Math.min(maxLength, (bytes.length - HEADER) * MOST_PER_BYTE)
    if (length > most) throw new MemcacheValueError(`it claims to be ${length} bytes, compressed to ${bytes.length}: at most ${most} can be true`)
    const value = load().uncompressSync(bytes)
    if (value.length !== length) throw new MemcacheValueError(`it claims to be ${length} bytes, but is ${value.length}`)
    return value
  },
}

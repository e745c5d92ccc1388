/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import type { Compressor } from '../lib/compression.ts'
import { MemcacheUnsupportedError } from '../lib/errors.ts'
import { flags } from '../lib/flags.ts'
import { inflateAll, type Inflate } from './inflation.ts'
import { nodeZlib } from './node-zlib.ts'

/** What newer Nodes have in node:zlib. */
interface Zstd {
  readonly zstdCompressSync: (bytes: Buffer) => Buffer
  readonly zstdDecompressSync: Inflate
}

function load(): Zstd {
  const zlib = nodeZlib()
  if ('zstdCompressSync' in zlib) return zlib as unknown as Zstd
  throw new MemcacheUnsupportedError(`zstd needs a Node that has it: 22.15, 23.8 or later, not ${process.version}`)
}

/** Zstandard: about as small as deflate, and several times faster. From Node 22.15 and 23.8 on. */
export const zstd: Compressor = {
  flag: flags.zstd,
  compress: (bytes) => load().zstdCompressSync(bytes),
  decompress: (bytes, maxLength) => inflateAll(load().zstdDecompressSync, bytes, maxLength),
}

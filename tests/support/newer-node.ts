import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as zlib from 'node:zlib'
import { root } from './pages.ts'

/** Where `.ci/run` puts a Node that has more in node:zlib than the oldest one that ermc supports: an npm package with the program. */
const downloaded = join(root, '.tap/newer-node/node_modules', `node-${process.platform}-${process.arch}`, 'bin/node')

/** A Node that has zstd, which may be this one. */
export const nodeWithZstd: string | undefined = 'zstdCompressSync' in zlib ? process.execPath : existsSync(downloaded) ? downloaded : undefined

/** Why zstd cannot be tested, or `false`: what tap's `skip` takes. */
export const withoutZstd: string | false = nodeWithZstd === undefined ? 'there is no Node that has zstd: .ci/run fetches one' : false

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as zlib from 'node:zlib'
import { root } from './pages.ts'

/** Where `.ci/run` puts a Node that is newer than the oldest one that ermc supports: an npm package with the program. */
const downloaded = join(root, '.tap/newer-node/node_modules', `node-${process.platform}-${process.arch}`, 'bin/node')

/** That Node, where it has been fetched. */
export const newerNode: string | undefined = existsSync(downloaded) ? downloaded : undefined

/** A Node that has zstd, which may be this one. */
export const nodeWithZstd: string | undefined = 'zstdCompressSync' in zlib ? process.execPath : newerNode

/** Why zstd cannot be tested, or `false`: what tap's `skip` takes. */
export const withoutZstd: string | false = nodeWithZstd === undefined ? 'there is no Node that has zstd: .ci/run fetches one' : false

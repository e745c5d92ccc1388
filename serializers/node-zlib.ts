import type * as Zlib from 'node:zlib'
import { loadPackage } from '../lib/package-loader.ts'

/** Node's own compressors, loaded when one is first needed: most clients never do. */
export function nodeZlib(): typeof Zlib {
  return loadPackage('node:zlib') as typeof Zlib
}

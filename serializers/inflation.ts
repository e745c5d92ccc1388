/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'

/** A function of node:zlib, asked also for the engine that it has used; its types do not know of that. */
export type Inflate = (bytes: Buffer, options: { readonly maxOutputLength: number; readonly info: true }) => unknown

/**
 * Inflates, to no more than `maxLength` bytes, and to the end. What stands behind the compressed bytes, as `append` puts it
 * there, would be left out without a word. @throws what node:zlib throws, MemcacheValueError for such bytes.
 */
export function inflateAll(inflate: Inflate, bytes: Buffer, maxLength: number): Buffer {
  const { buffer, engine } = inflate(bytes, { maxOutputLength: maxLength, info: true }) as { buffer: Buffer; engine: { bytesWritten: number } }
  const rest = bytes.length - engine.bytesWritten
  if (rest > 0) throw new MemcacheValueError(`it is compressed, but has ${rest} bytes more behind that`)
  return buffer
}

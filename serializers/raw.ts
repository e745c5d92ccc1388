/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { ownFormat, type Format } from '../lib/serialization.ts'
import { show } from '../lib/show.ts'
import { deflate } from './deflate.ts'
import { lz4 } from './lz4.ts'
import { zstd } from './zstd.ts'

const own = ownFormat([], [lz4, deflate, zstd])

/**
 * Strings and Buffers only: all else is refused, numbers too. What others have stored as numbers is read as such, and
 * so is a counter that `incr` has made; one that was stored as the string '5' is a string. Everything else is read as a Buffer.
 */
export const raw: Format = {
  ...own,
  name: 'raw',
  encode(value) {
    if (typeof value === 'string' || Buffer.isBuffer(value)) return own.encode(value)
    throw new MemcacheValueError(`raw takes a string or a Buffer, not ${show(value)}`)
  },
}

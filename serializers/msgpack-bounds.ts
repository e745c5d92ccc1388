/// <reference types="node" preserve="true" />
import { isUtf8, type Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'

/** How deep values may be nested, both ways. */
export const MOST_LEVELS = 1000

/** The one extension that has a meaning for everybody: a point in time. */
const TIMESTAMP = 0xff
const LENGTHS_OF_TIMESTAMPS = new Set([4, 8, 12])

/**
 * Follows all of a value in MessagePack, and reserves nothing: the package would reserve the memory for any length of an
 * array, and would make something or other of bytes that are no UTF-8. Says whether there are bytes, times or integers
 * of 64 bits in it. @throws MemcacheValueError for what claims more than is there, and for what would not be read as it was meant.
 */
export function checkBounds(bytes: Buffer): boolean {
  const cursor = new Cursor(bytes)
  checkValue(cursor, 0)
  cursor.end()
  return cursor.hasSpecial
}

/** The first byte of a value says what it is, and often how long. */
function checkValue(cursor: Cursor, level: number): void {
  if (level > MOST_LEVELS) throw new MemcacheValueError(`it is nested deeper than ${MOST_LEVELS} levels`)
  const head = cursor.uint(1)
  if (head < 0x80 || head >= 0xe0) return // a small integer
  if (head < 0x90) return checkMany(cursor, level, 2 * (head & 0x0f)) // a small map
  if (head < 0xa0) return checkMany(cursor, level, head & 0x0f) // a small array
  if (head < 0xc0) return cursor.text(head & 0x1f) // a short string
  switch (head) {
    case 0xc0: case 0xc2: case 0xc3: // null, false, true
      return
    case 0xc4: case 0xc5: case 0xc6: // bytes
      return cursor.special(cursor.uint(1 << (head - 0xc4)))
    case 0xc7: case 0xc8: case 0xc9: // an extension
      return checkExtension(cursor, cursor.uint(1 << (head - 0xc7)))
    case 0xca: // a float of 32 bits
      return cursor.skip(4)
    case 0xcb: // one of 64
      return cursor.skip(8)
    case 0xcc: case 0xcd: case 0xce: // integers without a sign
      return cursor.skip(1 << (head - 0xcc))
    case 0xd0: case 0xd1: case 0xd2: // with one
      return cursor.skip(1 << (head - 0xd0))
    case 0xcf: case 0xd3: // either, of 64 bits
      return cursor.special(8)
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: // a short extension
      return checkExtension(cursor, 1 << (head - 0xd4))
    case 0xd9: case 0xda: case 0xdb: // a string
      return cursor.text(cursor.uint(1 << (head - 0xd9)))
    case 0xdc: case 0xdd: // an array
      return checkMany(cursor, level, cursor.uint(2 << (head - 0xdc)))
    case 0xde: case 0xdf: // a map
      return checkMany(cursor, level, 2 * cursor.uint(2 << (head - 0xde)))
    default:
      throw new MemcacheValueError(`it has the byte 0x${head.toString(16)}, which nothing begins with in MessagePack`)
  }
}

function checkMany(cursor: Cursor, level: number, count: number): void {
  for (let left = count; left > 0; left -= 1) checkValue(cursor, level + 1)
}

function checkExtension(cursor: Cursor, length: number): void {
  const type = cursor.uint(1)
  if (type !== TIMESTAMP || !LENGTHS_OF_TIMESTAMPS.has(length)) throw new MemcacheValueError(`it has an extension of type ${type << 24 >> 24}, which is unknown here`)
  cursor.special(length)
}

/** Where in the bytes the check is. */
class Cursor {
  /** Whether there was something that the package gives in a form that is not, or not always, ermc's. */
  hasSpecial = false
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  end(): void {
    if (this.#at < this.#bytes.length) throw new MemcacheValueError(`there are ${this.#bytes.length - this.#at} bytes behind the value`)
  }

  /** A number of so many bytes, the highest first. */
  uint(length: number): number {
    const at = this.#at
    this.skip(length)
    return this.#bytes.readUIntBE(at, length)
  }

  skip(length: number): void {
    this.#at += length
    if (this.#at > this.#bytes.length) throw new MemcacheValueError('it is cut off, or claims to be longer than it is')
  }

  special(length: number): void {
    this.hasSpecial = true
    this.skip(length)
  }

  text(length: number): void {
    const at = this.#at
    this.skip(length)
    const text = this.#bytes.subarray(at, this.#at)
    if (!isUtf8(text)) throw new MemcacheValueError('it has a string that is no UTF-8')
    // The package would take it for a byte order mark, and drop it.
    if (length > 2 && text.readUIntBE(0, 3) === 0xefbbbf) throw new MemcacheValueError('it has a string that begins with U+FEFF')
  }
}

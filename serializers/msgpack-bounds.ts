/// <reference types="node" preserve="true" />
import { isUtf8, type Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { Cursor, DIGITS_OF_INDICES, Elements } from './bounds.ts'

/** The one extension that has a meaning for everybody: a point in time. */
const TIMESTAMP = 0xff
const LENGTHS_OF_TIMESTAMPS = new Set([4, 8, 12])

/**
 * Follows all of a value in MessagePack, and reserves nothing: the package would reserve the memory for any length of an
 * array, and would make something or other of bytes that are no UTF-8. Says whether there are bytes, times or integers
 * of 64 bits in it. @throws MemcacheValueError for what claims more than is there, and for what would not be read as it was meant.
 */
export function checkBounds(bytes: Buffer): boolean {
  const check = new Check(bytes)
  check.value(0)
  check.cursor.end()
  return check.special
}

class Check {
  readonly cursor: Cursor
  /** Whether there was something that the package gives in a form that is not, or not always, ermc's. */
  special = false

  constructor(bytes: Buffer) {
    this.cursor = new Cursor(bytes)
  }

  /** The first byte of a value says what it is, and often how long. */
  value(level: number): void {
    this.cursor.level(level)
    const head = this.cursor.byte()
    if (head < 0x80 || head >= 0xe0) return // a small integer
    if (head < 0x90) return this.#map(head & 0x0f, level)
    if (head < 0xa0) return this.#array(head & 0x0f, level)
    if (head < 0xc0) return this.#text(head & 0x1f)
    switch (head) {
      case 0xc0: case 0xc2: case 0xc3: // null, false, true
        return
      case 0xc4: case 0xc5: case 0xc6:
        return this.#bytes(this.#length(1 << (head - 0xc4)))
      case 0xc7: case 0xc8: case 0xc9:
        return this.#extension(this.#length(1 << (head - 0xc7)))
      case 0xca: // a float of 32 bits
        return this.cursor.skip(4)
      case 0xcb: // one of 64
        return this.cursor.skip(8)
      case 0xcc: case 0xcd: case 0xce: // integers without a sign
        return this.cursor.skip(1 << (head - 0xcc))
      case 0xd0: case 0xd1: case 0xd2: // with one
        return this.cursor.skip(1 << (head - 0xd0))
      case 0xcf: case 0xd3: // either, of 64 bits
        return this.#skip(8)
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8:
        return this.#extension(1 << (head - 0xd4))
      case 0xd9: case 0xda: case 0xdb:
        return this.#text(this.#length(1 << (head - 0xd9)))
      case 0xdc: case 0xdd:
        return this.#array(this.#length(2 << (head - 0xdc)), level)
      case 0xde: case 0xdf:
        return this.#map(this.#length(2 << (head - 0xde)), level)
      default:
        throw new MemcacheValueError(`it has the byte 0x${head.toString(16)}, which nothing begins with in MessagePack`)
    }
  }

  #map(count: number, level: number): void {
    this.cursor.part()
    const elements = new Elements()
    for (let left = count; left > 0; left -= 1) {
      const { at } = this.cursor
      this.value(level + 1)
      this.cursor.parts(1 + elements.add(this.#nameAt(at)))
      this.value(level + 1)
    }
  }

  /** The value that was just read, as a name: the package takes numbers too. */
  #nameAt(from: number): string | number | undefined {
    const { at, bytes } = this.cursor
    const head = bytes[from] as number
    if (head >= 0xa0 && head <= 0xa0 + DIGITS_OF_INDICES) return bytes.toString('latin1', from + 1, at)
    switch (head) {
      case 0xca:
        return bytes.readFloatBE(from + 1)
      case 0xcb:
        return bytes.readDoubleBE(from + 1)
      case 0xcc: case 0xcd: case 0xce:
        return bytes.readUIntBE(from + 1, at - from - 1)
      case 0xd0: case 0xd1: case 0xd2:
        return bytes.readIntBE(from + 1, at - from - 1)
      case 0xd9: case 0xda: case 0xdb: // a string in a longer form than it needs
        return at - from > 5 + DIGITS_OF_INDICES ? undefined : bytes.toString('latin1', from + 1 + (1 << (head - 0xd9)), at)
      default:
        return head < 0x80 ? head : undefined
    }
  }

  #array(count: number, level: number): void {
    this.cursor.part()
    for (let left = count; left > 0; left -= 1) this.value(level + 1)
  }

  #extension(length: number): void {
    const type = this.cursor.byte()
    if (type !== TIMESTAMP || !LENGTHS_OF_TIMESTAMPS.has(length)) throw new MemcacheValueError(`it has an extension of type ${(type << 24) >> 24}, which is unknown here`)
    this.#bytes(length)
  }

  #bytes(length: number): void {
    this.cursor.part()
    this.#skip(length)
  }

  #skip(length: number): void {
    this.special = true
    this.cursor.skip(length)
  }

  #text(length: number): void {
    const { at, bytes } = this.cursor
    this.cursor.skip(length)
    const text = bytes.subarray(at, at + length)
    if (!isUtf8(text)) throw new MemcacheValueError('it has a string that is no UTF-8')
    // The package would take it for a byte order mark, and drop it.
    if (length > 2 && text.readUIntBE(0, 3) === 0xefbbbf) throw new MemcacheValueError('it has a string that begins with U+FEFF')
  }

  /** A number of so many bytes, the highest first. */
  #length(size: number): number {
    const { at, bytes } = this.cursor
    this.cursor.skip(size)
    return bytes.readUIntBE(at, size)
  }
}

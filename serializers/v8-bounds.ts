/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'

/** How deep values may be nested, both ways: V8 itself gives up at a depth that depends on how full the stack is. */
export const MOST_LEVELS = 1000

/**
 * Follows all of a value that v8.serialize has written, and reserves nothing. V8 itself takes each length of an array for
 * true that is less than the number of bytes behind it, so that nested ones in 1 MB can claim more memory than there is,
 * which ends the process. @throws MemcacheValueError for what claims more than is there, and for what is not written so.
 */
export function checkBounds(bytes: Buffer): void {
  const cursor = new Cursor(bytes)
  cursor.header()
  checkValue(cursor, 0)
  cursor.end()
}

/** Each value begins with a tag, which says how it goes on. */
function checkValue(cursor: Cursor, level: number): void {
  if (level > MOST_LEVELS) throw new MemcacheValueError(`it is nested deeper than ${MOST_LEVELS} levels`)
  const tag = cursor.tag()
  switch (tag) {
    case '_': case '0': case 'T': case 'F': case 'x': case 'y': case '-': // undefined, null, booleans (x and y as objects), a hole
      return
    case 'I': case 'U': case '^': // an integer; an object that was there before
      return void cursor.number()
    case 'N': case 'n': case 'D': // a number (n: as an object), a date
      return cursor.skip(8)
    case 'Z': case 'z': // a bigint (z: as an object): one bit of this number is its sign, the others are its length
      return cursor.skip(cursor.number() >>> 1)
    case '"': case 'c': case 'B': // a string of one or of two bytes a character, an ArrayBuffer
      return cursor.skip(cursor.number())
    case 's': // a string as an object
      return checkString(cursor)
    case 'R': // a regular expression and its flags
      checkString(cursor)
      return void cursor.number()
    case '\\': // a Buffer, or a view of an ArrayBuffer: which one, its bytes
      cursor.number()
      return cursor.skip(cursor.number())
    case 'o': // an object: names and values, how many
      return checkMembers(cursor, level, '{', 1)
    case ';': // a Map: keys and values, how many
      return checkMembers(cursor, level, ':', 1)
    case "'": // a Set
      return checkMembers(cursor, level, ',', 1)
    case 'A': // an array: its length, as many values, named properties, how many, the length once more
      for (let left = cursor.number(); left > 0; left -= 1) checkValue(cursor, level + 1)
      return checkMembers(cursor, level, '$', 2)
    case 'a': // an array with holes: its length, indices and values, how many, the length once more
      cursor.sparse(cursor.number())
      return checkMembers(cursor, level, '@', 2)
    case 'r':
      return checkError(cursor, level)
    default:
      return refuse(tag)
  }
}

/** Any number of values, the tag at their end, and so many numbers. */
function checkMembers(cursor: Cursor, level: number, end: string, numbers: number): void {
  while (cursor.peek() !== end) checkValue(cursor, level + 1)
  cursor.tag()
  for (let left = numbers; left > 0; left -= 1) cursor.number()
}

/** Where V8 asks for a string, it reads whatever is there before it looks. */
function checkString(cursor: Cursor): void {
  const tag = cursor.tag()
  if (tag !== '"' && tag !== 'c') refuse(tag)
  cursor.skip(cursor.number())
}

/** An error: its class, message, stack and cause, in any order. */
function checkError(cursor: Cursor, level: number): void {
  for (;;) {
    const tag = cursor.tag()
    if (tag === '.') return
    if (tag === 'm' || tag === 's') checkString(cursor)
    else if (tag === 'c') checkValue(cursor, level + 1)
    else if (!'EFRSTU'.includes(tag)) refuse(tag)
  }
}

function refuse(tag: string): never {
  throw new MemcacheValueError(`V8 has not written this: it has the tag ${JSON.stringify(tag)}`)
}

/** Where in the bytes the check is. */
class Cursor {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** V8 has written version 15 of its format since 2021. */
  header(): void {
    if (this.#bytes[0] !== 0xff || this.#bytes[1] !== 15) throw new MemcacheValueError('it does not begin as V8 lets its values begin')
    this.#at = 2
  }

  end(): void {
    if (this.#at < this.#bytes.length) throw new MemcacheValueError(`there are ${this.#bytes.length - this.#at} bytes behind the value`)
  }

  /** The tag that comes next; zeros before it only align what follows. */
  peek(): string {
    while (this.#bytes[this.#at] === 0) this.#at += 1
    return String.fromCharCode(this.#bytes[this.#at] ?? this.#cutOff())
  }

  tag(): string {
    const tag = this.peek()
    this.#at += 1
    return tag
  }

  /** 32 bits without a sign, seven in a byte, the lowest ones first. */
  number(): number {
    for (let value = 0, shift = 0; shift < 32; shift += 7) {
      const byte = this.#bytes[this.#at] ?? this.#cutOff()
      this.#at += 1
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80 && value < 2 ** 32) return value
    }
    throw new MemcacheValueError('it has a number of more than 32 bits')
  }

  skip(length: number): void {
    this.#at += length
    if (this.#at > this.#bytes.length) this.#cutOff()
  }

  /** An array with holes, whose length nothing in the bytes has to bear out. */
  sparse(length: number): void {
    if (length > this.#bytes.length) throw new MemcacheValueError(`it has an array of length ${length}, most of which are holes`)
  }

  #cutOff(): never {
    throw new MemcacheValueError('it is cut off, or claims to be longer than it is')
  }
}

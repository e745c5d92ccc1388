/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { Cursor } from './bounds.ts'

const VERSION = 15

/**
 * Follows all of a value that v8.serialize has written, and reserves nothing. V8 itself takes each length of an array for
 * true that is less than the number of bytes behind it, so that nested ones in 1 MB can claim more memory than there is,
 * which ends the process. @throws MemcacheValueError for what claims more than is there, and for what is not written so.
 */
export function checkBounds(bytes: Buffer): void {
  checkVersion(bytes)
  const cursor = new Cursor(bytes)
  cursor.skip(2)
  checkValue(cursor, 0)
  cursor.end()
}

/** @throws MemcacheValueError for what does not begin with the version of V8's format that is known here, written since 2021. */
export function checkVersion(bytes: Buffer): void {
  if (bytes[0] !== 0xff || bytes[1] !== VERSION) throw new MemcacheValueError(`it does not begin as version ${VERSION} of V8's format does`)
}

/** Each value begins with a tag, which says how it goes on. */
function checkValue(cursor: Cursor, level: number): void {
  cursor.level(level)
  const tag = readTag(cursor)
  switch (tag) {
    case '_': case '0': case 'T': case 'F': case '-': // undefined, null, true, false, a hole
      return
    case 'I': case 'U': case '^': // an integer; an object that was there before
      return void readNumber(cursor)
    case 'N':
      return cursor.skip(8)
    case '"': case 'c': // a string of one or of two bytes a character
      return cursor.skip(readNumber(cursor))
    default:
      cursor.part()
      return checkObject(cursor, tag, level)
  }
}

/** What takes more memory than its bytes. */
function checkObject(cursor: Cursor, tag: string, level: number): void {
  switch (tag) {
    case 'Z': case 'z': // a bigint (z: as an object): one bit of this number is its sign, the others are its length
      return cursor.skip(readNumber(cursor) >>> 1)
    case 'D': case 'n': // a date; a number as an object
      return cursor.skip(8)
    case 'x': case 'y': // false and true as objects
      return
    case 's': // a string as one
      return checkString(cursor)
    case 'R': // a regular expression and its flags
      checkString(cursor)
      return void readNumber(cursor)
    case 'B': // an ArrayBuffer
      return cursor.skip(readNumber(cursor))
    case '\\': // a Buffer, or a view of an ArrayBuffer: which one, its bytes
      readNumber(cursor)
      return cursor.skip(readNumber(cursor))
    case 'o': // an object: names and values, how many
      return checkMembers(cursor, level, '{', 1)
    case ';': // a Map: keys and values, how many
      return checkMembers(cursor, level, ':', 1)
    case "'": // a Set
      return checkMembers(cursor, level, ',', 1)
    case 'A': // an array: its length, as many values, named properties, how many, the length once more
      for (let left = readNumber(cursor); left > 0; left -= 1) checkValue(cursor, level + 1)
      return checkMembers(cursor, level, '$', 2)
    case 'a': // an array with holes: its length, indices and values, how many, the length once more
      checkHoles(cursor, readNumber(cursor))
      return checkMembers(cursor, level, '@', 2)
    case 'r':
      return checkError(cursor, level)
    default:
      return refuse(tag)
  }
}

/** Any number of values, the tag at their end, and so many numbers. */
function checkMembers(cursor: Cursor, level: number, end: string, numbers: number): void {
  while (peekTag(cursor) !== end) {
    cursor.part()
    checkValue(cursor, level + 1)
  }
  readTag(cursor)
  for (let left = numbers; left > 0; left -= 1) readNumber(cursor)
}

/** Where V8 asks for a string, it reads whatever is there before it looks. */
function checkString(cursor: Cursor): void {
  const tag = readTag(cursor)
  if (tag !== '"' && tag !== 'c') refuse(tag)
  cursor.skip(readNumber(cursor))
}

/** An error: its class, message, stack and cause, in any order. */
function checkError(cursor: Cursor, level: number): void {
  for (;;) {
    const tag = readTag(cursor)
    if (tag === '.') return
    if (tag === 'm' || tag === 's') checkString(cursor)
    else if (tag === 'c') checkValue(cursor, level + 1)
    else if (!'EFRSTU'.includes(tag)) refuse(tag)
  }
}

/** No byte bears out how long an array with holes is. */
function checkHoles({ bytes }: Cursor, length: number): void {
  if (length > bytes.length) throw new MemcacheValueError(`it has an array of length ${length}, most of which are holes`)
}

/** The tag that comes next; zeros before it only align what follows. */
function peekTag(cursor: Cursor): string {
  while (cursor.bytes[cursor.at] === 0) cursor.at += 1
  return String.fromCharCode(cursor.bytes[cursor.at] ?? cursor.cutOff())
}

function readTag(cursor: Cursor): string {
  const tag = peekTag(cursor)
  cursor.at += 1
  return tag
}

/** 32 bits without a sign, seven in a byte, the lowest ones first. */
function readNumber(cursor: Cursor): number {
  for (let value = 0, shift = 0; shift < 32; shift += 7) {
    const byte = cursor.byte()
    value += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80 && value < 2 ** 32) return value
  }
  throw new MemcacheValueError('it has a number of more than 32 bits')
}

function refuse(tag: string): never {
  throw new MemcacheValueError(`V8 has not written this: it has the tag ${JSON.stringify(tag)}`)
}

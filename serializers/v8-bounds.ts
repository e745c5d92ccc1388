/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { Cursor, DIGITS_OF_INDICES, Elements, indexOf } from './bounds.ts'

const VERSION = 15

/**
 * Follows all of a value that v8.serialize has written, and reserves nothing. V8 itself takes each length of an array for
 * true that is less than the number of bytes behind it, so that nested ones in 1 MB can claim more memory than there is,
 * which ends the process. @throws MemcacheValueError for what claims more than is there, and for what is not written so.
 */
export function checkBounds(bytes: Buffer): void {
  checkVersion(bytes)
  const cursor = new V8Cursor(bytes)
  cursor.skip(2)
  checkValue(cursor, 0)
  cursor.end()
}

/** @throws MemcacheValueError for what does not begin with the version of V8's format that is known here, written since 2021. */
export function checkVersion(bytes: Buffer): void {
  if (bytes[0] !== 0xff || bytes[1] !== VERSION) throw new MemcacheValueError(`it does not begin as version ${VERSION} of V8's format does`)
}

/**
 * How many slots the arrays with holes in an item have together at most, each of which takes eight bytes, though nothing in
 * the item bears it out.
 */
export function mostSlots(bytes: Buffer): number {
  return bytes.length + 65_536
}

class V8Cursor extends Cursor {
  #slots = 0

  /** Goes into an array with holes. */
  slots(length: number): void {
    this.#slots += length
    if (this.#slots > mostSlots(this.bytes)) throw new MemcacheValueError(`it has arrays with more than ${mostSlots(this.bytes)} elements, most of which are holes`)
  }
}

/** Each value begins with a tag, which says how it goes on. */
function checkValue(cursor: V8Cursor, level: number): void {
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
function checkObject(cursor: V8Cursor, tag: string, level: number): void {
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
      return checkProperties(cursor, level)
    case ';': // a Map: keys and values, how many
      return checkMembers(cursor, level, ':', 1)
    case "'": // a Set
      return checkMembers(cursor, level, ',', 1)
    case 'A': // an array: its length, as many values, named properties, how many, the length once more
      for (let left = readNumber(cursor); left > 0; left -= 1) checkValue(cursor, level + 1)
      return checkArray(cursor, level, '$', 0)
    case 'a': // an array with holes: its length, indices and values, how many, the length once more
      return checkHoles(cursor, level, readNumber(cursor))
    case 'r':
      return checkError(cursor, level)
    default:
      return refuse(tag)
  }
}

/** Any number of values, the tag at their end, and so many numbers. */
function checkMembers(cursor: V8Cursor, level: number, end: string, numbers: number): void {
  while (peekTag(cursor) !== end) {
    cursor.part()
    checkValue(cursor, level + 1)
  }
  readTag(cursor)
  for (let left = numbers; left > 0; left -= 1) readNumber(cursor)
}

function checkProperties(cursor: V8Cursor, level: number): void {
  const elements = new Elements()
  while (peekTag(cursor) !== '{') {
    cursor.part()
    cursor.parts(elements.add(readName(cursor, level + 1)))
    checkValue(cursor, level + 1)
  }
  readTag(cursor)
  readNumber(cursor)
}

/** The properties of an array. An index from `length` on would make it longer: V8 writes none. */
function checkArray(cursor: V8Cursor, level: number, end: string, length: number): void {
  while (peekTag(cursor) !== end) {
    cursor.part()
    const index = indexOf(readName(cursor, level + 1)) ?? -1
    if (index >= length) throw new MemcacheValueError(`V8 has not written this: it has an array of length ${length} with an element ${index}`)
    checkValue(cursor, level + 1)
  }
  readTag(cursor)
  readNumber(cursor)
  readNumber(cursor)
}

/** The name of a property, if it may be that of an element: V8 takes those in any form. */
function readName(cursor: V8Cursor, level: number): string | number | undefined {
  const tag = readTag(cursor)
  if (tag === 'U') return readNumber(cursor)
  if (tag === 'I') {
    const number = readNumber(cursor)
    return (number >>> 1) ^ -(number & 1) // the lowest bit is its sign
  }
  const length = tag === '"' || tag === 'c' ? readNumber(cursor) : 8
  const from = cursor.at
  if (tag !== '"' && tag !== 'c' && tag !== 'N') {
    cursor.at -= 1
    return void checkValue(cursor, level)
  }
  cursor.skip(length)
  if (tag === 'N') return cursor.bytes.readDoubleLE(from)
  return length > 2 * DIGITS_OF_INDICES ? undefined : cursor.bytes.toString(tag === 'c' ? 'utf16le' : 'latin1', from, cursor.at)
}

/** Where V8 asks for a string, it reads whatever is there before it looks. */
function checkString(cursor: V8Cursor): void {
  const tag = readTag(cursor)
  if (tag !== '"' && tag !== 'c') refuse(tag)
  cursor.skip(readNumber(cursor))
}

/** An error: its class, message, stack and cause, in any order. */
function checkError(cursor: V8Cursor, level: number): void {
  for (;;) {
    const tag = readTag(cursor)
    if (tag === '.') return
    if (tag === 'm' || tag === 's') checkString(cursor)
    else if (tag === 'c') checkValue(cursor, level + 1)
    else if (!'EFRSTU'.includes(tag)) refuse(tag)
  }
}

function checkHoles(cursor: V8Cursor, level: number, length: number): void {
  cursor.slots(length)
  checkArray(cursor, level, '@', length)
}

/** The tag that comes next; zeros before it only align what follows. */
function peekTag(cursor: V8Cursor): string {
  while (cursor.bytes[cursor.at] === 0) cursor.at += 1
  return String.fromCharCode(cursor.bytes[cursor.at] ?? cursor.cutOff())
}

function readTag(cursor: V8Cursor): string {
  const tag = peekTag(cursor)
  cursor.at += 1
  return tag
}

/** 32 bits without a sign, seven in a byte, the lowest ones first. */
function readNumber(cursor: V8Cursor): number {
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

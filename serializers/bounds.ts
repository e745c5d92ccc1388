/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'

/** How deep values may be nested, both ways: V8 itself gives up at a depth that depends on how full the stack is. */
export const MOST_LEVELS = 1000

/**
 * How many objects and properties a value may have together, both ways. An enemy needs a few bytes for one, which takes up
 * to some hundred in memory; what people store takes twenty bytes or more for each, so that this is beyond what a server holds.
 */
export const MOST_PARTS = 2_000_000

/** @throws MemcacheValueError for a value of more parts than that. */
export function checkParts(count: number): void {
  if (count > MOST_PARTS) throw new MemcacheValueError(`it has more than ${MOST_PARTS} objects and properties`)
}

/** A slot of eight bytes is an eighth of the least that a part takes. */
const SLOTS_IN_A_PART = 8
/** Within these bounds V8 gives an object a list for what its integers name; beyond them, a table as large as what is in it. */
const [WIDEST_GAP, LONGEST_UNFILLED, MOST_SLOTS_EACH] = [1024, 5000, 32] as const

/**
 * What one object takes for the properties that integers name: V8 has a list for them, with a slot for each integer below
 * the largest one, and for half as many above it. So the single property 1022 takes twelve thousand bytes.
 */
export class Elements {
  #slots = 0
  #used = 0

  /** How many parts more it is with a property of this name, beside the property itself. */
  add(name: string | number | undefined): number {
    const index = indexOf(name)
    if (index === undefined) return 0
    this.#used += 1
    const slots = 1.5 * (index + 1) + 16
    const more = slots - this.#slots
    const table = index - this.#slots >= WIDEST_GAP || (slots > LONGEST_UNFILLED && slots > MOST_SLOTS_EACH * this.#used)
    if (index < this.#slots || table) return 0
    this.#slots = slots
    return more / SLOTS_IN_A_PART
  }
}

/** Whether there is room for too many parts: with an element far behind the others, five bytes are as many as 195. */
export function mayHaveTooMany(bytes: Buffer): boolean {
  return bytes.length > MOST_PARTS / 40
}

/** 2^32-2 is the largest one. */
export const DIGITS_OF_INDICES = 10

/** The index of the element that a property of this name is, if it is one. */
export function indexOf(name: string | number | undefined): number | undefined {
  if (name === undefined || (typeof name === 'string' && !/^(?:0|[1-9]\d{0,9})$/.test(name))) return undefined
  const index = Number(name)
  return Number.isInteger(index) && index >= 0 && index < 2 ** 32 - 1 ? index : undefined
}

/** A way through the bytes of a value, which reserves nothing. @throws MemcacheValueError behind their end. */
export class Cursor {
  readonly bytes: Buffer
  at = 0
  #parts = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  byte(): number {
    const byte = this.bytes[this.at] ?? this.cutOff()
    this.at += 1
    return byte
  }

  skip(length: number): void {
    this.at += length
    if (this.at > this.bytes.length) this.cutOff()
  }

  /** Goes into an object, or to a property. */
  part(): void {
    this.parts(1)
  }

  /** Goes to what takes as much as so many. */
  parts(count: number): void {
    this.#parts += count
    checkParts(this.#parts)
  }

  /** Goes into what holds other values. */
  level(level: number): void {
    if (level > MOST_LEVELS) throw new MemcacheValueError(`it is nested deeper than ${MOST_LEVELS} levels`)
  }

  end(): void {
    const rest = this.bytes.length - this.at
    if (rest > 0) throw new MemcacheValueError(`there are ${rest} bytes behind the value`)
  }

  cutOff(): never {
    throw new MemcacheValueError('it is cut off, or claims to be longer than it is')
  }
}

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
    this.#parts += 1
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

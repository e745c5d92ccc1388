/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type * as NodeV8 from 'node:v8'
import { flags } from '../lib/flags.ts'
import { loadPackage } from '../lib/package-loader.ts'
import type { Serializer } from '../lib/serialization.ts'
import { mayHaveTooMany } from './bounds.ts'
import { refuse } from './flaws.ts'
import { checkBounds, checkVersion, mostSlots } from './v8-bounds.ts'
import { findCloneFlaw } from './v8-flaws.ts'

/**
 * V8's structured clone. It keeps what JSON does, and Map, Set, Date, RegExp, bigint, undefined, NaN, -0, Buffers, typed
 * arrays, errors, and circles. What a clone would change or drop is refused with the path to the culprit: functions,
 * symbols, class instances.
 */
export const v8: Serializer = {
  flag: flags.v8,
  serialize(value) {
    const bytes = clone(value)
    checkVersion(bytes) // a later V8 may write what would not be read
    const flaw = findCloneFlaw(value, mostSlots(bytes))
    if (flaw !== undefined) refuse('V8', flaw)
    if (mayHaveTooMany(bytes)) checkBounds(bytes) // so large that it could have more
    return bytes
  },
  deserialize(bytes) {
    checkBounds(bytes)
    const reader = new (readerClass())(bytes)
    reader.readHeader()
    return reader.readValue() as unknown
  },
}

/** An array in which a search should not take all day, as it would in one of 2^32 holes. */
const LONGEST_SEARCHED = 2 ** 24

/** What V8 itself throws for is looked for once more, to name the path to it. */
function clone(value: unknown): Buffer {
  try {
    return nodeV8().serialize(value)
  } catch (error) {
    const flaw = findCloneFlaw(value, LONGEST_SEARCHED)
    if (flaw !== undefined) refuse('V8', flaw)
    throw error
  }
}

type ReaderClass = new (bytes: Buffer) => NodeV8.Deserializer
let made: ReaderClass | undefined

/** The class that reads, made when the first value is read: most clients never load node:v8. */
function readerClass(): ReaderClass {
  if (made !== undefined) return made
  const { DefaultDeserializer } = nodeV8()
  const { _readHostObject: readView } = DefaultDeserializer.prototype as unknown as { _readHostObject(this: object): NodeJS.ArrayBufferView }
  return (made = class extends DefaultDeserializer {
    /** A Buffer or a view of an ArrayBuffer. Node makes it one of the bytes that are read: all of them would be in its `buffer`. */
    _readHostObject(): NodeJS.ArrayBufferView {
      const view = readView.call(this)
      if (Buffer.isBuffer(view)) return Buffer.from(view)
      const own = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength)
      return new (view.constructor as new (buffer: ArrayBufferLike) => NodeJS.ArrayBufferView)(own)
    }
  })
}

function nodeV8(): typeof NodeV8 {
  return loadPackage('node:v8') as typeof NodeV8
}

/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { decodeInteger, decodeString } from '../lib/plain-values.ts'
import { show } from '../lib/show.ts'
import { Elements } from './bounds.ts'
import { ByteInput } from './byte-input.ts'
import { MOST_LEVELS, MOST_OBJECTS, setOwn } from './plain-data.ts'

const [QUOTE, COLON, SEMICOLON, BRACE] = [0x22, 0x3a, 0x3b, 0x7d] as const
const FLOAT = /^-?(?:\d*\.?\d+(?:e[+-]?\d+)?|inf(?:inity)?)$|^nan$/i

/**
 * The value that PHP's serialize() has written: null, booleans, numbers, strings and arrays. No class is looked up, and
 * nothing is called.
 * @throws MemcacheValueError for objects, naming their class, for references, and for what was not written by serialize().
 */
export function readPhp(bytes: Buffer): unknown {
  const input = new ByteInput('the serialized PHP', bytes)
  const value = new PhpReader(input).value(0)
  if (input.left > 0) throw new MemcacheValueError(`there are ${input.left} bytes behind the end of the serialized PHP`)
  return value
}

class PhpReader {
  readonly #input: ByteInput
  #objects = 0

  constructor(input: ByteInput) {
    this.#input = input
  }

  value(level: number): unknown {
    if (level > MOST_LEVELS) throw new MemcacheValueError(`the serialized PHP is more than ${MOST_LEVELS} levels deep`)
    const type = String.fromCharCode(this.#input.uint8())
    if (type === 'N') return this.#expect(SEMICOLON), null
    this.#expect(COLON)
    switch (type) {
      case 'b':
        return this.#boolean()
      case 'i':
        return decodeInteger(this.#input.until(SEMICOLON))
      case 'd':
        return phpFloat(this.#input.until(SEMICOLON).toString('latin1'))
      case 's':
        return this.#string()
      case 'a':
        return this.#array(level)
      case 'O':
      case 'C':
      case 'E':
        return this.#refuseInstance()
      case 'R':
      case 'r':
        throw new MemcacheValueError('the serialized PHP has a reference, which is no plain data')
      default:
        throw new MemcacheValueError(`the serialized PHP has a value of the type ${show(type)}, which is no plain data`)
    }
  }

  #expect(byte: number): void {
    const found = this.#input.uint8()
    if (found !== byte) throw new MemcacheValueError(`the serialized PHP has ${show(String.fromCharCode(found))} in the place of ${show(String.fromCharCode(byte))}`)
  }

  #count(objects = 1): void {
    this.#objects += objects
    if (this.#objects > MOST_OBJECTS) throw new MemcacheValueError(`the serialized PHP has more than ${MOST_OBJECTS} objects`)
  }

  #boolean(): boolean {
    const digit = this.#input.until(SEMICOLON).toString('latin1')
    if (digit !== '0' && digit !== '1') throw new MemcacheValueError('the serialized PHP has a boolean that is none')
    return digit === '1'
  }

  #length(end: number): number {
    const digits = this.#input.until(end).toString('latin1')
    if (!/^\d{1,15}$/.test(digits)) throw new MemcacheValueError('the serialized PHP has a length that is none')
    return Number(digits)
  }

  #quoted(): Buffer {
    const length = this.#length(COLON)
    this.#expect(QUOTE)
    const bytes = this.#input.bytes(length)
    this.#expect(QUOTE)
    return bytes
  }

  /** Text; but bytes that are no UTF-8 as they are. */
  #string(): string | Buffer {
    const text = decodeString(this.#quoted())
    this.#expect(SEMICOLON)
    if (typeof text === 'string') return text
    this.#count()
    return Buffer.from(text)
  }

  /** An array if its keys are 0, 1, 2, …, an object if they are all strings, else a Map. */
  #array(level: number): object {
    const count = this.#length(COLON)
    this.#expect(0x7b)
    this.#count()
    const entries = new Map<unknown, unknown>()
    let [listed, named] = [true, true]
    for (let index = 0; index < count; index += 1) {
      const key = this.#key()
      listed &&= key === index
      named &&= typeof key === 'string'
      entries.set(key, this.value(level + 1))
    }
    this.#expect(BRACE)
    if (entries.size < count) throw new MemcacheValueError('the serialized PHP has an array with the same key twice')
    if (listed) return [...entries.values()]
    if (!named) return entries
    const object: Record<string, unknown> = {}
    const elements = new Elements()
    for (const [key, value] of entries) {
      this.#count(elements.add(key as string)) // PHP writes none; an enemy may
      setOwn(object, key as string, value)
    }
    return object
  }

  #key(): unknown {
    const type = String.fromCharCode(this.#input.uint8())
    if (type !== 'i' && type !== 's') throw new MemcacheValueError('the serialized PHP has a key that is no string and no integer')
    this.#expect(COLON)
    return type === 's' ? this.#string() : decodeInteger(this.#input.until(SEMICOLON))
  }

  #refuseInstance(): never {
    throw new MemcacheValueError(`the serialized PHP has an instance of ${show(this.#quoted().toString())}, which is no plain data`)
  }
}

/** A floating-point number as PHP and php-memcached write it. @throws MemcacheValueError for anything else. */
export function phpFloat(text: string): number {
  if (!FLOAT.test(text)) throw new MemcacheValueError('it is marked as a floating-point number but is none')
  if (/inf/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity
  return Number(text) // NaN in any case of letters
}

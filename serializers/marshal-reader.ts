/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { decodeString } from '../lib/plain-values.ts'
import { show } from '../lib/show.ts'
import { checkParts, Elements } from './bounds.ts'
import { ByteInput } from './byte-input.ts'
import { MOST_LEVELS, MOST_OBJECTS, setOwn } from './plain-data.ts'

/** Version 4.8, which Ruby has written since 1.8. */
const VERSION = [4, 8] as const
const FLOAT = /^-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf)$|^nan$/
/** In the place of what contains itself, until it is whole. */
const OPEN = Symbol('open')

/** What stands first in the value of each kind that is refused. */
const REFUSED: { readonly [type: string]: string } = {
  o: 'an instance of', u: 'an instance of', U: 'an instance of', S: 'an instance of', C: 'an instance of', e: 'an object that has',
}

/**
 * The value that Ruby's Marshal has written: nil, booleans, numbers, Strings, Symbols, Arrays and Hashes. No class is looked
 * up, and nothing is called.
 * @throws MemcacheValueError for what is no plain data, naming its class, and for what is no Marshal data.
 */
export function readMarshal(bytes: Buffer): unknown {
  const input = new ByteInput('the Marshal data', bytes)
  const [major, minor] = [input.uint8(), input.uint8()]
  if (major !== VERSION[0] || minor > VERSION[1]) throw new MemcacheValueError(`it is no Marshal data of version ${VERSION.join('.')}`)
  const value = new MarshalReader(input).value(0)
  if (input.left > 0) throw new MemcacheValueError(`there are ${input.left} bytes behind the end of the Marshal data`)
  return value
}

class MarshalReader {
  readonly #input: ByteInput
  #slots = 0
  /** What can be named again by its number: all but nil, booleans, short integers and Symbols. */
  readonly #objects: unknown[] = []
  readonly #symbols: string[] = []

  constructor(input: ByteInput) {
    this.#input = input
  }

  value(level: number): unknown {
    if (level > MOST_LEVELS) throw new MemcacheValueError(`the Marshal data is more than ${MOST_LEVELS} levels deep`)
    const type = String.fromCharCode(this.#input.uint8())
    switch (type) {
      case '0':
        return null
      case 'T':
        return true
      case 'F':
        return false
      case 'i':
        return this.#integer()
      case 'l':
        return this.#enter(this.#bignum())
      case 'f':
        return this.#enter(this.#float())
      case '"':
        return this.#enter(Buffer.from(this.#bytes()))
      case ':':
      case ';':
        return this.#symbol(type)
      case 'I':
        return this.#withEncoding()
      case '[':
        return this.#array(level)
      case '{':
        return this.#hash(level)
      case '@':
        return this.#again()
      default:
        return this.#refuse(type)
    }
  }

  /** Gives it the next number. */
  #enter<T>(value: T): T {
    if (this.#objects.push(value) > MOST_OBJECTS) throw new MemcacheValueError(`the Marshal data has more than ${MOST_OBJECTS} objects`)
    return value
  }

  #again(): unknown {
    const index = this.#integer()
    if (index < 0 || index >= this.#objects.length) throw new MemcacheValueError(`the Marshal data refers to its object ${index}, which it does not have`)
    const value = this.#objects[index]
    if (value === OPEN) throw new MemcacheValueError('the Marshal data has an Array or a Hash that contains itself')
    return value
  }

  /** One byte for what is small, else how many bytes follow, negative for negative numbers. */
  #integer(): number {
    const first = (this.#input.uint8() << 24) >> 24
    if (first === 0) return 0
    if (first > 4) return first - 5
    if (first < -4) return first + 5
    const size = Math.abs(first)
    const rest = this.#input.bytes(size).readUIntLE(0, size)
    return first > 0 ? rest : rest - 2 ** (8 * size)
  }

  #length(): number {
    const length = this.#integer()
    if (length < 0) throw new MemcacheValueError(`the Marshal data has a length of ${length}`)
    return length
  }

  #bytes(): Buffer {
    return this.#input.bytes(this.#length())
  }

  #bignum(): number | bigint {
    const negative = this.#input.uint8() === 0x2d
    const digits = Buffer.from(this.#input.bytes(2 * this.#length())).reverse().toString('hex')
    const size = BigInt(`0x${digits || '0'}`)
    const integer = negative ? -size : size
    return Number.isSafeInteger(Number(integer)) ? Number(integer) : integer
  }

  #float(): number {
    const text = this.#bytes().toString('latin1')
    if (!FLOAT.test(text)) throw new MemcacheValueError('the Marshal data has a Float that is none')
    return text.endsWith('inf') ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text)
  }

  /** A Symbol, by its name; later by its number. */
  #symbol(type: string): string {
    if (type === ';') {
      const index = this.#integer()
      return this.#symbols[index] ?? this.#unknownSymbol(index)
    }
    const name = this.#bytes().toString()
    this.#symbols.push(name)
    return name
  }

  #unknownSymbol(index: number): never {
    throw new MemcacheValueError(`the Marshal data refers to its Symbol ${index}, which it does not have`)
  }

  /** The name of a class or of a variable. */
  #name(): string {
    const type = String.fromCharCode(this.#input.uint8())
    if (type !== ':' && type !== ';') throw new MemcacheValueError('the Marshal data has a name that is no Symbol')
    return this.#symbol(type)
  }

  /** A String or a Symbol that says what its bytes mean; without that they are bytes. */
  #withEncoding(): unknown {
    const type = String.fromCharCode(this.#input.uint8())
    if (type === ':') {
      const name = this.#symbol(type)
      this.#checkEncoding()
      return name
    }
    if (type !== '"') return this.#refuse(type)
    const text = decodeString(this.#bytes())
    const value = this.#enter(typeof text === 'string' ? text : Buffer.from(text))
    this.#checkEncoding()
    return value
  }

  /** One variable, which is called E: true means UTF-8, false US-ASCII. */
  #checkEncoding(): void {
    const [variables, name, type] = [this.#length(), this.#name(), String.fromCharCode(this.#input.uint8())]
    if (variables === 1 && name === 'E' && 'TF'.includes(type)) return
    const what = name === 'encoding' && type === '"' ? `the encoding ${show(this.#bytes().toString())}` : 'instance variables'
    throw new MemcacheValueError(`the Marshal data has a String with ${what}, which is no plain data`)
  }

  #array(level: number): unknown[] {
    const number = this.#objects.length
    this.#enter(OPEN)
    const array: unknown[] = []
    for (let left = this.#length(); left > 0; left -= 1) array.push(this.value(level + 1))
    this.#objects[number] = array
    return array
  }

  /** An object if all of its keys are Strings or Symbols, else a Map. */
  #hash(level: number): object {
    const number = this.#objects.length
    this.#enter(OPEN)
    const entries = new Map<unknown, unknown>()
    const count = this.#length()
    for (let left = count; left > 0; left -= 1) entries.set(this.value(level + 1), this.value(level + 1))
    if (entries.size < count) throw new MemcacheValueError('the Marshal data has a Hash with keys that are equal here, as a Symbol and a String are')
    const hash = this.#objectOrMap(entries)
    this.#objects[number] = hash
    return hash
  }

  /** A plain object if all keys are strings. */
  #objectOrMap(entries: Map<unknown, unknown>): object {
    const object: Record<string, unknown> = {}
    const elements = new Elements()
    for (const [key, value] of entries) {
      if (typeof key !== 'string') return entries
      this.#slots += elements.add(key)
      checkParts(this.#slots)
      setOwn(object, key, value)
    }
    return object
  }

  #refuse(type: string): never {
    if (type === '}') throw new MemcacheValueError('the Marshal data has a Hash with a default, which is no plain data')
    const what = REFUSED[type]
    if (what !== undefined) throw new MemcacheValueError(`the Marshal data has ${what} ${show(this.#name())}, which is no plain data`)
    if ('cmM'.includes(type)) throw new MemcacheValueError(`the Marshal data names ${show(this.#bytes().toString())}, which is no plain data`)
    throw new MemcacheValueError(`the Marshal data has a value of the type ${show(type)}, which is no plain data`)
  }
}

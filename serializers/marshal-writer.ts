/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { ByteOutput } from './byte-output.ts'
import { kindOf, Path, propertiesOf } from './plain-data.ts'

/** From here on an integer is written as a Bignum. */
const FIXNUM = 2 ** 30

/**
 * A value as Ruby's Marshal writes it. Strings are UTF-8, Buffers are binary Strings, the keys of objects are Strings.
 * @throws MemcacheValueError, with the way to it, for what would be read as something else.
 */
export function writeMarshal(value: unknown): Buffer {
  return new MarshalWriter().whole(value)
}

class MarshalWriter {
  readonly #out = new ByteOutput()
  readonly #path = new Path('Marshal')
  /** The numbers by which arrays and objects can be named again; those that are not whole yet have none. */
  readonly #numbers = new Map<object, number | undefined>()
  #count = 0
  #encoded = false

  whole(value: unknown): Buffer {
    this.#out.uint8(4)
    this.#out.uint8(8)
    this.#write(value)
    return this.#out.end()
  }

  #write(value: unknown): void {
    switch (kindOf(value)) {
      case 'null':
        return this.#out.text('0')
      case 'boolean':
        return this.#out.text(value === true ? 'T' : 'F')
      case 'integer':
        return this.#integer(value as number)
      case 'float':
        return this.#float(value as number)
      case 'bigint':
        if (Number.isSafeInteger(Number(value))) this.#path.refuse('a bigint that a number can say, since it is read as one')
        return this.#bignum(value as bigint)
      case 'string':
        return this.#string(value as string)
      case 'bytes':
        return this.#bytes(value as Buffer)
      case 'array':
        return this.#once(value as unknown[], () => this.#array(value as unknown[]))
      case 'object':
        return this.#once(value as object, () => this.#object(propertiesOf(value as object)))
      case 'map':
        return this.#once(value as object, () => this.#map(value as Map<unknown, unknown>))
      default:
        return this.#path.refuseValue(value)
    }
  }

  #once(value: object, write: () => void): void {
    const number = this.#numbers.get(value)
    if (number !== undefined) {
      this.#out.text('@')
      return this.#packed(number)
    }
    if (this.#numbers.has(value)) this.#path.refuse('what contains itself')
    const own = this.#count
    this.#count += 1
    this.#numbers.set(value, undefined)
    write()
    this.#numbers.set(value, own)
  }

  #integer(value: number): void {
    if (value < -FIXNUM || value >= FIXNUM) return this.#bignum(BigInt(value))
    this.#out.text('i')
    this.#packed(value)
  }

  /** One byte for what is small, else how many bytes follow, negative for negative numbers. */
  #packed(value: number): void {
    if (value === 0) return this.#out.uint8(0)
    if (value > 0 && value < 123) return this.#out.uint8(value + 5)
    if (value < 0 && value > -124) return this.#out.uint8((value - 5) & 0xff)
    const bytes: number[] = []
    for (let rest = value; rest !== 0 && rest !== -1; rest >>= 8) bytes.push(rest & 0xff)
    this.#out.uint8((value < 0 ? -bytes.length : bytes.length) & 0xff)
    this.#out.bytes(Buffer.from(bytes))
  }

  #bignum(value: bigint): void {
    this.#count += 1
    const digits = (value < 0n ? -value : value).toString(16)
    const shorts = Math.ceil(digits.length / 4)
    this.#out.text(value < 0n ? 'l-' : 'l+')
    this.#packed(shorts)
    this.#out.bytes(Buffer.from(digits.padStart(4 * shorts, '0'), 'hex').reverse())
  }

  #float(value: number): void {
    this.#count += 1
    const text = Object.is(value, -0) ? '-0' : String(value).replace('Infinity', 'inf').replace('NaN', 'nan')
    this.#out.text('f')
    this.#packed(text.length)
    this.#out.text(text)
  }

  #string(value: string): void {
    if (!value.isWellFormed()) this.#path.refuse('a string with a lone surrogate')
    this.#out.text('I')
    this.#bytes(Buffer.from(value))
    this.#packed(1)
    this.#out.text(this.#encoded ? ';\0T' : ':\x06ET') // the only Symbol there is: E is true, it is UTF-8
    this.#encoded = true
  }

  #bytes(value: Buffer): void {
    this.#count += 1
    this.#out.text('"')
    this.#packed(value.length)
    this.#out.bytes(value)
  }

  #array(array: readonly unknown[]): void {
    this.#out.text('[')
    this.#packed(array.length)
    for (let index = 0; index < array.length; index += 1) {
      this.#path.enter(index)
      this.#write(array[index])
      this.#path.leave()
    }
  }

  #object(entries: readonly (readonly [name: string, value: unknown])[]): void {
    this.#path.count(entries)
    this.#hash(entries)
  }

  #map(map: ReadonlyMap<unknown, unknown>): void {
    const keys = [...map.keys()]
    if (keys.every((key) => typeof key === 'string')) this.#path.refuse('a Map without a key that is no string, since it is read as an object')
    if (keys.some((key) => typeof key === 'object' && key !== null)) this.#path.refuse('a Map with a key that is an object')
    this.#hash([...map])
  }

  #hash(entries: readonly (readonly [key: unknown, value: unknown])[]): void {
    this.#out.text('{')
    this.#packed(entries.length)
    for (const [key, value] of entries) {
      this.#path.enter(String(key))
      this.#write(key)
      this.#write(value)
      this.#path.leave()
    }
  }
}

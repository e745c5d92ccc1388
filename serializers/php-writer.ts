/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { show } from '../lib/show.ts'
import { ByteOutput } from './byte-output.ts'
import { kindOf, Path, propertiesOf } from './plain-data.ts'

/** What PHP, in an array, takes for a number although it is a string. */
const NUMERIC = /^(?:0|-?[1-9]\d{0,18})$/

/**
 * A value as PHP's serialize() writes it. Arrays and objects are PHP's arrays.
 * @throws MemcacheValueError, with the way to it, for what would be read as something else.
 */
export function writePhp(value: unknown): Buffer {
  return new PhpWriter().whole(value)
}

class PhpWriter {
  readonly #out = new ByteOutput()
  readonly #path = new Path('PHP')

  whole(value: unknown): Buffer {
    this.#write(value)
    return this.#out.end()
  }

  #write(value: unknown): void {
    switch (kindOf(value)) {
      case 'null':
        return this.#out.text('N;')
      case 'boolean':
        return this.#out.text(value === true ? 'b:1;' : 'b:0;')
      case 'integer':
        return this.#out.text(`i:${value as number};`)
      case 'float':
        return this.#out.text(`d:${phpDigits(value as number)};`)
      case 'bigint':
        return this.#bigint(value as bigint)
      case 'string':
        return this.#string(value as string)
      case 'bytes':
        return this.#path.refuse('a Buffer inside of something: PHP does not tell it from a string')
      case 'array':
        return this.#array((value as unknown[]).map((item, index) => [index, item]))
      case 'object':
        return this.#object(propertiesOf(value as object))
      case 'map':
        return this.#map(value as Map<unknown, unknown>)
      default:
        return this.#path.refuseValue(value)
    }
  }

  #bigint(value: bigint): void {
    if (Number.isSafeInteger(Number(value))) this.#path.refuse('a bigint that a number can say, since it is read as one')
    if (BigInt.asIntN(64, value) !== value) this.#path.refuse('an integer of more than 64 bits')
    this.#out.text(`i:${value};`)
  }

  #string(value: string): void {
    if (!value.isWellFormed()) this.#path.refuse('a string with a lone surrogate')
    this.#out.text(`s:${Buffer.byteLength(value)}:"${value}";`)
  }

  #object(entries: readonly (readonly [name: string, value: unknown])[]): void {
    if (entries.length === 0) this.#path.refuse('an object without properties: it does not tell it from an empty array')
    const numeric = entries.find(([name]) => NUMERIC.test(name))
    if (numeric !== undefined) this.#path.refuse(`the property ${show(numeric[0])}: it makes a number of its name`)
    this.#array(entries)
  }

  #map(map: ReadonlyMap<unknown, unknown>): void {
    const keys = [...map.keys()]
    if (keys.every((key) => typeof key === 'string')) this.#path.refuse('a Map without a key that is no string, since it is read as an object')
    if (keys.every((key, index) => key === index)) this.#path.refuse('a Map with the keys of an array, since it is read as one')
    for (const key of keys) {
      const possible = typeof key === 'string' ? !NUMERIC.test(key) : kindOf(key) === 'integer'
      if (!possible) this.#path.refuse('a Map with a key that is no whole number and no other string')
    }
    this.#array([...map])
  }

  #array(entries: readonly (readonly [key: unknown, value: unknown])[]): void {
    this.#out.text(`a:${entries.length}:{`)
    for (const [key, value] of entries) {
      this.#path.enter(key as string | number)
      this.#write(key)
      this.#write(value)
      this.#path.leave()
    }
    this.#out.text('}')
  }
}

function phpDigits(value: number): string {
  if (Object.is(value, -0)) return '-0'
  return String(value).replace('Infinity', 'INF').replace('NaN', 'NAN')
}

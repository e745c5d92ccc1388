/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { PythonDateTime } from './pickle-times.ts'

/**
 * Numbers for what may be a key of a dict or in a set: two that Python takes for equal have the same one. There 1, 1.0 and
 * True are equal, and so are tuples of equal items; in JavaScript they are keys of their own, of which one would get lost.
 */
export class KeyNumbers {
  readonly #numbers = new Map<string, number>()
  readonly #known = new Map<object, number>()

  /** @throws TypeError for what is no key; the writer has refused it before. */
  of(key: unknown): number {
    if (typeof key !== 'object' || key === null) return this.#number(nameOf(key))
    let number = this.#known.get(key)
    if (number === undefined) {
      number = this.#number(this.#nameOfObject(key))
      this.#known.set(key, number)
    }
    return number
  }

  #number(name: string): number {
    let number = this.#numbers.get(name)
    if (number === undefined) this.#numbers.set(name, (number = this.#numbers.size))
    return number
  }

  #nameOfObject(key: object): string {
    if (Buffer.isBuffer(key)) return nameOfBytes(key)
    if (key instanceof PythonDateTime) return `datetime ${key.getTime()} ${key.microseconds} ${key.offset === undefined ? 'naive' : 'aware'}`
    if (key instanceof Date) return `datetime ${key.getTime()} 0 naive`
    if (Array.isArray(key)) return `tuple ${key.map((item) => this.of(item)).join()}`
    if (key instanceof Set) return `frozenset ${Array.from(key, (item) => this.of(item)).sort().join()}`
    return `${key.constructor.name} ${JSON.stringify(key)}` // a date, a time or a timedelta
  }
}

function nameOf(key: unknown): string {
  if (typeof key === 'boolean') return `number ${Number(key)}`
  if (typeof key === 'number' || typeof key === 'bigint') return `number ${Number.isInteger(key) ? BigInt(key) : key}`
  return typeof key === 'string' ? `string ${key}` : String(key)
}

/** In Python 2, bytes equal the text that they are in ASCII. */
function nameOfBytes(bytes: Buffer): string {
  const text = bytes.toString('latin1')
  return bytes.every((byte) => byte < 0x80) ? `string ${text}` : `bytes ${text}`
}

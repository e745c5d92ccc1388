/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { types } from 'node:util'
import { isInteger } from '../lib/plain-values.ts'
import { Elements, MOST_PARTS } from './bounds.ts'
import { describe, flawOfArray, flawOfObject, isBare, isPlainObject, refuse, step } from './flaws.ts'

/** What the formats of other languages have in common: what they keep of JavaScript's values, and how they refuse the rest. */

/** How deep values may be nested. Python and PHP have such bounds too. What contains itself is deeper, where that is not kept. */
export const MOST_LEVELS = 500

/**
 * How many objects there may be in what is read: arrays, sets, Buffers, dates. In other languages' formats a byte or two are
 * enough for one, which takes a hundred or two in memory.
 */
export const MOST_OBJECTS = 2_000_000

/** What kind of value it is. An integer is a number that is safe as one, and not -0. */
export type Kind = 'null' | 'boolean' | 'integer' | 'float' | 'bigint' | 'string' | 'bytes' | 'array' | 'object' | 'map' | 'set' | 'date'

/** See {@link Kind}; `undefined` for what no format keeps: class instances, functions, what would lose some of its properties. */
export function kindOf(value: unknown): Kind | undefined {
  switch (typeof value) {
    case 'number':
      return isInteger(value) ? 'integer' : 'float'
    case 'boolean':
      return 'boolean'
    case 'bigint':
      return 'bigint'
    case 'string':
      return 'string'
    case 'object':
      return value === null ? 'null' : kindOfObject(value)
    default:
      return undefined
  }
}

function kindOfObject(value: object): Kind | undefined {
  if (Array.isArray(value)) return flawOfArray(value) === undefined ? 'array' : undefined
  if (isPlainObject(value)) return flawOfObject(value) === undefined ? 'object' : undefined
  if (Buffer.isBuffer(value)) return Object.getPrototypeOf(value) === Buffer.prototype ? 'bytes' : undefined
  if (types.isMap(value)) return isBare(value, Map.prototype) ? 'map' : undefined
  if (types.isSet(value)) return isBare(value, Set.prototype) ? 'set' : undefined
  return types.isDate(value) && isBare(value, Date.prototype) ? 'date' : undefined
}

/** The properties of a plain object. One that is `undefined` is left out, and so reads the same. */
export function propertiesOf(object: object): [name: string, value: unknown][] {
  return Object.entries(object).filter(([, value]) => value !== undefined)
}

/** The way from a whole value to the part of it that is being written. */
export class Path {
  readonly #format: string
  readonly #steps: (string | number)[] = []
  #slots = 0

  /** `format`: its name in messages. */
  constructor(format: string) {
    this.#format = format
  }

  /** Goes to an object. @throws MemcacheValueError when the integers among the names of its properties take too much. */
  count(names: readonly (readonly [name: string, value: unknown])[]): void {
    const elements = new Elements()
    for (const [name] of names) this.#slots += elements.add(name)
    if (this.#slots > MOST_PARTS) this.refuse('objects with so many properties that are named by integers')
  }

  /** Goes to a part of what is being written. @throws MemcacheValueError when that is too deep. */
  enter(key: string | number): void {
    if (this.#steps.length === MOST_LEVELS) {
      this.#steps.length = 1
      this.refuse(`what is more than ${MOST_LEVELS} levels deep, or contains itself`)
    }
    this.#steps.push(key)
  }

  /** Goes back. */
  leave(): void {
    this.#steps.pop()
  }

  /** @throws MemcacheValueError, always, with the way to what is being written. */
  refuse(what: string): never {
    refuse(this.#format, { what, path: this.#steps.map(step).reverse() })
  }

  /** Refuses a value that is of no known kind. */
  refuseValue(value: unknown): never {
    const flaw = Array.isArray(value) ? flawOfArray(value) : typeof value === 'object' && value !== null && isPlainObject(value) ? flawOfObject(value) : undefined
    this.refuse(flaw ?? describe(value))
  }
}

/** Makes a property of it, also of what is called `__proto__`. */
export function setOwn(target: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__') Object.defineProperty(target, name, { value, writable: true, enumerable: true, configurable: true })
  else target[name] = value
}

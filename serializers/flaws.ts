import { MemcacheValueError } from '../lib/errors.ts'

/** What a serializer would change or drop, and where. */
export interface Flaw {
  readonly what: string
  /** The steps that lead to it, the innermost first. */
  readonly path: string[]
}

/** What a serializer makes of what is neither a plain object nor an array: what is wrong with it, or `undefined`. */
export interface Leaves {
  flawOf(leaf: unknown): string | undefined
  /** The same of a property's name. */
  flawOfKey?(key: string): string | undefined
}

/**
 * Finds what is not plain data: plain objects and arrays of such leaves. A property that is `undefined` is as good as none.
 * `ancestors`, where a circle is to be found, is a set that is empty at first.
 */
export function findFlaw(value: unknown, leaves: Leaves, ancestors?: Set<object>): Flaw | undefined {
  if (typeof value !== 'object' || value === null) return flaw(leaves.flawOf(value))
  if (ancestors?.has(value)) return flaw('a circle')
  ancestors?.add(value)
  const found = Array.isArray(value) ? inArray(value, leaves, ancestors) : inObject(value, leaves, ancestors)
  ancestors?.delete(value)
  return found
}

function inArray(array: readonly unknown[], leaves: Leaves, ancestors: Set<object> | undefined): Flaw | undefined {
  const what = flawOfArray(array)
  if (what !== undefined) return flaw(what)
  for (let index = 0; index < array.length; index += 1) {
    const found = findFlaw(array[index], leaves, ancestors)
    if (found !== undefined) return behind(index, found)
  }
  return undefined
}

function inObject(object: object, leaves: Leaves, ancestors: Set<object> | undefined): Flaw | undefined {
  if (!isPlainObject(object)) return flaw(leaves.flawOf(object))
  const what = flawOfObject(object)
  if (what !== undefined) return flaw(what)
  for (const key in object) { // half as long as with Object.keys, and finds the same, but for what is in Object.prototype
    const value = (object as Record<string, unknown>)[key]
    if (value === undefined) continue
    const found = flaw(leaves.flawOfKey?.(key)) ?? findFlaw(value, leaves, ancestors)
    if (found !== undefined && Object.hasOwn(object, key)) return behind(key, found)
  }
  return undefined
}

/** What is wrong with an array itself, whatever is in it. */
export function flawOfArray(array: readonly unknown[]): string | undefined {
  const prototype = Object.getPrototypeOf(array) as object
  if (prototype !== Array.prototype && !isIntrinsic(prototype, 'concat')) return instance(array)
  if (Object.keys(array).length > array.length || Object.getOwnPropertySymbols(array).length > 0) return 'the named properties of an array'
  return flawOfMethods(array)
}

/** What is wrong with a plain object itself, whatever is in it. */
export function flawOfObject(object: object): string | undefined {
  return Object.getOwnPropertySymbols(object).length > 0 ? 'a property named by a symbol' : flawOfMethods(object)
}

/** It says itself that it wants to be stored as something else. */
function flawOfMethods(object: object): string | undefined {
  return typeof (object as { toJSON?: unknown }).toJSON === 'function' ? 'an object with a toJSON method' : undefined
}

/** Whether it is an object of no class, of this realm or another one (a vm context, a test runner). */
export function isPlainObject(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object)
  return prototype === Object.prototype || prototype === null || isIntrinsic(prototype as object, 'isPrototypeOf')
}

/** How a value is called that is refused. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value)
    case 'object':
      return value === null ? 'null' : instance(value)
    case 'undefined':
      return 'undefined'
    default:
      return `a ${typeof value}`
  }
}

/** @throws MemcacheValueError that names the flaw and the path to it. */
export function refuse(format: string, { what, path }: Flaw): never {
  const where = path.toReversed().join('')
  throw new MemcacheValueError(`${format} cannot keep ${what}${where === '' ? '' : `, which is at ${where}`}`)
}

/** A property or an element as a step of a path. */
export function step(key: string | number): string {
  return typeof key === 'string' && /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}

function flaw(what: string | undefined): Flaw | undefined {
  return what === undefined ? undefined : { what, path: [] }
}

function behind(key: string | number, found: Flaw): Flaw {
  found.path.push(step(key))
  return found
}

function instance(object: object): string {
  return `a ${object.constructor?.name ?? 'class'} instance`
}

/** Whether it is another realm's Object.prototype or Array.prototype, each known by a method that only it has itself. */
function isIntrinsic(prototype: object, method: string): boolean {
  return Object.hasOwn(prototype, method)
}

import { MemcacheValueError } from '../lib/errors.ts'

/** What a serializer would change or drop, and where. */
export interface Flaw {
  readonly what: string
  /** The steps that lead to it, the innermost first. */
  readonly path: string[]
}

/** What a serializer of plain data makes of the rest: what is wrong with it, or `undefined`. */
export interface Leaves {
  /** Of what is neither a plain object nor an array. */
  flawOf(leaf: unknown): string | undefined
  /** Of a property's name. */
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
    if (found !== undefined) return behind(step(index), found)
  }
  return undefined
}

function inObject(object: object, leaves: Leaves, ancestors: Set<object> | undefined): Flaw | undefined {
  if (!isPlainObject(object)) return flaw(leaves.flawOf(object))
  const what = flawOfObject(object)
  if (what !== undefined) return flaw(what)
  for (const key in object) { // takes half as long as Object.keys does; what it also finds in Object.prototype is no property
    const value = (object as Record<string, unknown>)[key]
    if (value === undefined) continue
    const found = flaw(leaves.flawOfKey?.(key)) ?? findFlaw(value, leaves, ancestors)
    if (found !== undefined && Object.hasOwn(object, key)) return behind(step(key), found)
  }
  return undefined
}

/** What is wrong with an array itself, as plain data, whatever is in it. */
export function flawOfArray(array: readonly unknown[]): string | undefined {
  if (!isPlainArray(array)) return describe(array)
  return Object.keys(array).length > array.length ? 'the named properties of an array' : flawOfObject(array)
}

/** What is wrong with a plain object itself, as plain data, whatever is in it. */
export function flawOfObject(object: object): string | undefined {
  if (hasSymbols(object)) return 'a property named by a symbol'
  return typeof (object as { toJSON?: unknown }).toJSON === 'function' ? 'an object with a toJSON method' : undefined
}

/** Whether it has properties that are named by symbols. */
export function hasSymbols(object: object): boolean {
  return Object.getOwnPropertySymbols(object).length > 0
}

/** Whether it is an object of no class, of this realm or of another one (a vm context, a test runner). */
export function isPlainObject(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object)
  if (prototype === Object.prototype || prototype === null) return true
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf') // that of another realm
}

/** Whether it is an array of no class of its own, of this realm or of another one. */
export function isPlainArray(array: readonly unknown[]): boolean {
  const prototype: unknown = Object.getPrototypeOf(array)
  return prototype === Array.prototype || (Array.isArray(prototype) && Object.hasOwn(prototype, 'concat')) // Array.prototype is an array itself
}

/** Whether it is of just this class and has no property of its own: neither one that would get lost, nor another method. */
export function isBare(object: object, prototype: object): boolean {
  return Object.getPrototypeOf(object) === prototype && Reflect.ownKeys(object).length === 0
}

/** How a value is called that is refused. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value)
    case 'object':
      return value === null ? 'null' : `a ${value.constructor?.name ?? 'class'} instance`
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

/** A flaw that is found right here. */
export function flaw(what: string | undefined): Flaw | undefined {
  return what === undefined ? undefined : { what, path: [] }
}

/** The same flaw, seen from one step further out. */
export function behind(outer: string, found: Flaw): Flaw {
  found.path.push(outer)
  return found
}

/** A property or an element as a step of a path. */
export function step(key: string | number): string {
  return typeof key === 'string' && /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}

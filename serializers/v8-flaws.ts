/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { types } from 'node:util'
import { behind, describe, flaw, hasSymbols, isPlainArray, isPlainObject, step, type Flaw } from './flaws.ts'
import { MOST_LEVELS } from './bounds.ts'

/**
 * Finds what a structured clone changes, drops or refuses. `slots`: how many elements will be believed of all arrays with
 * holes when it is read.
 */
export function findCloneFlaw(value: unknown, slots: number): Flaw | undefined {
  return visit(value, { slots, seen: new Set(), errors: new Set(), level: 0 })
}

interface Search {
  /** How many are left. Arrays without holes count too: they have at least a byte for each element. */
  slots: number
  /** A clone keeps which objects are the same one, so each is looked at once. */
  readonly seen: Set<object>
  /** The errors that are being looked into: V8 writes one in its own cause, and cannot read it. */
  readonly errors: Set<object>
  level: number
}

function visit(value: unknown, search: Search): Flaw | undefined {
  if (typeof value === 'function' || typeof value === 'symbol') return flaw(describe(value))
  if (typeof value !== 'object' || value === null) return undefined
  if (search.errors.has(value)) return flaw('an error in its own cause')
  if (search.seen.has(value)) return undefined
  search.seen.add(value)
  if (search.level === MOST_LEVELS) return flaw(`what is nested deeper than ${MOST_LEVELS} levels`)
  search.level += 1
  const found = hasSymbols(value) ? flaw('a property named by a symbol') : inside(value, search)
  search.level -= 1
  return found
}

function inside(object: object, search: Search): Flaw | undefined {
  if (types.isProxy(object)) return flaw('a Proxy')
  if (Array.isArray(object)) return inArray(object, search)
  if (isPlainObject(object)) return inProperties(Object.keys(object), object, search)
  if (types.isNativeError(object)) return inError(object, search)
  const what = flawOfBuiltIn(object)
  if (what !== undefined) return flaw(what)
  if (types.isMap(object)) return inMap(object, search)
  return types.isSet(object) ? inList('.values()', object, search) : undefined
}

function inArray(array: readonly unknown[], search: Search): Flaw | undefined {
  if (!isPlainArray(array)) return flaw(describe(array))
  search.slots -= array.length
  if (search.slots < 0) return flaw(`an array of length ${array.length}: too many elements are holes`)
  for (let index = 0; index < array.length; index += 1) {
    const found = visit(array[index], search)
    if (found !== undefined) return behind(step(index), found)
  }
  const keys = Object.keys(array) // the indices come first
  return inProperties(keys.slice(keys.findLastIndex((key) => /^\d+$/.test(key)) + 1), array, search)
}

function inProperties(keys: readonly string[], object: object, search: Search): Flaw | undefined {
  for (const key of keys) {
    const found = visit((object as Record<string, unknown>)[key], search)
    if (found !== undefined) return behind(step(key), found)
  }
  return undefined
}

function inList(name: string, values: Iterable<unknown>, search: Search): Flaw | undefined {
  let index = 0
  for (const value of values) {
    const found = visit(value, search)
    if (found !== undefined) return behind(`${name}[${index}]`, found)
    index += 1
  }
  return undefined
}

/** In the order of V8, which decides what is met first. */
function inMap(map: ReadonlyMap<unknown, unknown>, search: Search): Flaw | undefined {
  let index = 0
  for (const [key, value] of map) {
    const inKey = visit(key, search)
    if (inKey !== undefined) return behind(`.keys()[${index}]`, inKey)
    const inValue = visit(value, search)
    if (inValue !== undefined) return behind(`.values()[${index}]`, inValue)
    index += 1
  }
  return undefined
}

/** The errors of which a clone has the class. */
const ERRORS = new Set(['Error', 'EvalError', 'RangeError', 'ReferenceError', 'SyntaxError', 'TypeError', 'URIError'])
const PARTS_OF_ERRORS = new Set(['stack', 'message', 'cause'])

function inError(error: Error, search: Search): Flaw | undefined {
  if (!isOfTheLanguage(error)) return flaw(describe(error))
  const more = Object.getOwnPropertyNames(error).find((name) => !PARTS_OF_ERRORS.has(name))
  if (more !== undefined) return behind(step(more), { what: 'a property of an error', path: [] })
  const message = Object.getOwnPropertyDescriptor(error, 'message')
  if (message !== undefined && typeof message.value !== 'string') return behind('.message', { what: 'a message that is no string', path: [] })
  search.errors.add(error)
  const found = visit(error.cause, search)
  search.errors.delete(error)
  return found && behind('.cause', found)
}

function isOfTheLanguage(error: Error): boolean {
  const { name } = error
  const prototype = Object.getPrototypeOf(error) as object | null
  return ERRORS.has(name) && prototypesOf(error) === (name === 'Error' ? 2 : 3) && Object.hasOwn(prototype as object, 'name') && prototype?.constructor.name === name
}

/** The objects that a clone keeps, and how many prototypes each has: one of a class that extends it has more. */
const BUILT_IN: readonly (readonly [is: (object: unknown) => boolean, prototypes: number])[] = [
  [types.isMap, 2],
  [types.isSet, 2],
  [types.isDate, 2],
  [types.isRegExp, 2],
  [types.isArrayBuffer, 2],
  [types.isDataView, 2],
  [types.isTypedArray, 3],
  [types.isNumberObject, 2],
  [types.isStringObject, 2],
  [types.isBooleanObject, 2],
  [types.isBigIntObject, 2],
]

function flawOfBuiltIn(object: object): string | undefined {
  const prototypes = BUILT_IN.find(([is]) => is(object))?.[1]
  if (Buffer.isBuffer(object) ? Object.getPrototypeOf(object) !== Buffer.prototype : prototypesOf(object) !== prototypes) return describe(object)
  if (ArrayBuffer.isView(object)) return flawOfBuffer(object.buffer) // its indices are keys: to list them takes too long
  const own = Object.keys(object).length - (types.isStringObject(object) ? String(object).length : 0)
  if (own > 0) return `the named properties of ${describe(object)}`
  return types.isArrayBuffer(object) ? flawOfBuffer(object) : undefined
}

function flawOfBuffer(buffer: ArrayBufferLike): string | undefined {
  if (types.isSharedArrayBuffer(buffer)) return 'a SharedArrayBuffer'
  return (buffer as { readonly resizable?: boolean }).resizable === true ? 'an ArrayBuffer that can be resized' : undefined
}

function prototypesOf(object: object): number {
  let count = 0
  for (let prototype = Object.getPrototypeOf(object) as object | null; prototype !== null; prototype = Object.getPrototypeOf(prototype) as object | null) count += 1
  return count
}

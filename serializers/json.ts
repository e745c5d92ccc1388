/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { flags } from '../lib/flags.ts'
import type { Serializer } from '../lib/serialization.ts'

/**
 * JSON, and nothing that JSON would change without a word: Map, Set, Date, class instances, NaN, undefined in arrays and
 * the like are refused with the path to the culprit. A property that is `undefined` is left out, and so reads the same.
 */
export const json: Serializer = {
  flag: flags.json,
  serialize(value) {
    if (Object.is(value, -0)) return Buffer.from('-0') // JSON has it, JSON.stringify does not say it
    const text = JSON.stringify(value) // first, since it refuses cycles, which would trap the check
    check(value, [])
    return Buffer.from(text, 'utf8')
  },
  deserialize: (bytes) => JSON.parse(bytes.toString('utf8')) as unknown,
}

/** Refuses what JSON.stringify changes or drops. `path` leads to the value; it is one array, which grows and shrinks. */
function check(value: unknown, path: (string | number)[]): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (!Number.isFinite(value)) refuse(String(value), path)
      if (Object.is(value, -0)) refuse('-0', path)
      return
    case 'object':
      if (value === null) return
      if (Array.isArray(value)) return checkArray(value, path)
      return checkObject(value, path)
    default:
      refuse(typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`, path)
  }
}

function checkArray(array: readonly unknown[], path: (string | number)[]): void {
  const prototype = Object.getPrototypeOf(array) as object
  if (prototype !== Array.prototype && !isPlain(prototype, 'concat')) refuse(`a ${array.constructor?.name ?? 'class'} instance`, path)
  if (Object.keys(array).length > array.length || Object.getOwnPropertySymbols(array).length > 0) refuse('the named properties of an array', path)
  for (let index = 0; index < array.length; index += 1) {
    path.push(index)
    check(array[index], path)
    path.pop()
  }
}

function checkObject(object: object, path: (string | number)[]): void {
  const prototype: unknown = Object.getPrototypeOf(object)
  // An object of another realm (a vm context, a test runner) has an Object.prototype that is not ours, but as plain.
  if (prototype !== Object.prototype && prototype !== null && !isPlain(prototype as object, 'isPrototypeOf')) {
    refuse(`a ${object.constructor?.name ?? 'class'} instance`, path)
  }
  if (Object.getOwnPropertySymbols(object).length > 0) refuse('a property named by a symbol', path)
  for (const key of Object.keys(object)) {
    const value = (object as Record<string, unknown>)[key]
    if (value === undefined) continue
    path.push(key)
    check(value, path)
    path.pop()
  }
}

/** Whether it is another realm's Object.prototype or Array.prototype, each known by a method that only it has itself. */
function isPlain(prototype: object, method: string): boolean {
  return Object.hasOwn(prototype, method)
}

function refuse(what: string, path: readonly (string | number)[]): never {
  const where = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('')
  throw new MemcacheValueError(`JSON cannot keep ${what}${where === '' ? '' : `, which is at ${where}`}`)
}

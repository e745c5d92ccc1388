/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { flags } from '../lib/flags.ts'
import { decodeString } from '../lib/plain-values.ts'
import type { Serializer } from '../lib/serialization.ts'
import { show } from '../lib/show.ts'
import { checkParts, MOST_PARTS } from './bounds.ts'
import { describe, findFlaw, flawOfArray, flawOfObject, isPlainObject, refuse, type Leaves } from './flaws.ts'

/** What `jsonWith` does with each value; `this` is the object or the array that it is in. */
export type JsonReplacer = (this: unknown, key: string, value: unknown) => unknown

/** What `jsonWith` does with each value that is read. From Node 21 on `context` says what stood in the JSON for a number, a string or the like. */
export type JsonReviver = (this: unknown, key: string, value: unknown, context?: { readonly source?: string }) => unknown

/** How `jsonWith` goes beyond what JSON can say. */
export interface JsonOptions {
  /** As that of JSON.stringify, but it sees the value itself, before any toJSON. What it gives is checked like any other value. */
  readonly replacer?: JsonReplacer | undefined
  /** As that of JSON.parse. */
  readonly reviver?: JsonReviver | undefined
}

/**
 * JSON, and nothing that JSON would change without a word: Map, Set, Date, class instances, NaN, undefined in arrays and
 * the like are refused with the path to the culprit. A property that is `undefined` is left out, and so reads the same.
 */
export const json: Serializer = jsonWith({})

/** The serializer `json` with a replacer, a reviver or both. Whoever reads its items needs the same ones. */
export function jsonWith(options: JsonOptions): Serializer {
  const { replacer, reviver } = checkOptions(options)
  const replaced = replacer === undefined ? (value: unknown) => value : (value: unknown) => replaceAll({ '': value }, '', replacer, new Set())
  return {
    flag: flags.json,
    serialize(value) {
      const bytes = Buffer.from(stringify(replaced(value)), 'utf8')
      checkParts(partsOf(bytes))
      return bytes
    },
    deserialize(bytes) {
      checkParts(partsOf(bytes))
      return JSON.parse(textOf(bytes), reviver) as unknown
    },
  }
}

/** @throws MemcacheValueError for a name that does not exist, and for what is no function. */
function checkOptions(options: JsonOptions): JsonOptions {
  if (typeof options !== 'object' || options === null || !isPlainObject(options)) throw new MemcacheValueError(`the options of jsonWith are an object, such as { reviver }, not ${show(options)}`)
  for (const [name, value] of Object.entries(options)) {
    if (name !== 'replacer' && name !== 'reviver') throw new MemcacheValueError(`jsonWith has no option ${show(name)}`)
    if (value !== undefined && typeof value !== 'function') throw new MemcacheValueError(`"${name}" is a function, not ${show(value)}`)
  }
  return options
}

function stringify(value: unknown): string {
  if (Object.is(value, -0)) return '-0' // JSON has it, JSON.stringify does not say it
  let text: string
  try {
    text = JSON.stringify(value)
  } catch (error) { // a circle, or a bigint: looked for once more, to name the path to it
    check(value, new Set())
    throw error
  }
  check(value)
  return text
}

function check(value: unknown, ancestors?: Set<object>): void {
  const flaw = findFlaw(value, leaves, ancestors)
  if (flaw !== undefined) refuse('JSON', flaw)
}

const leaves: Leaves = {
  flawOf(leaf) {
    switch (typeof leaf) {
      case 'string':
      case 'boolean':
        return undefined
      case 'number':
        return Number.isFinite(leaf) && !Object.is(leaf, -0) ? undefined : describe(leaf)
      default:
        return leaf === null ? undefined : describe(leaf)
    }
  },
}

/** A copy of plain data in which all is replaced. What is not plain, or a circle, stays as it is: it will be refused. */
function replaceAll(holder: object, key: string, replacer: JsonReplacer, ancestors: Set<object>): unknown {
  const value = replacer.call(holder, key, (holder as Record<string, unknown>)[key])
  if (typeof value !== 'object' || value === null || ancestors.has(value)) return value
  ancestors.add(value)
  const within = (name: string): unknown => replaceAll(value, name, replacer, ancestors)
  let copy: unknown = value
  if (Array.isArray(value)) {
    if (flawOfArray(value) === undefined) copy = Array.from(value, (_, index) => within(String(index)))
  } else if (isPlainObject(value) && flawOfObject(value) === undefined) {
    copy = Object.fromEntries(Object.keys(value).map((name) => [name, within(name)]))
  }
  ancestors.delete(value)
  return copy
}

const [QUOTE, BACKSLASH, COLON, BRACKET, BRACE] = Buffer.from('"\\:[{') as unknown as [number, number, number, number, number]

/** How many objects, arrays and properties there are at most; not counted where there is no room for too many. */
function partsOf(bytes: Buffer): number {
  if (bytes.length <= MOST_PARTS) return 0
  let parts = 0
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at]
    if (byte === COLON || byte === BRACKET || byte === BRACE) parts += 1
    else if (byte === QUOTE) for (at += 1; at < bytes.length && bytes[at] !== QUOTE; at += 1) if (bytes[at] === BACKSLASH) at += 1
  }
  return parts
}

function textOf(bytes: Buffer): string {
  const text = decodeString(bytes)
  if (typeof text !== 'string') throw new MemcacheValueError('it is marked as JSON, but is no UTF-8')
  return text
}

/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { types } from 'node:util'
import type { Key } from './commands.ts'
import { MemcacheKeyError } from './errors.ts'
import { plainBytes } from './plain-bytes.ts'

/** A key as the caller writes it: text (sent as UTF-8), or a Buffer with the very bytes. */
export type KeyLike = string | Buffer

/** What most keys are made of entirely, so that nothing else about their bytes has to be checked. */
const NOT_PLAIN = /[^\x21-\x7e]/
/** A key with one of these would be two keys, or end its command line and begin another: space, control characters, DEL. */
const FORBIDDEN = /[\x00-\x20\x7f]/

/** The key that was found last to have no blanks and control characters: the protocol that it goes to asks again at once. */
let lastPlain = ''

/** Whether a key has blanks or control characters, so that it is no word of a command line. */
export function isBinary(key: Key): boolean {
  return key !== lastPlain && FORBIDDEN.test(key)
}

/** What a client asks of its keys. */
export interface KeyRules {
  /** Put before every key. Already in wire form. */
  readonly prefix: Key
  /** The most bytes that prefix and key may have together. */
  readonly maxLength: number
  /** The most bytes that a key with blanks or control characters may have, prefix included; 0 = there may be none. */
  readonly maxBinaryLength: number
}

/**
 * The wire form of a key, checked in bytes: nothing that passes can end a command line or be read as a second key.
 * @throws MemcacheKeyError when the key is no string or Buffer, empty, too long with its prefix, has blanks or control
 * characters, or has a lone surrogate, which UTF-8 cannot say.
 */
export function wireKey(key: KeyLike, { prefix, maxLength, maxBinaryLength }: KeyRules): Key {
  const plain = typeof key === 'string' && !NOT_PLAIN.test(key)
  const bytes = plain ? key : keyBytes(key)
  if (bytes === '') throw new MemcacheKeyError('the key is empty')
  const whole = prefix === '' ? bytes : prefix + bytes
  const longest = plain || !FORBIDDEN.test(bytes) ? maxLength : Math.min(maxLength, maxBinaryLength)
  if (whole.length <= longest) {
    if (plain && prefix === '') lastPlain = whole
    return whole
  }
  if (longest === 0) throw forbidden(key, bytes)
  throw new MemcacheKeyError(`the key ${show(key)} is ${whole.length} bytes long, prefix included: at most ${longest} are allowed`)
}

/** The rules of keys behind this prefix, which has to leave room for one. @throws MemcacheKeyError as {@link wireKey}. */
export function keyRules(prefix: string, maxLength: number, maxBinaryLength: number): KeyRules {
  if (prefix === '') return { prefix, maxLength, maxBinaryLength }
  const wire = wireKey(prefix, { prefix: '', maxLength: maxLength - 1, maxBinaryLength: Math.max(maxBinaryLength - 1, 0) })
  return { prefix: wire, maxLength: FORBIDDEN.test(wire) ? Math.min(maxLength, maxBinaryLength) : maxLength, maxBinaryLength }
}

function forbidden(key: KeyLike, bytes: Key): MemcacheKeyError {
  const index = bytes.search(FORBIDDEN)
  const byte = bytes.charCodeAt(index).toString(16).padStart(2, '0')
  return new MemcacheKeyError(`the key ${show(key)} has byte 0x${byte} at ${index}: blanks and control characters are not allowed`)
}

/** The bytes of a key as latin1 text. */
function keyBytes(key: KeyLike): Key {
  if (types.isUint8Array(key) && Buffer.isBuffer(key)) return plainBytes(key).toString('latin1')
  if (typeof key !== 'string') throw new MemcacheKeyError(`a key is a string or a Buffer, not ${key === null ? 'null' : `a ${typeof key}`}`)
  if (!key.isWellFormed()) throw new MemcacheKeyError(`the key ${show(key)} has a lone surrogate, which has no bytes in UTF-8`)
  return Buffer.from(key, 'utf8').toString('latin1')
}

/**
 * The name under which a multi-key result lists a key: the string itself; a Buffer's text, or for bytes that are not
 * UTF-8 one character a byte (latin1).
 */
function keyName(key: KeyLike): string {
  if (typeof key === 'string') return key
  const bytes = plainBytes(key)
  const text = bytes.toString('utf8')
  return Buffer.from(text, 'utf8').equals(bytes) ? text : bytes.toString('latin1')
}

/** Different keys, in the order in which they were given. */
export interface NamedKeys {
  readonly wires: readonly Key[]
  /** What the result of a multi-key command lists each of them under. */
  readonly names: readonly string[]
  /** That result: it has a place for each of them already. */
  readonly results: Map<string, unknown>
}

/**
 * The different ones among these keys, in wire form and by name. @throws MemcacheKeyError as {@link wireKey}, and where two of them
 * have the same name, as a Buffer of latin1 and a string can: the result could not tell them apart.
 */
export function nameKeys(given: readonly KeyLike[], rules: KeyRules): NamedKeys {
  const keys = [...given] // read once: it may be no simple array
  if (arePlain(keys, rules)) return namedPlain(keys, rules)
  const named = new Map<Key, string>()
  for (const key of keys) {
    const wire = wireKey(key, rules)
    if (!named.has(wire)) named.set(wire, keyName(key))
  }
  const names = [...named.values()]
  const results = placesFor(names)
  if (results.size < names.length) {
    throw new MemcacheKeyError('two different keys, one of them a Buffer, have the same name in the result: ask for them apart')
  }
  return { wires: [...named.keys()], names, results }
}

function placesFor(names: readonly string[]): Map<string, unknown> {
  const results = new Map<string, unknown>()
  for (const name of names) results.set(name, undefined)
  return results
}

/** Whether they are all such as most are, which takes less time to find out than to make each of them a key. */
function arePlain(keys: readonly KeyLike[], { prefix, maxLength }: KeyRules): keys is readonly string[] {
  const longest = maxLength - prefix.length
  for (const key of keys) if (typeof key !== 'string' || key === '' || key.length > longest || NOT_PLAIN.test(key)) return false
  return true
}

function namedPlain(keys: readonly string[], { prefix }: KeyRules): NamedKeys {
  const results = placesFor(keys)
  const names = results.size === keys.length ? keys : [...results.keys()]
  return { names, results, wires: names.map((name) => prefix + name) } // a layer may change its request: never one array for both
}

/** A key in a message: escaped, and cut where it is long. */
function show(key: KeyLike): string {
  const text = typeof key === 'string' ? key : plainBytes(key).toString('latin1', 0, 61)
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}

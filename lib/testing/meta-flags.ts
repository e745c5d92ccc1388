/// <reference types="node" preserve="true" />

/** The flags of meta commands: `mg <key> v t O1`, where each word after the key is a letter and maybe an argument. */

import { parseInt32, parseUint32, parseUint64 } from './c-numbers.ts'
import type { ItemStore } from './item-store.ts'

/** A command's flags, understood; the words themselves give the order of what is returned. */
export interface MetaFlags {
  /** The key, decoded if it came encoded (`b`). */
  key: string
  binaryKey: boolean
  /** `v`, `q`, `u`, `I` */
  value: boolean
  quiet: boolean
  noUpdate: boolean
  stale: boolean
  /** `N`, `T`, `R`: on the store's clock. A first `T`, `N`, `R`, `l` or `h` also puts off counting the fetch. */
  vivify: number | undefined
  expiresAt: number | undefined
  recache: number | undefined
  lateUse: boolean
  /** `C`, `F`, `J`, `D`, `M` */
  cas: bigint | undefined
  clientFlags: number
  initial: bigint
  delta: bigint
  mode: string | undefined
}

const BAD_TOKEN = 'CLIENT_ERROR bad token in command line format'
const WITHOUT_EFFECT = 'OPLkstcf'

/** Reads the flags from `words[start]` on, as all meta commands do; a string is the error line to answer. */
export function parseMetaFlags(words: readonly string[], start: number, store: ItemStore): MetaFlags | string {
  const flags: MetaFlags = {
    key: words[1]!, binaryKey: false, value: false, quiet: false, noUpdate: false, stale: false, vivify: undefined,
    expiresAt: undefined, recache: undefined, lateUse: false, cas: undefined, clientFlags: 0, initial: 0n, delta: 1n, mode: undefined
  }
  const seen = new Set<string>()
  // The last fault in the line is reported, except that nothing is read behind an unknown or repeated flag.
  let fault: string | undefined
  for (const word of words.slice(start)) {
    const letter = word[0]!
    if (seen.has(letter) || letter.charCodeAt(0) >= 127) return 'CLIENT_ERROR duplicate flag'
    seen.add(letter)
    if (WITHOUT_EFFECT.includes(letter)) continue
    const result = applyFlag(flags, letter, word.slice(1), store)
    if (result === false) return 'CLIENT_ERROR invalid flag'
    // A bad `F` has no text of its own.
    if (result !== true) fault = result === '' ? fault ?? 'CLIENT_ERROR bad command line format' : result
  }
  return fault ?? flags
}

/** True, false for an unknown letter, or what is wrong with the argument. */
function applyFlag(flags: MetaFlags, letter: string, argument: string, store: ItemStore): boolean | string {
  switch (letter) {
    case 'v':
      flags.value = true
      return true
    case 'q':
      flags.quiet = true
      return true
    case 'u':
      flags.noUpdate = true
      return true
    case 'I':
      flags.stale = true
      return true
    case 'l':
    case 'h':
      flags.lateUse = true
      return true
    case 'b':
      flags.binaryKey = true
      flags.key = decodeKey(flags.key)
      return flags.key !== '' || 'CLIENT_ERROR error decoding key'
    case 'N':
    case 'T':
    case 'R':
      return applyTime(flags, letter, parseInt32(argument), store)
    case 'F': {
      const clientFlags = parseUint32(argument)
      flags.clientFlags = clientFlags ?? 0
      return clientFlags !== undefined || ''
    }
    case 'C':
      flags.cas = parseUint64(argument)
      return flags.cas !== undefined || BAD_TOKEN
    case 'M':
      flags.mode = argument
      return argument.length === 1 || 'CLIENT_ERROR incorrect length for M token'
    case 'J':
      return applyNumber(flags, 'initial', argument) || 'CLIENT_ERROR invalid numeric initial value'
    case 'D':
      return applyNumber(flags, 'delta', argument) || 'CLIENT_ERROR invalid numeric delta value'
    default:
      return false
  }
}

function applyTime(flags: MetaFlags, letter: 'N' | 'T' | 'R', exptime: number | undefined, store: ItemStore): true | string {
  flags.lateUse = true
  if (exptime === undefined) return BAD_TOKEN
  const time = store.lifetimes.expiry(exptime)
  if (letter === 'N') flags.vivify = time
  else if (letter === 'T') flags.expiresAt = time
  else flags.recache = time
  return true
}

function applyNumber(flags: MetaFlags, name: 'initial' | 'delta', argument: string): boolean {
  const number = parseUint64(argument)
  if (number !== undefined) flags[name] = number
  return number !== undefined
}

/** memcached's base64: other characters are skipped, and nothing is read behind the padding; '' is an error. */
export function decodeKey(text: string): string {
  const base64 = text.replace(/[^A-Za-z0-9+/=]/g, '')
  let decoded = ''
  for (let index = 0; index < base64.length; index += 4) {
    const group = base64.slice(index, index + 4)
    const padding = group.split('=').length - 1
    if (padding > 2 || base64.length % 4 !== 0) return ''
    const bytes = Buffer.from(group.replaceAll('=', 'A'), 'base64').toString('latin1')
    decoded += bytes.slice(0, 3 - padding)
    if (padding > 0) break
  }
  return decoded
}

/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { decodeInteger } from '../lib/plain-values.ts'

/** The lines of protocol 0, in which Python writes numbers and strings as text. */

const ESCAPED: { readonly [letter: string]: string } = { '\\': '\\', "'": "'", '"': '"', n: '\n', r: '\r', t: '\t' }
/** Python's float('…'), as far as repr() writes it. */
const FLOAT = /^-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf|nan)$/

/** What stands behind INT: also how booleans were written before protocol 2. */
export function integerOf(line: Buffer): number | bigint | boolean {
  const text = line.toString('latin1')
  return text === '00' || text === '01' ? text === '01' : digitsOf(line)
}

/** What stands behind LONG: digits, and an L. */
export function longOf(line: Buffer): number | bigint {
  return digitsOf(line.at(-1) === 0x4c ? line.subarray(0, -1) : line)
}

/** Python takes a zero in front for octal. */
function digitsOf(line: Buffer): number | bigint {
  if (!/^(?:0|-?[1-9]\d*)$/.test(line.toString('latin1'))) throw new MemcacheValueError('the pickle has an integer that is none')
  return decodeInteger(line)
}

/** What stands behind FLOAT. */
export function floatOf(line: Buffer): number {
  const text = line.toString('latin1')
  if (!FLOAT.test(text)) throw new MemcacheValueError('the pickle has a floating-point number that is none')
  return text.endsWith('inf') ? (text.startsWith('-') ? -Infinity : Infinity) : Number(text)
}

/** What stands behind STRING: the repr() of a str of Python 2. */
export function quotedOf(line: Buffer): Buffer {
  const text = line.toString('latin1')
  const quote = text[0]
  if (text.length < 2 || (quote !== "'" && quote !== '"') || !text.endsWith(quote)) throw new MemcacheValueError('the pickle has a string without quotes')
  const inside = text.slice(1, -1).replace(/\\(?:x([0-9a-f]{2})|([^])|$)/g, (escape, hex?: string, letter?: string) => {
    const character = hex === undefined ? ESCAPED[letter ?? ''] : String.fromCharCode(Number.parseInt(hex, 16))
    return character ?? unknownEscape(escape)
  })
  return Buffer.from(inside, 'latin1')
}

/** What stands behind UNICODE: latin1, in which `\uXXXX` and `\UXXXXXXXX` are other characters, and each backslash is one of those. */
export function unicodeOf(line: Buffer): string {
  const text = line.toString('latin1').replace(/\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|)/g, (escape, short?: string, long?: string) => {
    const code = Number.parseInt(short ?? long ?? '', 16)
    return code <= 0x10ffff ? String.fromCodePoint(code) : unknownEscape(escape)
  })
  if (!text.isWellFormed()) throw new MemcacheValueError('the pickle has a string with a lone surrogate, which is no UTF-8')
  return text
}

function unknownEscape(escape: string): never {
  throw new MemcacheValueError(`the pickle has a string with ${JSON.stringify(escape)}, which Python does not write`)
}

/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import type { ByteReader } from '../lib/byte-reader.ts'
import type { Request } from '../lib/commands.ts'
import { LARGEST_COUNT } from '../lib/counter.ts'
import {
  MemcacheAuthError,
  MemcacheClientError,
  MemcacheDriverError,
  MemcacheError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheUnsupportedError,
} from '../lib/errors.ts'

/** What memcached's line protocols, text and meta, share: lines that end in CRLF, decimal numbers, words of refusal. */

/** What ends a line, and a block of data. */
export const CRLF = '\r\n'
/** The first byte of CRLF. */
export const CR = 0x0d
/** The second byte of CRLF. */
export const LF = 0x0a
/** What stands between the words of a line. */
export const SPACE = 0x20
const ZERO = 0x30

/** A line of a reply is far shorter, the data of a value not counted; one that does not end is not buffered for ever. */
const LONGEST_LINE = 64 * 1024

/**
 * Where the line at the reader's start ends: the index of its CR. `undefined` while the line is not whole.
 * @throws MemcacheProtocolError for a bare LF, and for a line that is too long to be one, whether or not its end has come.
 */
export function lineEnd(reader: ByteReader): number | undefined {
  const { bytes, start, end } = reader
  const newline = bytes.indexOf(LF, start)
  if (newline === -1 || newline >= end) return unfinishedLine(reader)
  checkLine(newline - start)
  if (newline === start || bytes[newline - 1] !== CR) {
    throw new MemcacheProtocolError(`a line of a reply does not end in CRLF: ${show(bytes, start, newline)}`)
  }
  return newline - 1
}

/** Waits for the rest of the line at the reader's start. @throws MemcacheProtocolError when it is too long to be one. */
export function unfinishedLine({ start, end }: ByteReader): undefined {
  checkLine(end - start)
}

/** @throws MemcacheProtocolError for more bytes than a line has. */
export function checkLine(length: number): void {
  if (length > LONGEST_LINE) throw new MemcacheProtocolError(`a line of a reply is longer than ${LONGEST_LINE} bytes`)
}

/** Where the token that begins at `from` ends: the index of the next blank or control character, or `to`. */
export function tokenEnd(bytes: Buffer, from: number, to: number): number {
  let index = from
  while (index < to && (bytes[index] as number) > SPACE) index += 1
  return index
}

/** The decimal digit that stands at `index`, before `to`; -1 where there is none. */
export function digitAt(bytes: Buffer, index: number, to: number): number {
  const digit = index < to ? (bytes[index] as number) - ZERO : -1 // to read behind the end of a Buffer takes long
  return digit <= 9 ? digit : -1
}

/** No length, and none of the flags, has more. */
const MOST_DIGITS = 10

/** Whether what lies between these places, if it is nothing but digits, is a number: at least one, and not too many. */
export function isNumber(from: number, to: number): boolean {
  return to > from && to - from <= MOST_DIGITS
}

/** The decimal number in these bytes; -1 where they are none, or of more than ten digits. */
export function decimal(bytes: Buffer, from: number, to: number): number {
  if (!isNumber(from, to)) return -1
  let number = 0
  for (let index = from; index < to; index += 1) {
    const digit = (bytes[index] as number) - ZERO
    if (digit < 0 || digit > 9) return -1
    number = number * 10 + digit
  }
  return number
}

/** The decimal number of 64 bits, a count or a cas id, that these digits are; `undefined` where they are none. */
export function decimal64(digits: string): bigint | undefined {
  const number = /^\d{1,20}$/.test(digits) ? BigInt(digits) : LARGEST_COUNT + 1n
  return number > LARGEST_COUNT ? undefined : number
}

/**
 * Where the data block ends that a line announced: `length` bytes, then CRLF. `undefined` while it is not whole. `dataStart` is
 * the index of its first byte.
 * @throws MemcacheProtocolError when it is longer than `maxLength`, or no CRLF stands behind it.
 */
export function dataEnd(reader: ByteReader, dataStart: number, length: number, maxLength: number): number | undefined {
  if (length > maxLength) throw new MemcacheProtocolError(`a reply announces a value of ${length} bytes, ${maxLength} are accepted`)
  const end = dataStart + length
  if (end + 2 > reader.end) return reader.need(end + 2 - reader.start)
  if (reader.bytes[end] === CR && reader.bytes[end + 1] === LF) return end
  throw new MemcacheProtocolError(`no CRLF stands behind a value of ${length} bytes`)
}

/** @throws MemcacheUnsupportedError for a section whose reply is one statistic, and nothing that ends it. */
export function checkSection(section: string): void {
  if (/^sizes_(en|dis)able\b/.test(section)) throw new MemcacheUnsupportedError(`"stats ${section}" has no reply that can be told from the next one`)
}

/** One line of statistics. */
export function statistic(line: string): { readonly name: string; readonly value: string } | undefined {
  const [, name, value] = /^(?:STAT|ITEM|PREFIX) (\S+) ?(.*)$/.exec(line) ?? []
  return name === undefined || value === undefined ? undefined : { name, value }
}

const REFUSAL = /^(ERROR|CLIENT_ERROR|SERVER_ERROR)(?![A-Z_])/

/**
 * The error that a line says, if it says one. The words are not always followed by a space: proxies and queue servers
 * also send them bare, with trailing blanks, or with a colon.
 */
export function refusal(line: string): MemcacheDriverError | undefined {
  const word = REFUSAL.exec(line)?.[1]
  if (word === undefined) return undefined
  const message = printable(line)
  const context = { sent: true }
  // memcached says this unasked, then closes: it has all the connections that it wants (-c).
  if (word === 'SERVER_ERROR' || message === 'ERROR Too many open connections') return new MemcacheServerError(message, context)
  if (/^CLIENT_ERROR (unauthenticated|authentication failure|bad authentication)/.test(message)) return new MemcacheAuthError(message, context)
  return new MemcacheClientError(message === 'ERROR' ? 'ERROR: the server does not know this command in this form' : message, context)
}

/** What a server says, without control characters: a message may end up in a log or on a terminal, to which they are commands. */
export function printable(text: string): string {
  return text.trimEnd().replace(/[\x00-\x1f\x7f-\x9f]/g, (character) => JSON.stringify(character).slice(1, -1).replace(/[\x7f-\x9f]/, '?'))
}

/** Whether the replies behind the line of this refusal can still be told apart. */
export function usableAfter(refused: MemcacheDriverError, { op }: Request): boolean {
  if (refused instanceof MemcacheAuthError || /Too many open connections|bad command line|too long/.test(refused.message)) return false
  // A proxy that fails one key of several says so in place of its value, or of all values, and then END, or nothing.
  if (op === 'getMulti') return false
  // The data of a refused storage command may have been read as commands, each with a reply of its own.
  return op !== 'store' || refused instanceof MemcacheServerError
}

/** What it means when a line comes that nobody asked for. */
export function unaskedLine(line: string): MemcacheError {
  const said = refusal(line)
  if (said instanceof MemcacheServerError) return said
  return new MemcacheProtocolError(`the server sent a line that nobody asked for: ${showLine(line)}`, { cause: said })
}

/** The error for a line that is neither a refusal nor anything that can stand in the reply to `command`. */
export function unexpected(line: string, command: string): MemcacheError {
  return refusal(line) ?? new MemcacheProtocolError(`this cannot be a reply to "${command}": ${showLine(line)}`, { sent: true })
}

/** Bytes in a message. */
export function show(bytes: Buffer, from: number, to: number): string {
  return showLine(bytes.toString('latin1', from, Math.min(to, from + 101)))
}

/** A line in a message: escaped, and cut where it is long. */
function showLine(line: string): string {
  return JSON.stringify(line.length > 100 ? `${line.slice(0, 100)}…` : line)
}

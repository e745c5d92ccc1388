/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import type { ByteReader } from '../lib/byte-reader.ts'
import type { StoreMode, StoreStatus } from '../lib/commands.ts'
import {
  MemcacheAuthError,
  MemcacheClientError,
  MemcacheDriverError,
  MemcacheProtocolError,
  MemcacheServerError,
} from '../lib/errors.ts'
import { uint16At, uint32At } from './big-endian.ts'
import { CRLF, lineEnd, printable, statistic } from './line.ts'
import type { Statistics } from './statistics.ts'

/** What the drivers of memcached's binary protocol have in common, our own and memjs: packets, their words and what these mean. */

/** memcached takes no longer key. In a packet it may have any bytes. */
export const LONGEST_KEY = 250
/** Bytes of a packet in front of its extras, key and value. */
export const HEADER = 24
const RESPONSE = 0x81

/** What a request asks for. Never sent: opcodes that memcached may not know, behind which it loses count of the bytes. */
export const OPCODE = {
  GET: 0x00,
  SET: 0x01,
  ADD: 0x02,
  REPLACE: 0x03,
  DELETE: 0x04,
  INCREMENT: 0x05,
  DECREMENT: 0x06,
  FLUSH: 0x08,
  NOOP: 0x0a,
  VERSION: 0x0b,
  GETKQ: 0x0d,
  APPEND: 0x0e,
  PREPEND: 0x0f,
  STAT: 0x10,
  TOUCH: 0x1c,
  GAT: 0x1d,
} as const

/** What became of it. */
export const STATUS = {
  OK: 0x00,
  KEY_ENOENT: 0x01,
  KEY_EEXISTS: 0x02,
  EINVAL: 0x04,
  NOT_STORED: 0x05,
  DELTA_BADVAL: 0x06,
  AUTH_ERROR: 0x20,
  AUTH_CONTINUE: 0x21,
  UNKNOWN_COMMAND: 0x81,
} as const
const { OK, KEY_ENOENT, KEY_EEXISTS, EINVAL, NOT_STORED, DELTA_BADVAL, AUTH_ERROR, AUTH_CONTINUE, UNKNOWN_COMMAND } = STATUS

/** What is the matter with the request. Other statuses tell of trouble in the server. */
const CLIENT_ERRORS = new Set<number>([KEY_ENOENT, KEY_EEXISTS, EINVAL, NOT_STORED, DELTA_BADVAL, UNKNOWN_COMMAND])

const FATAL = new Set<number>([EINVAL, AUTH_ERROR, AUTH_CONTINUE, UNKNOWN_COMMAND])

/** By mode: the opcode, and what the statuses mean that are results and no errors. */
export const STORE: { readonly [mode in StoreMode]: { readonly opcode: number; readonly replies: { readonly [status: number]: StoreStatus } } } = {
  set: { opcode: OPCODE.SET, replies: { [OK]: 'stored', [NOT_STORED]: 'not-stored' } },
  cas: { opcode: OPCODE.SET, replies: { [OK]: 'stored', [KEY_EEXISTS]: 'exists', [KEY_ENOENT]: 'not-found', [NOT_STORED]: 'not-stored' } },
  add: { opcode: OPCODE.ADD, replies: { [OK]: 'stored', [KEY_EEXISTS]: 'not-stored', [NOT_STORED]: 'not-stored' } },
  replace: { opcode: OPCODE.REPLACE, replies: { [OK]: 'stored', [KEY_ENOENT]: 'not-stored', [NOT_STORED]: 'not-stored' } },
  append: { opcode: OPCODE.APPEND, replies: { [OK]: 'stored', [KEY_ENOENT]: 'not-stored', [NOT_STORED]: 'not-stored' } },
  prepend: { opcode: OPCODE.PREPEND, replies: { [OK]: 'stored', [KEY_ENOENT]: 'not-stored', [NOT_STORED]: 'not-stored' } },
}

/** The time to live with which `incr` and `decr` make no counter where there is none. */
export const DO_NOT_CREATE = 0xffff_ffff
/**
 * What GET says in place of a cas with id 0, which matches no item: in the header of a SET it would match any. Servers
 * without cas ids give it to all items.
 */
export const NO_MATCH: { readonly [status: number]: StoreStatus } = { [OK]: 'exists', [KEY_ENOENT]: 'not-found' }

/** The error for a SET with a cas id that was done, but without a new id: the server did not look at the old one. */
export function uncheckedCas(): MemcacheServerError {
  return new MemcacheServerError('the server has no cas ids: it has stored the value, whatever was there', { sent: true })
}

const LONG_PAST = 30 * 24 * 60 * 60 + 1

/** A time of expiry.ts as the protocol reads it, without a sign: here -1 would be the year 2106. */
export function exptime(expires: number): number {
  return expires < 0 ? LONG_PAST : expires
}

/**
 * The size of the packet at the reader's start, whose header is checked; `undefined` while that is not whole.
 * @throws MemcacheProtocolError when it contradicts itself, or announces a value that is longer than `maxLength`.
 */
export function packetSize({ bytes, start, end }: ByteReader, maxLength: number): number | undefined {
  if (end - start < HEADER) return undefined
  const bodyLength = uint32At(bytes, start + 8)
  const valueLength = bodyLength - uint16At(bytes, start + 2) - (bytes[start + 4] as number)
  if (valueLength < 0) throw new MemcacheProtocolError(`a reply announces ${bodyLength} bytes, and a longer key in them`)
  if (valueLength > maxLength) throw new MemcacheProtocolError(`a reply announces a value of ${valueLength} bytes, ${maxLength} are accepted`)
  return HEADER + bodyLength
}

/** Whether a packet begins at the reader's start. A server that has enough connections says so in a line of text. */
export function isPacket({ bytes, start }: ByteReader): boolean {
  return bytes[start] === RESPONSE
}

/** What a server may say in text: that it has enough connections, or that it does not speak this protocol. */
const REFUSALS = ['ERROR', 'CLIENT_ERROR', 'SERVER_ERROR']

/**
 * Reads the line of text that stands in place of a packet; `undefined` while it is not whole.
 * @throws MemcacheProtocolError for what can be no such line.
 */
export function readLine(reader: ByteReader): string | undefined {
  const { bytes, start, end } = reader
  const word = bytes.toString('latin1', start, Math.min(end, start + 'CLIENT_ERROR'.length))
  if (!REFUSALS.some((refusal) => word.startsWith(refusal) || refusal.startsWith(word))) throw new MemcacheProtocolError(`a reply begins with byte 0x${hex(bytes[start] as number)}, which no packet does`)
  const newline = lineEnd(reader)
  if (newline === undefined) return undefined
  reader.advance(newline + CRLF.length)
  return bytes.toString('latin1', start, newline)
}

/** The error that a status is. The body of the packet says it in words. */
export function refused(opcode: number, status: number, body: Buffer): MemcacheDriverError {
  const words = printable(body.toString('latin1', 0, 200))
  const message = `status 0x${hex(status)}${words === '' ? '' : `: ${words}`}`
  const context = { sent: true }
  // A server that was started with -F says it in these words, too.
  if (opcode === OPCODE.FLUSH && status === AUTH_ERROR) return new MemcacheClientError(`${message} (flush_all is not allowed)`, context)
  if (status === AUTH_ERROR || status === AUTH_CONTINUE) return new MemcacheAuthError(message, context)
  return CLIENT_ERRORS.has(status) ? new MemcacheClientError(message, context) : new MemcacheServerError(message, context)
}

/** Whether the server closes after this status, or has read bytes of the next requests as if they belonged to this one. */
export function isFatal(opcode: number, status: number): boolean {
  return FATAL.has(status) && opcode !== OPCODE.FLUSH
}

/** Adds what one packet of statistics says. @throws MemcacheProtocolError where they do not end. */
export function addStatistic(stats: Statistics, name: string, value: Buffer): void {
  const text = value.toString('latin1')
  if (name !== 'detailed') return stats.add(name, text)
  // `stats detail dump` comes as the text of the text protocol.
  for (let from = 0; from < text.length; ) {
    const newline = text.indexOf(CRLF, from)
    const end = newline === -1 ? text.length : newline
    const line = statistic(text.slice(from, end))
    if (line !== undefined) stats.add(line.name, line.value)
    from = end + CRLF.length
  }
}

/** A byte in a message. */
export function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}

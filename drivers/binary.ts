/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import type { ByteReader } from '../lib/byte-reader.ts'
import { commandName, type Item, type Key, type Request, type StoreMode, type StoreStatus } from '../lib/commands.ts'
import { more, withValue, type Bytes, type DriverFactory, type Fold, type Protocol } from '../lib/driver.ts'
import { MemcacheAuthError, MemcacheClientError, MemcacheDriverError, MemcacheProtocolError, MemcacheServerError } from '../lib/errors.ts'
import { wire } from '../lib/wire.ts'
import { CRLF, lineEnd, MOST_STATS, printable, refusal, statistic, unaskedLine } from './line.ts'

/** memcached takes no longer key. Here it may have any bytes. */
const LONGEST_KEY = 250
const REQUEST = 0x80
const RESPONSE = 0x81
const HEADER = 24

const GET = 0x00
const SET = 0x01
const ADD = 0x02
const REPLACE = 0x03
const DELETE = 0x04
const INCREMENT = 0x05
const DECREMENT = 0x06
const FLUSH = 0x08
const NOOP = 0x0a
const VERSION = 0x0b
const GETKQ = 0x0d
const APPEND = 0x0e
const PREPEND = 0x0f
const STAT = 0x10
const TOUCH = 0x1c
const GAT = 0x1d

const OK = 0x00
const KEY_ENOENT = 0x01
const KEY_EEXISTS = 0x02
const EINVAL = 0x04
const NOT_STORED = 0x05
const DELTA_BADVAL = 0x06
const AUTH_ERROR = 0x20
const AUTH_CONTINUE = 0x21
const UNKNOWN_COMMAND = 0x81

/** What is the matter with the request. Other statuses tell of trouble in the server. */
const CLIENT_ERRORS = new Set([KEY_ENOENT, KEY_EEXISTS, EINVAL, NOT_STORED, DELTA_BADVAL, UNKNOWN_COMMAND])
/** After these the server closes, or has read bytes of the next requests as if they belonged to this one. */
const FATAL = /^status 0x(04|20|21|81)\b/

/** `incr` and `decr` make no counter where there is none. */
const DO_NOT_CREATE = 0xffff_ffff
/** A moment that is past, in seconds since 1970: here -1 would be the year 2106. */
const LONG_PAST = 30 * 24 * 60 * 60 + 1
/** No item has this cas id. 0, which matches no item in other protocols, would match every one here. */
const NO_ID = 2n ** 64n - 1n

/**
 * A response: 24 bytes of header, extras, key, value. The places are indexes of the reader's bytes, to be read in the same
 * turn; the value is one to be kept. A server that has enough connections says so in a line of text.
 */
interface Packet {
  readonly opcode: number
  readonly status: number
  readonly opaque: number
  readonly bytes: Buffer
  readonly start: number
  readonly keyStart: number
  readonly value: Buffer
}
type Frame = Packet | string

function readFrame(reader: ByteReader, maxLength: number): Frame | undefined {
  const { bytes, start, end } = reader
  if (bytes[start] !== RESPONSE) return readLine(reader)
  if (end - start < HEADER) return undefined
  const keyLength = bytes.readUInt16BE(start + 2)
  const extrasLength = bytes[start + 4] as number
  const bodyLength = bytes.readUInt32BE(start + 8)
  const valueLength = bodyLength - keyLength - extrasLength
  if (valueLength < 0) throw new MemcacheProtocolError(`a reply announces ${bodyLength} bytes, and a longer key in them`)
  if (valueLength > maxLength) throw new MemcacheProtocolError(`a reply announces a value of ${valueLength} bytes, ${maxLength} are accepted`)
  const next = start + HEADER + bodyLength
  if (next > end) return reader.need(next - start)
  const value = reader.slice(next - valueLength, next)
  reader.advance(next)
  const status = bytes.readUInt16BE(start + 6)
  return { opcode: bytes[start + 1] as number, status, opaque: bytes.readUInt32BE(start + 12), bytes, start, keyStart: start + HEADER + extrasLength, value }
}

/** What is no packet can only be the refusal of the whole connection. */
function readLine(reader: ByteReader): string | undefined {
  const { bytes, start, end } = reader
  const word = bytes.toString('latin1', start, Math.min(end, start + 'ERROR'.length))
  if (!'ERROR'.startsWith(word)) throw new MemcacheProtocolError(`a reply begins with byte 0x${hex(bytes[start] as number)}, which no packet does`)
  const newline = lineEnd(reader)
  if (newline === undefined) return undefined
  reader.advance(newline + CRLF.length)
  return bytes.toString('latin1', start, newline)
}

/** What stands in a request beside its opcode and opaque. */
interface Parts {
  readonly key?: Key
  /** In latin1, as all of a packet that is text. */
  readonly extras?: string
  readonly cas?: bigint
  readonly value?: Buffer
}

function packet(opcode: number, opaque: number, { key = '', extras = '', cas = 0n, value }: Parts): Bytes {
  const length = key.length + extras.length + (value?.length ?? 0)
  const ids = cas === 0n ? '\0\0\0\0\0\0\0\0' : uint64(cas)
  const front = String.fromCharCode(
    REQUEST, opcode, key.length >>> 8, key.length & 0xff, extras.length, 0, 0, 0,
    length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff,
    opaque >>> 24, (opaque >>> 16) & 0xff, (opaque >>> 8) & 0xff, opaque & 0xff,
  )
  const text = front + ids + extras + key
  return value === undefined ? text : withValue(text, value)
}

function uint32(number: number): string {
  return String.fromCharCode((number >>> 24) & 0xff, (number >>> 16) & 0xff, (number >>> 8) & 0xff, number & 0xff)
}

function uint64(number: bigint): string {
  return uint32(Number(number >> 32n)) + uint32(Number(number & 0xffff_ffffn))
}

/** Seconds as the protocol reads them, without a sign. */
function exptime(expires: number): string {
  return uint32(expires < 0 ? LONG_PAST : expires)
}

function hex(number: number): string {
  return number.toString(16).padStart(2, '0')
}

/** The packet if it answers this request: by its opcode, and by the number that the request had. */
function checked(frame: Frame, opcode: number, opaque: number, request: Request): Packet {
  const command = commandName(request)
  if (typeof frame === 'string') throw refusal(frame) ?? new MemcacheProtocolError(`a line of text came in the reply to "${command}"`, { sent: true })
  if (frame.opcode !== opcode || frame.opaque !== opaque) {
    const found = `opcode 0x${hex(frame.opcode)}, opaque ${frame.opaque}`
    throw new MemcacheProtocolError(`this cannot be the reply to "${command}": ${found}; its own are 0x${hex(opcode)}, ${opaque}`, { sent: true })
  }
  return frame
}

/** The error that a status is. The body says it in words. */
function refused({ status, value }: Packet, { op }: Request): MemcacheDriverError {
  const words = printable(value.toString('latin1', 0, 200))
  const message = `status 0x${hex(status)}${words === '' ? '' : `: ${words}`}`
  const context = { sent: true }
  // A server that was started with -F says it in these words, too.
  if (op === 'flush' && status === AUTH_ERROR) return new MemcacheClientError(`${message} (flush_all is not allowed)`, context)
  if (status === AUTH_ERROR || status === AUTH_CONTINUE) return new MemcacheAuthError(message, context)
  return CLIENT_ERRORS.has(status) ? new MemcacheClientError(message, context) : new MemcacheServerError(message, context)
}

function malformed(request: Request): MemcacheProtocolError {
  return new MemcacheProtocolError(`the reply to "${commandName(request)}" has not the lengths that it should have`, { sent: true })
}

/** A reply of one packet, which is told by its status; what is not in the table is an error. */
function foldStatus<R>(request: Request, opcode: number, opaque: number, replies: { readonly [status: number]: R }): Fold<R, Frame> {
  return (frame) => {
    const reply = checked(frame, opcode, opaque, request)
    const result = replies[reply.status]
    if (result === undefined) throw refused(reply, request)
    return result
  }
}

function itemOf({ bytes, start, keyStart, value }: Packet, request: Request<'get' | 'getMulti'>): Item {
  if (keyStart !== start + HEADER + 4) throw malformed(request) // 4 bytes of flags
  const flags = bytes.readUInt32BE(start + HEADER)
  return request.cas ? { value, flags, cas: bytes.readBigUInt64BE(start + 16) } : { value, flags }
}

function getOpcode({ touch }: Request<'get'>): number {
  return touch === undefined ? GET : GAT
}

/** GET, or GAT with a time to live. Both give flags, value and cas id. */
function encodeGet(request: Request<'get'>, opaque: number): Bytes {
  const { key, touch } = request
  return packet(getOpcode(request), opaque, touch === undefined ? { key } : { key, extras: exptime(touch) })
}

function foldGet(request: Request<'get'>, opaque: number): Fold<Item | undefined, Frame> {
  return (frame) => {
    const reply = checked(frame, getOpcode(request), opaque, request)
    if (reply.status === KEY_ENOENT) return undefined
    if (reply.status !== OK) throw refused(reply, request)
    return itemOf(reply, request)
  }
}

/** GETKQ for each key, whose misses are not answered, and NOOP, which always is. */
function encodeGetMulti({ keys }: Request<'getMulti'>, opaque: number): Bytes {
  return keys.map((key) => packet(GETKQ, opaque, { key }) as string).join('') + (packet(NOOP, opaque, {}) as string)
}

function foldGetMulti(request: Request<'getMulti'>, opaque: number): Fold<readonly (Item | undefined)[], Frame> {
  const { keys } = request
  const items = new Array<Item | undefined>(keys.length).fill(undefined)
  let next = 0
  let failure: MemcacheDriverError | undefined
  return (frame) => {
    const ends = typeof frame !== 'string' && frame.opcode === NOOP
    const reply = checked(frame, ends ? NOOP : GETKQ, opaque, request)
    if (reply.status !== OK) {
      failure ??= refused(reply, request)
      if (ends || FATAL.test(failure.message)) throw failure
      return more // the failure of one key: the others follow, and NOOP
    }
    if (ends) {
      if (failure !== undefined) throw failure
      return items
    }
    const key = keyOf(reply)
    const place = keys.indexOf(key, next) // replies come in the order of the requests
    if (place === -1) throw new MemcacheProtocolError(`the reply to "${commandName(request)}" has a value for ${JSON.stringify(key)}, whose turn it is not`)
    items[place] = itemOf(reply, request)
    next = place + 1
    return more
  }
}

function keyOf({ bytes, keyStart, start }: Packet): Key {
  return bytes.toString('latin1', keyStart, keyStart + bytes.readUInt16BE(start + 2))
}

/** By mode: the opcode, and what the statuses mean that are results and no errors. */
const STORE: { readonly [mode in StoreMode]: { opcode: number; replies: { readonly [status: number]: StoreStatus } } } = {
  set: { opcode: SET, replies: { [OK]: 'stored', [NOT_STORED]: 'not-stored' } },
  cas: { opcode: SET, replies: { [OK]: 'stored', [KEY_EEXISTS]: 'exists', [KEY_ENOENT]: 'not-found', [NOT_STORED]: 'not-stored' } },
  add: { opcode: ADD, replies: { [OK]: 'stored', [KEY_EEXISTS]: 'not-stored', [NOT_STORED]: 'not-stored' } },
  replace: { opcode: REPLACE, replies: { [OK]: 'stored', [KEY_ENOENT]: 'not-stored', [NOT_STORED]: 'not-stored' } },
  append: { opcode: APPEND, replies: { [OK]: 'stored', [KEY_ENOENT]: 'not-stored', [NOT_STORED]: 'not-stored' } },
  prepend: { opcode: PREPEND, replies: { [OK]: 'stored', [KEY_ENOENT]: 'not-stored', [NOT_STORED]: 'not-stored' } },
}

/** SET, ADD, REPLACE with flags and time to live, a cas id in SET's header; APPEND and PREPEND with the value alone. */
function encodeStore({ mode, key, item: { value, flags, cas = 0n }, expires }: Request<'store'>, opaque: number): Bytes {
  const { opcode } = STORE[mode]
  if (mode === 'append' || mode === 'prepend') return packet(opcode, opaque, { key, value })
  const extras = uint32(flags) + exptime(expires)
  return packet(opcode, opaque, mode === 'cas' ? { key, value, extras, cas: cas === 0n ? NO_ID : cas } : { key, value, extras })
}

function countOpcode({ down }: Request<'count'>): number {
  return down ? DECREMENT : INCREMENT
}

function foldCount(request: Request<'count'>, opaque: number): Fold<bigint | undefined, Frame> {
  return (frame) => {
    const reply = checked(frame, countOpcode(request), opaque, request)
    if (reply.status === KEY_ENOENT) return undefined
    if (reply.status !== OK) throw refused(reply, request)
    if (reply.value.length !== 8) throw malformed(request)
    return reply.value.readBigUInt64BE()
  }
}

/** One packet for each statistic, its name as the key; one without a name ends them. */
function foldStats(request: Request<'stats'>, opaque: number): Fold<Map<string, string>, Frame> {
  const stats = new Map<string, string>()
  return (frame) => {
    const reply = checked(frame, STAT, opaque, request)
    if (reply.status !== OK) throw refused(reply, request)
    const name = keyOf(reply)
    if (name === '') return stats
    if (stats.size === MOST_STATS) throw new MemcacheProtocolError(`the reply to "stats" has more than ${MOST_STATS} packets`)
    const value = reply.value.toString('latin1')
    // `stats detail dump` comes as the text of the text protocol.
    const lines = name === 'detailed' ? value.split(CRLF).flatMap((line) => statistic(line) ?? []) : [{ name, value }]
    for (const each of lines) stats.set(each.name, each.value)
    return more
  }
}

/** memcached's binary protocol. Never sent: opcodes that memcached may not know, behind which it loses count of the bytes. */
export const binaryProtocol: Protocol<Frame> = {
  name: 'binary',
  longestBinaryKey: LONGEST_KEY,
  frame: readFrame,
  commands: {
    get: { encode: encodeGet, decode: foldGet },
    getMulti: { encode: encodeGetMulti, decode: foldGetMulti },
    store: { encode: encodeStore, decode: (request, opaque) => foldStatus(request, STORE[request.mode].opcode, opaque, STORE[request.mode].replies) },
    delete: {
      encode: ({ key }, opaque) => packet(DELETE, opaque, { key }),
      decode: (request, opaque) => foldStatus(request, DELETE, opaque, { [OK]: true, [KEY_ENOENT]: false }),
    },
    touch: {
      encode: ({ key, expires }, opaque) => packet(TOUCH, opaque, { key, extras: exptime(expires) }),
      decode: (request, opaque) => foldStatus(request, TOUCH, opaque, { [OK]: true, [KEY_ENOENT]: false }),
    },
    count: {
      encode: (request, opaque) => packet(countOpcode(request), opaque, { key: request.key, extras: uint64(request.delta) + uint64(0n) + uint32(DO_NOT_CREATE) }),
      decode: foldCount,
    },
    flush: {
      encode: ({ delay }, opaque) => packet(FLUSH, opaque, delay === 0 ? {} : { extras: exptime(delay) }),
      decode: (request, opaque) => foldStatus(request, FLUSH, opaque, { [OK]: true }),
    },
    stats: { encode: ({ section }, opaque) => packet(STAT, opaque, { key: section }), decode: foldStats },
    version: {
      encode: (_, opaque) => packet(VERSION, opaque, {}),
      decode: (request, opaque) => (frame) => {
        const reply = checked(frame, VERSION, opaque, request)
        if (reply.status !== OK) throw refused(reply, request)
        return reply.value.toString('latin1')
      },
    },
  },
  unasked: (frame) => (typeof frame === 'string' ? unaskedLine(frame) : new MemcacheProtocolError('the server sent a packet that nobody asked for')),
  usableAfter: ({ message }, { op }) => !message.startsWith('ERROR') && (op === 'flush' || !FATAL.test(message)),
}

/** The driver for memcached's binary protocol. */
export const binary: DriverFactory = wire(binaryProtocol)

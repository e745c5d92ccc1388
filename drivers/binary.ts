/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import type { ByteReader, Chunk } from '../lib/byte-reader.ts'
import { commandName, type Content, type Item, type Key, type Request, type StoreStatus } from '../lib/commands.ts'
import { more, withValue, type Bytes, type DriverFactory, type Fold, type Protocol } from '../lib/driver.ts'
import { MemcacheProtocolError, type MemcacheDriverError, type MemcacheError } from '../lib/errors.ts'
import { ReceivedItem } from '../lib/received-item.ts'
import { wire } from '../lib/wire.ts'
import { AskedKeys } from './asked-keys.ts'
import { uint16At, uint32At } from './big-endian.ts'
import { checkSection, refusal, unaskedLine } from './line.ts'
import {
  addStatistic,
  DO_NOT_CREATE,
  exptime,
  HEADER,
  hex,
  isFatal,
  isPacket,
  LONGEST_KEY,
  NO_MATCH,
  OPCODE,
  packetSize,
  readLine,
  refused,
  STATUS,
  STORE,
  uncheckedCas,
} from './packet.ts'
import { authenticateBySasl } from './sasl.ts'
import { Statistics } from './statistics.ts'
import { storeTerms } from './store-terms.ts'

const REQUEST = 0x80
const { GET, DELETE, INCREMENT, DECREMENT, FLUSH, NOOP, VERSION, GETKQ, STAT, TOUCH, GAT } = OPCODE
const { OK, KEY_ENOENT } = STATUS

/** A response: 24 bytes of header, extras, key, value. */
class Packet {
  readonly opcode: number
  readonly status: number
  readonly opaque: number
  readonly chunk: Chunk
  readonly start: number
  /** Where its key begins, behind the extras. */
  readonly keyStart: number
  readonly valueStart: number
  readonly end: number

  constructor(chunk: Chunk, start: number, end: number) {
    const { bytes } = chunk
    this.opcode = bytes[start + 1] as number
    this.status = uint16At(bytes, start + 6)
    this.opaque = uint32At(bytes, start + 12)
    this.chunk = chunk
    this.start = start
    this.keyStart = start + HEADER + (bytes[start + 4] as number)
    this.valueStart = this.keyStart + uint16At(bytes, start + 2)
    this.end = end
  }

  get bytes(): Buffer {
    return this.chunk.bytes
  }

  get value(): Buffer {
    return this.bytes.subarray(this.valueStart, this.end)
  }
}

/** A packet. A server that has enough connections says so in a line of text. */
type Frame = Packet | string

function readFrame(reader: ByteReader, maxLength: number): Frame | undefined {
  if (!isPacket(reader)) return readLine(reader)
  const size = packetSize(reader, maxLength)
  if (size === undefined) return undefined
  const { start, end } = reader
  if (start + size > end) return reader.need(size)
  const packet = new Packet(reader.lend(), start, start + size)
  reader.advance(start + size)
  return packet
}

/** A request of this opcode. Extras are latin1, as all of a packet is that is text. */
function packet(opcode: number, opaque: number, key: Key = '', extras = '', value: Content = '', cas = 0n): Bytes {
  const length = key.length + extras.length + value.length
  const text = header(opcode, opaque, key.length, extras.length, length, cas) + extras + key
  return value === '' ? text : withValue(text, value)
}

/** The 24 bytes that a request begins with; `length` is that of all behind them. */
function header(opcode: number, opaque: number, keyLength: number, extrasLength: number, length: number, cas: bigint): string {
  const front = String.fromCharCode(
    REQUEST, opcode, keyLength >>> 8, keyLength & 0xff, extrasLength, 0, 0, 0,
    length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff,
    opaque >>> 24, (opaque >>> 16) & 0xff, (opaque >>> 8) & 0xff, opaque & 0xff,
  )
  return front + (cas === 0n ? '\0\0\0\0\0\0\0\0' : uint64(cas))
}

function uint32(number: number): string {
  return String.fromCharCode((number >>> 24) & 0xff, (number >>> 16) & 0xff, (number >>> 8) & 0xff, number & 0xff)
}

function uint64(number: bigint): string {
  return uint32(Number(number >> 32n)) + uint32(Number(number & 0xffff_ffffn))
}

/** The packet if it answers this request: by its opcode, and by the number that the request had. */
function checked(frame: Frame, opcode: number, opaque: number, request: Request): Packet {
  if (typeof frame === 'string') throw refusal(frame) ?? new MemcacheProtocolError(`a line of text came in the reply to "${commandName(request)}"`, { sent: true })
  if (frame.opcode !== opcode || frame.opaque !== opaque) {
    const found = `opcode 0x${hex(frame.opcode)}, opaque ${frame.opaque}`
    throw new MemcacheProtocolError(`this cannot be the reply to "${commandName(request)}": ${found}; its own are 0x${hex(opcode)}, ${opaque}`, { sent: true })
  }
  return frame
}

/** The refusals after which the connection cannot go on: `usableAfter` is asked with nothing but the error. */
const fatal = new WeakSet<MemcacheError>()

/** The error that the status of a packet is. */
function refusalOf(packet: Packet): MemcacheDriverError {
  const { opcode, status } = packet
  const refusal = refused(opcode, status, packet.value)
  if (isFatal(opcode, status)) fatal.add(refusal)
  return refusal
}

function malformed(request: Request): MemcacheProtocolError {
  return new MemcacheProtocolError(`the reply to "${commandName(request)}" has not the lengths that it should have`, { sent: true })
}

/** What the status of a reply of one packet says; one that is not in the table is an error. */
function statusOf<R>(frame: Frame, request: Request, opcode: number, opaque: number, replies: { readonly [status: number]: R }): R {
  const reply = checked(frame, opcode, opaque, request)
  const result = replies[reply.status]
  if (result === undefined) throw refusalOf(reply)
  return result
}

function casOf({ bytes, start }: Packet): bigint {
  return bytes.readBigUInt64BE(start + 16)
}

function itemOf(packet: Packet, request: Request<'get' | 'getMulti'>): Item {
  const { chunk, bytes, start, keyStart, valueStart, end } = packet
  if (keyStart !== start + HEADER + 4) throw malformed(request) // 4 bytes of flags
  const flags = uint32At(bytes, start + HEADER)
  return new ReceivedItem(chunk, valueStart, end, flags, request.cas ? casOf(packet) : undefined)
}

function getOpcode({ touch }: Request<'get'>): number {
  return touch === undefined ? GET : GAT
}

/** GET, or GAT with a time to live. Both give flags, value and cas id. */
function encodeGet(request: Request<'get'>, opaque: number): Bytes {
  const { key, touch } = request
  return packet(getOpcode(request), opaque, key, touch === undefined ? '' : uint32(exptime(touch)))
}

function hitOf(frame: Frame, request: Request<'get'>, opaque: number): Item | undefined {
  const reply = checked(frame, getOpcode(request), opaque, request)
  if (reply.status === KEY_ENOENT) return undefined
  if (reply.status !== OK) throw refusalOf(reply)
  return itemOf(reply, request)
}

/** GETKQ for each key, whose misses are not answered, and NOOP, which always is. Keys of the same length have the same header. */
function encodeGetMulti({ keys }: Request<'getMulti'>, opaque: number): Bytes {
  let packets = ''
  let front = ''
  let length = -1
  for (const key of keys) {
    if (key.length !== length) front = header(GETKQ, opaque, (length = key.length), 0, length, 0n)
    packets += front + key
  }
  return packets + (packet(NOOP, opaque) as string)
}

function foldGetMulti(request: Request<'getMulti'>, opaque: number): Fold<readonly (Item | undefined)[], Frame> {
  const { keys } = request
  const items = new Array<Item | undefined>(keys.length).fill(undefined)
  const asked = new AskedKeys(keys)
  let failure: MemcacheDriverError | undefined
  return (frame) => {
    const ends = typeof frame !== 'string' && frame.opcode === NOOP
    const reply = checked(frame, ends ? NOOP : GETKQ, opaque, request)
    if (reply.status === KEY_ENOENT && !ends) return more // not every server keeps quiet about a miss
    if (reply.status !== OK) {
      const refusal = refusalOf(reply)
      if (fatal.has(refusal)) throw refusal // nothing comes behind it
      failure ??= refusal
      if (ends) throw failure
      return more // the failure of one key: the others follow, and NOOP
    }
    if (ends) {
      if (failure !== undefined) throw failure
      return items
    }
    const place = asked.next(reply.bytes, reply.keyStart, reply.valueStart)
    if (place === undefined) {
      throw new MemcacheProtocolError(`the reply to "${commandName(request)}" has a value for ${JSON.stringify(keyOf(reply))}, whose turn it is not`)
    }
    items[place] = itemOf(reply, request)
    return more
  }
}

function keyOf({ bytes, keyStart, start }: Packet): Key {
  return bytes.toString('latin1', keyStart, keyStart + uint16At(bytes, start + 2))
}

const storeExtras = storeTerms((flags, expires) => uint32(flags) + uint32(exptime(expires)))

/** SET, ADD, REPLACE with flags and time to live, a cas id in SET's header; APPEND and PREPEND with the value alone. */
function encodeStore({ mode, key, item: { value, flags, cas = 0n }, expires }: Request<'store', Content>, opaque: number): Bytes {
  const { opcode } = STORE[mode]
  if (mode === 'append' || mode === 'prepend') return packet(opcode, opaque, key, '', value)
  const extras = storeExtras(flags, expires)
  if (mode !== 'cas') return packet(opcode, opaque, key, extras, value)
  return cas === 0n ? packet(GET, opaque, key) : packet(opcode, opaque, key, extras, value, cas)
}

function storeStatusOf(frame: Frame, request: Request<'store'>, opaque: number): StoreStatus {
  const { mode, item } = request
  const { opcode, replies } = STORE[mode]
  if (mode === 'cas' && (item.cas ?? 0n) === 0n) return statusOf(frame, request, GET, opaque, NO_MATCH)
  const status = statusOf(frame, request, opcode, opaque, replies)
  if (mode === 'cas' && status === 'stored' && casOf(frame as Packet) === 0n) throw uncheckedCas()
  return status
}

function countOpcode({ down }: Request<'count'>): number {
  return down ? DECREMENT : INCREMENT
}

function countOf(frame: Frame, request: Request<'count'>, opaque: number): bigint | undefined {
  const reply = checked(frame, countOpcode(request), opaque, request)
  if (reply.status === KEY_ENOENT) return undefined
  if (reply.status !== OK) throw refusalOf(reply)
  if (reply.end - reply.valueStart !== 8) throw malformed(request)
  return reply.bytes.readBigUInt64BE(reply.valueStart)
}

function encodeStats({ section }: Request<'stats'>, opaque: number): Bytes {
  checkSection(section)
  return packet(STAT, opaque, section)
}

/** One packet for each statistic, its name as the key; one without a name ends them. */
function foldStats(request: Request<'stats'>, opaque: number): Fold<Map<string, string>, Frame> {
  const stats = new Statistics()
  return (frame) => {
    const reply = checked(frame, STAT, opaque, request)
    if (reply.status !== OK) throw refusalOf(reply)
    const name = keyOf(reply)
    if (name === '') return stats.collected
    addStatistic(stats, name, reply.value)
    return more
  }
}

/** memcached's binary protocol. Never sent: opcodes that memcached may not know, behind which it loses count of the bytes. */
export const binaryProtocol: Protocol<Frame> = {
  name: 'binary',
  latin1Values: true,
  longestBinaryKey: LONGEST_KEY,
  authenticate: authenticateBySasl,
  frame: readFrame,
  commands: {
    get: { encode: encodeGet, reply: hitOf },
    getMulti: { encode: encodeGetMulti, decode: foldGetMulti },
    store: { encode: encodeStore, reply: storeStatusOf },
    delete: {
      encode: ({ key }, opaque) => packet(DELETE, opaque, key),
      reply: (frame, request, opaque) => statusOf(frame, request, DELETE, opaque, { [OK]: true, [KEY_ENOENT]: false }),
    },
    touch: {
      encode: ({ key, expires }, opaque) => packet(TOUCH, opaque, key, uint32(exptime(expires))),
      reply: (frame, request, opaque) => statusOf(frame, request, TOUCH, opaque, { [OK]: true, [KEY_ENOENT]: false }),
    },
    count: {
      encode: (request, opaque) => packet(countOpcode(request), opaque, request.key, uint64(request.delta) + uint64(0n) + uint32(DO_NOT_CREATE)),
      reply: countOf,
    },
    flush: {
      encode: ({ delay }, opaque) => packet(FLUSH, opaque, '', delay === 0 ? '' : uint32(exptime(delay))),
      reply: (frame, request, opaque) => statusOf(frame, request, FLUSH, opaque, { [OK]: true }),
    },
    stats: { encode: encodeStats, decode: foldStats },
    version: {
      encode: (_, opaque) => packet(VERSION, opaque),
      reply(frame, request, opaque) {
        const reply = checked(frame, VERSION, opaque, request)
        if (reply.status !== OK) throw refusalOf(reply)
        return reply.value.toString('latin1')
      },
    },
  },
  unasked: (frame) => (typeof frame === 'string' ? unaskedLine(frame) : new MemcacheProtocolError('the server sent a packet that nobody asked for')),
  usableAfter: (refused) => !fatal.has(refused) && refused.message.startsWith('status'),
}

/** The driver for memcached's binary protocol. */
export const binary: DriverFactory = wire(binaryProtocol)

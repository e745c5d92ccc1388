import { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import { ByteReader, readMemory } from '../../lib/byte-reader.ts'
import type { Item, Op, Reply, Request, StoreMode } from '../../lib/commands.ts'
import { foldOf, more, type Bytes, type Exchange, type Protocol } from '../../lib/driver.ts'
import { MemcacheError } from '../../lib/errors.ts'

/** A protocol as what it is: functions from requests to bytes, and from bytes to replies. */

/** No value in a reply may be longer, as far as these functions go. */
export const LONGEST_VALUE = 1_000_000

/** How a protocol says this request. @throws when it cannot. */
export function exchangeOf<O extends Op, Frame>(protocol: Protocol<Frame>, request: Request<O>): Exchange<O, Frame> {
  const exchange = protocol.commands[request.op]
  if (exchange === undefined) throw new Error(`the ${protocol.name} protocol has no ${request.op}`)
  return exchange
}

/** A request's bytes as latin1 text. */
export function encoded<O extends Op, Frame>(protocol: Protocol<Frame>, request: Request<O>, opaque = 0): string {
  return latin1(exchangeOf(protocol, request).encode(request, opaque))
}

/** What a driver gives the socket, as one string. */
export function latin1(bytes: Bytes): string {
  return typeof bytes === 'string' ? bytes : bytes.map((part) => (typeof part === 'string' ? part : part.toString('latin1'))).join('')
}

/** What stands in a socket's memory from before: it reads like a reply, too. */
const STALE = Buffer.from(' O42 f0\r\nv\r\nEND\r\nMN\r\n')

/** Feeds a piece as a connection does, in memory that is longer than it; gives what of that is to be overwritten when the turn is over. */
export function feed(reader: ByteReader, piece: Buffer): Buffer {
  const whole = Buffer.concat([piece, STALE])
  const shared = readMemory()
  if (whole.length > shared.length) {
    reader.feed(whole, piece.length)
    return whole
  }
  whole.copy(shared)
  reader.feed(shared, piece.length)
  return shared.subarray(0, whole.length)
}

/** Stands for a reply that is not whole. */
export const waiting: unique symbol = Symbol('waiting')

/**
 * The reply that comes in these pieces, as a connection reads it: each piece is in memory that is overwritten when its
 * turn is over. @throws what the protocol throws, and for bytes behind the reply.
 */
export function replyIn<O extends Op, Frame>(
  protocol: Protocol<Frame>,
  request: Request<O>,
  pieces: Iterable<Buffer>,
  opaque = 0,
): Reply<O> | typeof waiting {
  const fold = foldOf(exchangeOf(protocol, request), request, opaque)
  const reader = new ByteReader()
  for (const piece of pieces) {
    const memory = feed(reader, piece)
    while (reader.ready) {
      const frame = protocol.frame(reader, LONGEST_VALUE)
      if (frame === undefined) break
      const reply = fold(frame)
      if (reply === more) continue
      if (reader.start !== reader.end) throw new Error(`bytes behind the reply: ${reader.bytes.toString('latin1', reader.start, reader.end)}`)
      const taken = takenAtOnce(request, reply)
      memory.fill('?')
      return taken
    }
    reader.keep()
    memory.fill('?')
  }
  return waiting
}

/** A reply as data of its own, copied before the next read. */
export function takenAtOnce<O extends Op>({ op }: Request<O>, reply: Reply<O>): Reply<O> {
  const copied = (item: Item | undefined): Item | undefined => item && { value: Buffer.from(item.value), flags: item.flags, cas: item.cas }
  if (op === 'get') return copied(reply as Reply<'get'>) as Reply<O>
  if (op === 'getMulti') return (reply as Reply<'getMulti'>).map(copied) as unknown as Reply<O>
  return op === 'metaGet' && reply !== undefined ? ({ ...(reply as object), value: Buffer.from((reply as Item).value) } as Reply<O>) : reply
}

/** What these bytes, latin1 text, mean when nobody has asked for them; `undefined` while they are no whole frame. */
export function unaskedIn<Frame>(protocol: Protocol<Frame>, bytes: string): MemcacheError | undefined {
  const reader = new ByteReader()
  reader.feed(Buffer.from(bytes, 'latin1'))
  const frame = protocol.frame(reader, LONGEST_VALUE)
  return frame && protocol.unasked(frame)
}

/** The reply in these bytes, latin1 text, which have to hold it to the last byte and nothing else. */
export function decoded<O extends Op, Frame>(protocol: Protocol<Frame>, request: Request<O>, bytes: string, opaque = 0): Reply<O> {
  const reply = replyIn(protocol, request, [Buffer.from(bytes, 'latin1')], opaque)
  if (reply === waiting) throw new Error(`no whole reply in ${JSON.stringify(bytes.slice(0, 100))}`)
  return reply
}

/**
 * Where a reply that is cut is read otherwise than the whole one: each beginning of it has to be waited with, and in two
 * pieces, wherever it is cut, or byte by byte it has to be the same reply or the same error.
 */
export function misreadCuts<O extends Op, Frame>(protocol: Protocol<Frame>, request: Request<O>, bytes: string, opaque = 0): string[] {
  const whole = Buffer.from(bytes, 'latin1')
  const outcome = (pieces: readonly Buffer[]): unknown => {
    try {
      return plain(replyIn(protocol, request, pieces, opaque))
    } catch (error) {
      return error instanceof MemcacheError ? `${error.name}: ${error.message}` : error
    }
  }
  const same = (one: unknown, other: unknown): boolean => shown(one) === shown(other)
  const expected = outcome([whole])
  const misread: string[] = []
  for (let at = 1; at < whole.length; at += 1) {
    const front = outcome([whole.subarray(0, at)])
    if (front !== waiting) misread.push(`the first ${at} bytes of ${JSON.stringify(bytes)}: ${shown(front)}`)
    const both = outcome([whole.subarray(0, at), whole.subarray(at)])
    if (!same(both, expected)) misread.push(`${JSON.stringify(bytes)} cut at ${at}: ${shown(both)}, not ${shown(expected)}`)
  }
  const singly = outcome(Array.from(whole, (_, at) => whole.subarray(at, at + 1)))
  if (!same(singly, expected)) misread.push(`${JSON.stringify(bytes)} byte by byte: ${shown(singly)}, not ${shown(expected)}`)
  return misread
}

function shown(reply: unknown): string {
  return inspect(reply, { depth: 5, breakLength: Infinity })
}

/** A reply without what is not part of it, for comparing: an item is its value, flags and cas id, and what `metaGet` adds. */
export function plain(reply: unknown): unknown {
  if (Array.isArray(reply)) return reply.map(plain)
  if (typeof reply !== 'object' || reply === null || reply instanceof Map) return reply
  const { value, flags, cas, ...rest } = reply as Item
  return { value, flags, cas, ...rest }
}

/** An item, its value in latin1. */
export function item(value: string, flags = 0, cas?: bigint): Item {
  return { value: Buffer.from(value, 'latin1'), flags, cas }
}

/** What can be said about a request that stores. */
export interface Storing {
  readonly key?: string
  readonly flags?: number
  readonly expires?: number
  readonly cas?: bigint
}

/** A request that stores a value, given in latin1 or as a Buffer. */
export function store(mode: StoreMode, value: string | Buffer, { key = 'k', flags = 0, expires = 0, cas }: Storing = {}): Request<'store'> {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'latin1') : value
  return { op: 'store', mode, key, item: { value: bytes, flags, cas }, expires }
}

/** Every kind of storing. */
export const MODES = ['set', 'add', 'replace', 'append', 'prepend', 'cas'] as const

/** One request of every kind that all protocols have. */
export const requests = {
  get: { op: 'get', key: 'k', cas: false },
  gets: { op: 'get', key: 'k', cas: true },
  gat: { op: 'get', key: 'k', cas: false, touch: 3 },
  gats: { op: 'get', key: 'k', cas: true, touch: 3 },
  incr: { op: 'count', key: 'k', delta: 1n, down: false },
  decr: { op: 'count', key: 'k', delta: 1n, down: true },
  delete: { op: 'delete', key: 'k' },
  touch: { op: 'touch', key: 'k', expires: 5 },
  flush: { op: 'flush', delay: 0 },
  stats: { op: 'stats', section: '' },
  version: { op: 'version' },
} as const satisfies { readonly [name: string]: Request }

/** A request for many keys. */
export function multi(...keys: string[]): Request<'getMulti'> {
  return { op: 'getMulti', keys, cas: false }
}

/** All of them: what a test that is about any request goes through. */
export const EVERY: readonly Request[] = [...Object.values(requests), multi('a', 'b'), ...MODES.map((mode) => store(mode, 'v', { cas: 1n }))]

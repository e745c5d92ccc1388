/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { ByteReader } from '../lib/byte-reader.ts'
import { commandName, type Content, type Item, type Key, type MetaItem, type Op, type Request, type StoreMode, type StoreStatus } from '../lib/commands.ts'
import { more, withValue, type Bytes, type DriverFactory, type Fold, type Protocol } from '../lib/driver.ts'
import { MemcacheProtocolError, MemcacheServerError, type MemcacheDriverError } from '../lib/errors.ts'
import { isBinary } from '../lib/key.ts'
import { plain, ReceivedItem } from '../lib/received-item.ts'
import { wire } from '../lib/wire.ts'
import { flush, stats, unexpectedFrame, verbosity, version } from './administration.ts'
import { authenticateInText } from './ascii-authentication.ts'
import { uint16At } from './big-endian.ts'
import { checkLine, CR, CRLF, dataEnd, decimal, decimal64, digitAt, isNumber, LF, lineEnd, refusal, show, SPACE, tokenEnd, unaskedLine, unfinishedLine, usableAfter } from './line.ts'
import { opaqueToken } from './opaque-token.ts'

/** The longest key in bytes of which the base64 form has no more than the 250 characters that memcached takes. */
const LONGEST_BINARY_KEY = 186

/** What a reply begins with: a value, done, a miss, not found, not stored, exists, and the reply to `mn`. */
type Status = 'VA' | 'HD' | 'EN' | 'NF' | 'NS' | 'EX' | 'MN'

/** The status that these two bytes are. */
function statusAt(bytes: Buffer, start: number): Status | undefined {
  switch (uint16At(bytes, start)) {
    case 0x5641:
      return 'VA'
    case 0x4844:
      return 'HD'
    case 0x454e:
      return 'EN'
    case 0x4e46:
      return 'NF'
    case 0x4e53:
      return 'NS'
    case 0x4558:
      return 'EX'
    case 0x4d4e:
      return 'MN'
  }
  return undefined
}

/** `<status> [<length>] <flag>*\r\n[<data>\r\n]`. A number that the reply does not have is -1. */
interface MetaFrame {
  readonly status: Status
  item: ReceivedItem | undefined
  /** `O<opaque>[.<place>]`: the request that it answers, and the key's place among many. */
  opaque: number
  place: number
  /** `f`, `c`: the item's flags and cas id. */
  flags: number
  cas: bigint | undefined
  /** `W`, `Z`: somebody is making this value; with no bytes it is only the promise of one. */
  awaited: boolean
  /** Whether one of the flags has not the form that it should have. */
  malformed: boolean
  about: About | undefined
}

/** What is said of an item that only `metaGet` asks for. */
interface About {
  /** `s`: bytes. */
  size: number
  /** `t`, `l`, `h`: seconds left, `undefined` if it does not expire; seconds since the last access; whether it was read before. */
  ttl: number | undefined
  lastAccess: number
  hitBefore: number
}
/** A meta reply, or any other line without its CRLF. */
type Frame = MetaFrame | string

function readFrame(reader: ByteReader, maxLength: number): Frame | undefined {
  const { bytes, start, end } = reader
  const status = end - start < 4 ? undefined : statusAt(bytes, start) // no reply is shorter
  const next = bytes[start + 2]
  if (status !== undefined && (next === SPACE || next === CR)) return readReply(reader, status, maxLength)
  const newline = lineEnd(reader)
  if (newline === undefined) return undefined
  reader.advance(newline + CRLF.length)
  return bytes.toString('latin1', start, newline)
}

function readReply(reader: ByteReader, status: Status, maxLength: number): MetaFrame | undefined {
  const { bytes, start, end } = reader
  const frame: MetaFrame = { status, item: undefined, opaque: -1, place: -1, flags: -1, cas: undefined, awaited: false, malformed: false, about: undefined }
  let at = start + 2
  let length = 0
  if (status === 'VA') {
    for (let digit; (digit = digitAt(bytes, (at += 1), end)) >= 0; ) length = length * 10 + digit
    if (!isNumber(start + 3, at)) frame.malformed = true
  }
  while (at + 1 < end && bytes[at] === SPACE) at = readFlag(frame, bytes, at + 1, end)
  if (at + 1 >= end && !bytes.subarray(at, end).includes(LF)) return unfinishedLine(reader)
  checkLine(at - start)
  if (frame.malformed || bytes[at] !== CR || bytes[at + 1] !== LF) {
    throw new MemcacheProtocolError(`this is no meta reply: ${show(bytes, start, Math.min(at, end))}`)
  }
  if (status !== 'VA') {
    reader.advance(at + CRLF.length)
    return frame
  }
  const from = at + CRLF.length
  const to = dataEnd(reader, from, length, maxLength)
  if (to === undefined) return undefined
  frame.item = new ReceivedItem(reader.lend(), from, to, frame.flags, frame.cas)
  reader.advance(to + CRLF.length)
  return frame
}

/** One flag of a reply: a letter, and what follows it up to the next blank. Gives where that is, or `end`. */
function readFlag(frame: MetaFrame, bytes: Buffer, from: number, end: number): number {
  if ((bytes[from] as number) <= SPACE) return from
  let to = from + 1
  let number = 0 // nearly always one follows
  for (let digit; (digit = digitAt(bytes, to, end)) >= 0; to += 1) number = number * 10 + digit
  const flagEnd = tokenEnd(bytes, to, end)
  const begins = isNumber(from + 1, to)
  switch (bytes[from]) {
    case 0x4f: // O
      frame.opaque = number
      if (!begins || (to < flagEnd && bytes[to] !== 0x2e)) frame.malformed = true
      if (to < flagEnd) frame.place = decimal(bytes, to + 1, flagEnd)
      return flagEnd
    case 0x66: // f
      frame.flags = number
      if (!begins || to < flagEnd || number > 0xffff_ffff) frame.malformed = true
      return flagEnd
    default:
      readOtherFlag(frame, bytes, from, flagEnd)
      return flagEnd
  }
}

/** A flag that only some replies have. */
function readOtherFlag(frame: MetaFrame, bytes: Buffer, from: number, to: number): void {
  switch (bytes[from]) {
    case 0x63: // c
      frame.cas = decimal64(bytes.toString('latin1', from + 1, to))
      if (frame.cas === undefined) frame.malformed = true
      return
    case 0x73: // s
      aboutIn(frame).size = number(frame, bytes, from, to)
      return
    case 0x74: // t
      if (bytes.toString('latin1', from + 1, to) !== '-1') aboutIn(frame).ttl = number(frame, bytes, from, to)
      return
    case 0x6c: // l
      aboutIn(frame).lastAccess = number(frame, bytes, from, to)
      return
    case 0x68: // h
      aboutIn(frame).hitBefore = number(frame, bytes, from, to)
      return
    case 0x57: // W
    case 0x5a: // Z
      frame.awaited = true
  }
}

function aboutIn(frame: MetaFrame): About {
  return (frame.about ??= { size: -1, ttl: undefined, lastAccess: -1, hitBefore: -1 })
}

/** The number behind a flag's letter. */
function number(frame: MetaFrame, bytes: Buffer, from: number, to: number): number {
  const found = decimal(bytes, from + 1, to)
  if (found < 0) frame.malformed = true
  return found
}

/** The frame if it answers the request of this number. Lines of error have no opaque, nor has the miss of an old server. */
function checked(frame: Frame, opaque: number, request: Request): MetaFrame {
  if (typeof frame === 'string') throw unexpectedFrame(frame, request)
  if (frame.opaque === opaque || (frame.status === 'EN' && frame.opaque === -1)) return frame
  throw new MemcacheProtocolError(`a reply to "${commandName(request)}" has the opaque ${frame.opaque}, not ${opaque}`, { sent: true })
}

/** The item of a value, or the end of the search: a miss is `EN`, and so is a promise without a value. */
function itemOf(frame: MetaFrame, request: Request<'get' | 'getMulti' | 'metaGet'>): Item | undefined {
  const { status, item, awaited } = frame
  if (status === 'EN') return undefined
  if (status !== 'VA' || item === undefined || item.flags < 0) throw unlikely(frame, request)
  return item.length === 0 && awaited ? undefined : item
}

function unlikely<O extends Op>({ status }: MetaFrame, request: Request<O>): MemcacheProtocolError {
  return new MemcacheProtocolError(`this cannot be a reply to "${commandName(request)}": ${status} as it is here`, { sent: true })
}

/** What every command begins with: the key, a length where there is data, the opaque; `b`: the key is in base64. */
function subject(key: Key, token: string, length = ''): string {
  return isBinary(key) ? `${Buffer.from(key, 'latin1').toString('base64')}${length} b${token}` : key + length + token
}

/** `mg <key> O<opaque> v f [c] [T<ttl>]`; `v`: the value, `f`: its flags, `c`: its cas id. */
function encodeGet({ key, cas, touch }: Request<'get'>, opaque: number): Bytes {
  if (touch !== undefined) return `mg ${subject(key, opaqueToken(opaque))} v f${cas ? ' c' : ''} T${touch}\r\n`
  return `mg ${subject(key, opaqueToken(opaque))}${cas ? ' v f c\r\n' : ' v f\r\n'}`
}

/** `mg <key> O<opaque>.<place> v f q`, once for each key, and `mn`. `q`: a miss is not answered; `mn` always is. */
function encodeGetMulti({ keys, cas }: Request<'getMulti'>, opaque: number): Bytes {
  const token = opaqueToken(opaque)
  const options = cas ? ' v f c q\r\n' : ' v f q\r\n'
  let lines = ''
  for (let place = 0; place < keys.length; place += 1) lines += `mg ${subject(keys[place] as Key, token)}.${place}${options}`
  return `${lines}mn\r\n`
}

function foldGetMulti(request: Request<'getMulti'>, opaque: number): Fold<readonly (Item | undefined)[], Frame> {
  const items = new Array<Item | undefined>(request.keys.length).fill(undefined)
  let last = -1
  let failure: MemcacheDriverError | undefined
  return (frame) => {
    if (typeof frame === 'string') {
      const refused = refusal(frame)
      if (refused === undefined || !isOfOneKey(refused)) throw unexpectedFrame(frame, request)
      failure ??= refused
      return more // the others follow, and MN
    }
    if (frame.status === 'MN') {
      if (failure !== undefined) throw failure
      return items
    }
    const reply = checked(frame, opaque, request)
    if (reply.place <= last || reply.place >= items.length) {
      throw new MemcacheProtocolError(`the reply to "${commandName(request)}" has key ${reply.place} behind key ${last}, of ${items.length}`)
    }
    last = reply.place
    items[last] = itemOf(reply, request)
    return more
  }
}

/** Whether it stands in the place of one key among many. Other refusals, and that of a whole connection, come for the whole request. */
function isOfOneKey(refused: MemcacheDriverError): boolean {
  return refused instanceof MemcacheServerError && refused.message.startsWith('SERVER_ERROR')
}

function metaItemOf(frame: Frame, request: Request<'metaGet'>, opaque: number): MetaItem | undefined {
  const reply = checked(frame, opaque, request)
  const item = itemOf(reply, request)
  if (item === undefined) return undefined
  const { ttl, lastAccess, hitBefore, size } = aboutIn(reply)
  if (lastAccess < 0 || hitBefore < 0 || size < 0) throw unlikely(reply, request)
  return { ...plain(item), ttl, lastAccess, hitBefore: hitBefore === 1, size }
}

const MODES: { readonly [mode in StoreMode]: string } = { set: '', cas: '', add: ' ME', replace: ' MR', append: ' MA', prepend: ' MP' }
const CONDITIONAL = { HD: 'stored', NS: 'not-stored' } as const
const CHANGED = { ...CONDITIONAL, EX: 'exists', NF: 'not-found' } as const

/** `ms <key> <length> O<opaque> [F<flags>] [T<ttl>] [M<mode>] [C<cas>]\r\n<data>\r\n` */
function encodeStore({ mode, key, item: { value, flags, cas }, expires }: Request<'store', Content>, opaque: number): Bytes {
  const start = `ms ${subject(key, opaqueToken(opaque), ` ${value.length}`)}`
  if (mode === 'set' && flags === 0 && expires === 0) return withValue(`${start}\r\n`, value, CRLF) // nearly always
  const fresh = mode !== 'append' && mode !== 'prepend'
  const options = `${fresh && flags !== 0 ? ` F${flags}` : ''}${fresh && expires !== 0 ? ` T${expires}` : ''}${MODES[mode]}`
  return withValue(`${start}${options}${mode === 'cas' ? ` C${cas}` : ''}\r\n`, value, CRLF)
}

/** What a reply says that is one of these. */
function statusOf<R>(frame: Frame, request: Request, opaque: number, replies: { readonly [status in Status]?: R }): R {
  const reply = checked(frame, opaque, request)
  const result = replies[reply.status]
  if (result === undefined) throw unlikely(reply, request)
  return result
}

/** `ma <key> O<opaque> v D<delta> [MD]`: counts up, or down, and gives the count as the value. */
function countOf(frame: Frame, request: Request<'count'>, opaque: number): bigint | undefined {
  const reply = checked(frame, opaque, request)
  if (reply.status === 'NF') return undefined
  const count = decimal64(reply.item?.text ?? '')
  if (count === undefined) throw unlikely(reply, request)
  return count
}

/**
 * memcached's meta protocol, as of memcached 1.6.10. The position of a reply tells which request it answers, the opaque
 * token verifies it. The flag `k` is not used: servers echo some keys in a form that breaks the lines.
 */
export const metaProtocol: Protocol<Frame> = {
  name: 'meta',
  latin1Values: true,
  longestBinaryKey: LONGEST_BINARY_KEY,
  authenticate: authenticateInText,
  frame: readFrame,
  commands: {
    get: { encode: encodeGet, reply: (frame, request, opaque) => itemOf(checked(frame, opaque, request), request) },
    getMulti: { encode: encodeGetMulti, decode: foldGetMulti },
    metaGet: { encode: ({ key }, opaque) => `mg ${subject(key, opaqueToken(opaque))} v f c t l h s\r\n`, reply: metaItemOf },
    store: { encode: encodeStore, reply: (frame, request, opaque) => statusOf<StoreStatus>(frame, request, opaque, request.mode === 'cas' ? CHANGED : CONDITIONAL) },
    delete: {
      encode: ({ key }, opaque) => `md ${subject(key, opaqueToken(opaque))}\r\n`,
      reply: (frame, request, opaque) => statusOf(frame, request, opaque, { HD: true, NF: false }),
    },
    touch: {
      encode: ({ key, expires }, opaque) => `mg ${subject(key, opaqueToken(opaque))} T${expires}\r\n`,
      reply: (frame, request, opaque) => statusOf(frame, request, opaque, { HD: true, EN: false }),
    },
    count: { encode: ({ key, delta, down }, opaque) => `ma ${subject(key, opaqueToken(opaque))} v D${delta}${down ? ' MD' : ''}\r\n`, reply: countOf },
    flush,
    stats,
    version,
    verbosity,
  },
  unasked: (frame) => unaskedLine(typeof frame === 'string' ? frame : frame.status),
  usableAfter: (refused, request) => (request.op === 'getMulti' ? isOfOneKey(refused) : usableAfter(refused, request)),
}

/** The driver for memcached's meta protocol, the one that its authors recommend. memcached 1.6.10 or newer. */
export const meta: DriverFactory = wire(metaProtocol)

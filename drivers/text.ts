/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { ByteReader } from '../lib/byte-reader.ts'
import { commandName, type Content, type Item, type Key, type Request, type StoreMode, type StoreStatus } from '../lib/commands.ts'
import { more, withValue, type Arrived, type Bytes, type DriverFactory, type Fold, type Protocol } from '../lib/driver.ts'
import { MemcacheProtocolError, type MemcacheDriverError } from '../lib/errors.ts'
import { ReceivedItem } from '../lib/received-item.ts'
import { wire } from '../lib/wire.ts'
import { flush, stats, unexpectedFrame, verbosity, version, wordOf } from './administration.ts'
import { authenticateInText } from './ascii-authentication.ts'
import { AskedKeys } from './asked-keys.ts'
import { uint32At } from './big-endian.ts'
import { checkLine, CR, CRLF, dataEnd, decimal64, digitAt, isNumber, LF, lineEnd, show, SPACE, tokenEnd, unaskedLine, unexpected, unfinishedLine, usableAfter } from './line.ts'
import { storeTerms } from './store-terms.ts'

/** What memcached reads at a time. It also takes longer lines of `get` and `gets`, and of no other command, for which it has to find more memory. */
const LONGEST_LINE = 16 * 1024

/**
 * A frame is a `VALUE` line with its data, or any other line, without its CRLF, as a string. The name of a value's key
 * stays in the reader's bytes, to be read in the same turn: a reply to a `get` of one key is not told by it.
 */
interface ValueFrame {
  readonly item: ReceivedItem
  /** The reply ends behind it: its END has been read. */
  readonly last: boolean
  /** Where the name of its key is, in the chunk of the item. */
  readonly keyStart: number
  readonly keyEnd: number
  /** The name is known already to be that of the key that these expected next. */
  readonly expected: AskedKeys | undefined
}
type Frame = ValueFrame | string

/** A line that is recognised in place: no string is made of it. */
interface Word {
  readonly word: string
  /** Its bytes, CRLF included: to be compared with others, those of a string are slower to come by. */
  readonly line: Buffer
}

function word(word: string): Word {
  return { word, line: Buffer.from(word + CRLF, 'latin1') }
}

const END = word('END')
const STORED = word('STORED')
const NOT_STORED = word('NOT_STORED')
const NOT_FOUND = word('NOT_FOUND')
const DELETED = word('DELETED')
const TOUCHED = word('TOUCHED')
const VALUE = 'VALUE '

/**
 * Of which multi-get the next value is likely to be. Where the guess is right, a name is found and compared in one pass; where it is
 * wrong, nothing is lost: whose reply it is says the connection.
 */
let likely: AskedKeys | undefined

function readFrame(reader: ByteReader, maxLength: number): Frame | undefined {
  const { bytes, start, end } = reader
  if (start + VALUE.length < end && beginsValue(bytes, start)) return readValue(reader, maxLength)
  const frequent = frequentAt(bytes, start)
  if (frequent !== undefined && start + frequent.line.length <= end && startsWith(bytes, start, frequent.line)) {
    reader.advance(start + frequent.line.length)
    return frequent.word
  }
  const line = lineEnd(reader)
  if (line === undefined) return undefined
  reader.advance(line + CRLF.length)
  return bytes.toString('latin1', start, line)
}

/** The one line that these bytes can be, if they are one of the frequent ones. */
function frequentAt(bytes: Buffer, start: number): Word | undefined {
  switch (bytes[start]) {
    case 0x53: // S
      return STORED
    case 0x45: // E
      return END
    case 0x4e: // N
      return bytes[start + 4] === 0x53 ? NOT_STORED : NOT_FOUND
    case 0x44: // D
      return DELETED
    case 0x54: // T
      return TOUCHED
  }
  return undefined
}

/**
 * `VALUE <key> <flags> <length>[ <cas>]\r\n<data>\r\n`, in one pass: multi-gets consist of it. Queue servers give no cas id
 * even where it was asked for.
 */
function readValue(reader: ByteReader, maxLength: number): ValueFrame | undefined {
  const { bytes, start, end } = reader
  const keyStart = start + VALUE.length
  let keyEnd = likely === undefined ? -1 : likely.endOfNext(bytes, keyStart, end)
  const expected = keyEnd < 0 ? undefined : likely
  if (keyEnd < 0) keyEnd = tokenEnd(bytes, keyStart, end)
  let at = keyEnd + 1
  let flags = 0
  for (let digit; (digit = digitAt(bytes, at, end)) >= 0; at += 1) flags = flags * 10 + digit
  const flagsEnd = at
  let length = 0
  for (let digit; (digit = digitAt(bytes, (at += 1), end)) >= 0; ) length = length * 10 + digit
  const lengthEnd = at
  const withCas = lengthEnd < end && bytes[lengthEnd] === SPACE
  const lineEnd = withCas ? tokenEnd(bytes, lengthEnd + 1, end) : lengthEnd
  const cas = withCas ? decimal64(bytes.toString('latin1', lengthEnd + 1, lineEnd)) : undefined
  const separated = lineEnd + 1 < end && bytes[keyEnd] === SPACE && bytes[flagsEnd] === SPACE && bytes[lineEnd] === CR && bytes[lineEnd + 1] === LF
  const complete = keyEnd > keyStart && isNumber(keyEnd + 1, flagsEnd) && isNumber(flagsEnd + 1, lengthEnd) && withCas === (cas !== undefined)
  checkLine(Math.min(lineEnd, end) - start)
  if (!separated || !complete || flags > 0xffff_ffff) {
    if (lineEnd + 1 >= end && !bytes.subarray(start, end).includes(LF)) return unfinishedLine(reader)
    throw new MemcacheProtocolError(`this is no VALUE line: ${show(bytes, start, Math.min(lineEnd, end))}`)
  }
  const from = lineEnd + CRLF.length
  const to = dataEnd(reader, from, length, maxLength)
  if (to === undefined) return undefined
  const next = to + CRLF.length
  const last = next + END.line.length <= end && bytes[next] === END.line[0] && startsWith(bytes, next, END.line)
  const item = new ReceivedItem(reader.lend(), from, to, flags, cas)
  reader.advance(last ? next + END.line.length : next)
  return { item, last, keyStart, keyEnd, expected }
}

/** Whether `VALUE ` stands here. */
function beginsValue(bytes: Buffer, start: number): boolean {
  return uint32At(bytes, start) === 0x56414c55 && bytes[start + 4] === 0x45 && bytes[start + 5] === SPACE
}

function startsWith(bytes: Buffer, start: number, expected: Buffer): boolean {
  for (let i = 0; i < expected.length; i += 1) if (bytes[start + i] !== expected[i]) return false
  return true
}

/** Whether these bytes are a key's beginning, or all of it. */
function beginsKey(bytes: Buffer, from: number, to: number, key: Key): boolean {
  if (to - from > key.length) return false
  for (let i = from; i < to; i += 1) if (bytes[i] !== key.charCodeAt(i - from)) return false
  return true
}

/** `get <key>`, `gets <key>`, `gat <ttl> <key>`, `gats <ttl> <key>` */
function encodeGet({ key, cas, touch }: Request<'get'>): Bytes {
  if (touch !== undefined) return `${cas ? 'gats' : 'gat'} ${touch} ${key}\r\n`
  return cas ? `gets ${key}\r\n` : `get ${key}\r\n`
}

/** `get <queue>/t=<milliseconds>/…`: a queue server waits so long for an item to come. */
function blocksFor({ key }: Request<'get'>): number {
  return key.includes('/t=') ? Number(/\/t=(\d{1,9})(?=\/|$)/.exec(key)?.[1] ?? 0) : 0
}

/** `get <key> <key> …`, in several lines where one would be too long. */
function encodeGetMulti(request: Request<'getMulti'>): Bytes {
  const { keys } = request
  const line = `${verb(request)} ${keys.join(' ')}\r\n`
  if (line.length <= LONGEST_LINE) return line
  let first = 0
  return keysPerLine(keys, verb(request)).map((count) => `${verb(request)} ${keys.slice(first, (first += count)).join(' ')}\r\n`).join('')
}

/** Line by line, how many of these keys the lines of a multi-key `get` hold: each line as long as it may be. */
function keysPerLine(keys: readonly string[], verb: string): number[] {
  const counts: number[] = []
  let room = 0
  for (const key of keys) {
    room -= key.length + 1
    if (room < 0) {
      counts.push(0)
      room = LONGEST_LINE - verb.length - CRLF.length - key.length - 1
    }
    counts[counts.length - 1] = (counts[counts.length - 1] as number) + 1
  }
  return counts
}

/** What stands between key and length. */
const storeOptions = storeTerms((flags, expires) => ` ${flags} ${expires} `)

/** `<mode> <key> <flags> <exptime> <length>[ <cas>]\r\n<data>\r\n` */
function encodeStore({ mode, key, item: { value, flags, cas }, expires }: Request<'store', Content>): Bytes {
  const length = mode === 'cas' ? `${value.length} ${cas}` : value.length
  return withValue(`${mode} ${key}${storeOptions(flags, expires)}${length}\r\n`, value, CRLF)
}

/**
 * The reply to a `get` of one key: at most one value. Queue servers name the queue, without what else the key says:
 * `get jobs/t=500/open` is answered by `VALUE jobs`.
 */
function foldGet(request: Request<'get'>): Fold<Item | undefined, Frame> {
  let item: Item | undefined
  return (frame) => {
    if (frame === 'END') return item
    if (typeof frame === 'string') throw unexpected(frame, commandName(request))
    if (item !== undefined) throw new MemcacheProtocolError(`a second value came in the reply to "${commandName(request)}" of one key`)
    if (!beginsKey(frame.item.chunk.bytes, frame.keyStart, frame.keyEnd, request.key)) {
      const key = show(frame.item.chunk.bytes, frame.keyStart, frame.keyEnd)
      throw new MemcacheProtocolError(`the reply to "${commandName(request)}" has a value for ${key}, which was not asked for`)
    }
    item = frame.item
    return frame.last ? item : more
  }
}

/** The replies to the lines of a multi-key `get`: values of keys that were asked for, each once, and an END for each line. */
function foldGetMulti(request: Request<'getMulti'>, _: number, arrived?: Arrived): Fold<readonly (Item | undefined)[], Frame> {
  const { keys } = request
  const items = new Array<Item | undefined>(keys.length).fill(undefined)
  let lines = keysPerLine(keys, verb(request)).length
  const asked = new AskedKeys(keys)
  const endOfLine = (): typeof items | typeof more => {
    lines -= 1
    if (lines > 0) return more
    likely = undefined
    return items
  }
  return (frame) => {
    if (typeof frame === 'string') {
      if (frame !== 'END') throw unexpected(frame, commandName(request))
      return endOfLine()
    }
    const place = frame.expected === asked ? asked.takeNext() : asked.any(frame.item.chunk.bytes, frame.keyStart, frame.keyEnd, items)
    if (place === undefined || items[place] !== undefined) {
      const key = show(frame.item.chunk.bytes, frame.keyStart, frame.keyEnd)
      throw new MemcacheProtocolError(`the reply to "${commandName(request)}" has a value for ${key}, ${place === undefined ? 'which was not asked for' : 'a second one'}`)
    }
    items[place] = frame.item
    likely = asked
    arrived?.(place, frame.item)
    return frame.last ? endOfLine() : more
  }
}

function countOf(frame: Frame, request: Request<'count'>): bigint | undefined {
  if (frame === 'NOT_FOUND') return undefined
  const count = typeof frame === 'string' ? decimal64(frame.trimEnd()) : undefined
  if (count === undefined) throw unexpectedFrame(frame, request)
  return count
}

function verb({ cas }: { cas: boolean }): string {
  return cas ? 'gets' : 'get'
}

const CONDITIONS = { STORED: 'stored', NOT_STORED: 'not-stored' } as const
const STORE: { readonly [mode in StoreMode]: { readonly [word: string]: StoreStatus } } = {
  set: CONDITIONS, // a queue that is full says NOT_STORED
  add: CONDITIONS,
  replace: CONDITIONS,
  append: CONDITIONS,
  prepend: CONDITIONS,
  cas: { ...CONDITIONS, EXISTS: 'exists', NOT_FOUND: 'not-found' },
}
/** What twemproxy says in place of a whole reply, in the words of its system, before it answers what it has already read and closes. */
const TWEMPROXY_FAILURE = /^SERVER_ERROR (Connection refused|Connection timed out|Connection reset by peer|No route to host|Host is unreachable|Network is unreachable)$/

function isFailureOfTwemproxy({ message }: MemcacheDriverError, { op }: Request): boolean {
  return op === 'getMulti' && TWEMPROXY_FAILURE.test(message)
}

const DELETIONS = { DELETED: true, NOT_FOUND: false, END: true } // siberite says END
const QUEUE_FLUSHED = { END: true }
const TOUCHES = { TOUCHED: true, NOT_FOUND: false }
/** memcached's text protocol. */
export const textProtocol: Protocol<Frame> = {
  name: 'text',
  latin1Values: true,
  queues: true,
  // 1.4 to 1.6 are memcached's; kestrel had 1.x below, darner, memcacheq and siberite have others.
  joinsGets: (version) => /^1\.(?:[4-9]|\d\d)\.\d/.test(version),
  authenticate: authenticateInText,
  frame: readFrame,
  commands: {
    get: { encode: encodeGet, decode: foldGet, waits: blocksFor },
    getMulti: { encode: encodeGetMulti, decode: foldGetMulti },
    store: { encode: encodeStore, reply: (frame, request) => (frame === 'STORED' ? 'stored' : wordOf(frame, request, STORE[request.mode])) },
    delete: { encode: ({ key }) => `delete ${key}\r\n`, reply: (frame, request) => wordOf(frame, request, DELETIONS) },
    touch: { encode: ({ key, expires }) => `touch ${key} ${expires}\r\n`, reply: (frame, request) => wordOf(frame, request, TOUCHES) },
    count: { encode: ({ key, delta, down }) => `${down ? 'decr' : 'incr'} ${key} ${delta}\r\n`, reply: countOf },
    flushQueue: { encode: ({ key }) => `flush ${key}\r\n`, reply: (frame, request) => wordOf(frame, request, QUEUE_FLUSHED) },
    flush,
    stats,
    version,
    verbosity,
  },
  unasked: (frame) => (typeof frame === 'string' ? unaskedLine(frame) : unaskedLine(`VALUE ${show(frame.item.chunk.bytes, frame.keyStart, frame.keyEnd)}`)),
  usableAfter: (refused, request) => isFailureOfTwemproxy(refused, request) || usableAfter(refused, request),
  closesAfter: isFailureOfTwemproxy,
}

/** The driver for memcached's text protocol, which queue servers and proxies speak too. */
export const text: DriverFactory = wire(textProtocol)

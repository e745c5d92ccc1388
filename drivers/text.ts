/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { ByteReader } from '../lib/byte-reader.ts'
import { commandName, type Content, type Item, type Request, type StoreMode, type StoreStatus } from '../lib/commands.ts'
import { more, withValue, type Bytes, type DriverFactory, type Fold, type Protocol } from '../lib/driver.ts'
import { MemcacheProtocolError, type MemcacheDriverError } from '../lib/errors.ts'
import { plain, ReceivedItem } from '../lib/received-item.ts'
import { wire } from '../lib/wire.ts'
import { flush, foldWord, stats, unexpectedFrame, verbosity, version } from './administration.ts'
import { authenticateInText } from './ascii-authentication.ts'
import { CR, CRLF, dataEnd, decimal, decimal64, LF, lineEnd, show, SPACE, tokenEnd, unaskedLine, unexpected, unfinishedLine, usableAfter } from './line.ts'

/** memcached reads a longer command line only if it comes in one piece. */
const LONGEST_LINE = 2048

/**
 * A frame is a `VALUE` line with its data, or any other line, without its CRLF, as a string. The name of a value's key
 * stays in the reader's bytes, to be read in the same turn: a reply to a `get` of one key is not told by it.
 */
class ValueFrame extends ReceivedItem {
  /** The reply ends behind it: its END has been read. Only then nothing else is read before the value is taken. */
  readonly last: boolean
  readonly bytes: Buffer
  readonly keyStart: number
  readonly keyEnd: number

  constructor(memory: Buffer, from: number, to: number, flags: number, cas: bigint | undefined, last: boolean, bytes: Buffer, keyStart: number, keyEnd: number) {
    super(memory, from, to, flags, cas)
    this.last = last
    this.bytes = bytes
    this.keyStart = keyStart
    this.keyEnd = keyEnd
  }
}
type Frame = ValueFrame | string

/** The lines that are recognised in place: no string is made of them. */
const FREQUENT = ['END', 'STORED', 'NOT_STORED', 'DELETED', 'NOT_FOUND', 'TOUCHED'].map((word) => ({ word, line: word + CRLF }))
const VALUE = 'VALUE '
const END = 'END\r\n'

function readFrame(reader: ByteReader, maxLength: number): Frame | undefined {
  const { bytes, start } = reader
  if (startsWith(bytes, start, VALUE) && start + VALUE.length < reader.end) return readValue(reader, maxLength)
  for (const { word, line } of FREQUENT) {
    if (start + line.length > reader.end || !startsWith(bytes, start, line)) continue
    reader.advance(start + line.length)
    return word
  }
  const end = lineEnd(reader)
  if (end === undefined) return undefined
  reader.advance(end + CRLF.length)
  return bytes.toString('latin1', start, end)
}

/** `VALUE <key> <flags> <length>[ <cas>]\r\n<data>\r\n`. Queue servers give no cas id even where it was asked for. */
function readValue(reader: ByteReader, maxLength: number): ValueFrame | undefined {
  const { bytes, start, end } = reader
  const keyStart = start + VALUE.length
  const keyEnd = tokenEnd(bytes, keyStart, end)
  const flagsEnd = tokenEnd(bytes, keyEnd + 1, end)
  const lengthEnd = tokenEnd(bytes, flagsEnd + 1, end)
  const withCas = lengthEnd < end && bytes[lengthEnd] === SPACE
  const lineEnd = withCas ? tokenEnd(bytes, lengthEnd + 1, end) : lengthEnd
  if (lineEnd + 1 >= end && !bytes.subarray(start, end).includes(LF)) return unfinishedLine(reader)
  const flags = decimal(bytes, keyEnd + 1, flagsEnd)
  const length = decimal(bytes, flagsEnd + 1, lengthEnd)
  const cas = withCas ? decimal64(bytes.toString('latin1', lengthEnd + 1, lineEnd)) : undefined
  const separated = keyEnd > keyStart && bytes[keyEnd] === SPACE && bytes[flagsEnd] === SPACE && bytes[lineEnd] === CR && bytes[lineEnd + 1] === LF
  if (!separated || flags < 0 || flags > 0xffff_ffff || length < 0 || (withCas && cas === undefined)) {
    throw new MemcacheProtocolError(`this is no VALUE line: ${show(bytes, start, Math.min(lineEnd, end))}`)
  }
  const from = lineEnd + CRLF.length
  const to = dataEnd(reader, from, length, maxLength)
  if (to === undefined) return undefined
  const next = to + CRLF.length
  const last = next + END.length <= end && startsWith(bytes, next, END)
  const frame = new ValueFrame(last ? bytes : reader.lasting, from, to, flags, cas, last, bytes, keyStart, keyEnd)
  reader.advance(last ? next + END.length : next)
  return frame
}

function startsWith(bytes: Buffer, start: number, text: string): boolean {
  for (let i = 0; i < text.length; i += 1) if (bytes[start + i] !== text.charCodeAt(i)) return false
  return true
}

/** `get <key>`, `gets <key>`, `gat <ttl> <key>`, `gats <ttl> <key>` */
function encodeGet({ key, cas, touch }: Request<'get'>): Bytes {
  return touch === undefined ? `${verb({ cas })} ${key}\r\n` : `${cas ? 'gats' : 'gat'} ${touch} ${key}\r\n`
}

/** `get <queue>/t=<milliseconds>/…`: a queue server waits so long for an item to come. */
function blocksFor({ key }: Request<'get'>): number {
  return key.includes('/t=') ? Number(/\/t=(\d{1,9})(?=\/|$)/.exec(key)?.[1] ?? 0) : 0
}

/** `get <key> <key> …`, in several lines where one would be too long. */
function encodeGetMulti(request: Request<'getMulti'>): Bytes {
  let first = 0
  const lines = keysPerLine(request.keys, verb(request)).map((count) => {
    const keys = request.keys.slice(first, (first += count))
    return `${verb(request)} ${keys.join(' ')}\r\n`
  })
  return lines.join('')
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

/** `<mode> <key> <flags> <exptime> <length>[ <cas>]\r\n<data>\r\n` */
function encodeStore({ mode, key, item: { value, flags, cas }, expires }: Request<'store', Content>): Bytes {
  const meta = flags === 0 && expires === 0 ? '0 0' : `${flags} ${expires}` // nearly always: to make text of numbers takes time
  const id = mode === 'cas' ? ` ${cas}` : ''
  return withValue(`${mode} ${key} ${meta} ${value.length}${id}\r\n`, value, CRLF)
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
    if (!beginsWith(request.key, frame)) {
      const key = show(frame.bytes, frame.keyStart, frame.keyEnd)
      throw new MemcacheProtocolError(`the reply to "${commandName(request)}" has a value for ${key}, which was not asked for`)
    }
    item = frame
    return frame.last ? item : more
  }
}

/** Whether the key begins with the one that the value is named by. */
function beginsWith(key: string, { bytes, keyStart, keyEnd }: ValueFrame): boolean {
  const length = keyEnd - keyStart
  return length <= key.length && startsWith(bytes, keyStart, key.slice(0, length))
}

/** The replies to the lines of a multi-key `get`: values of keys that were asked for, each once, and an END for each line. */
function foldGetMulti(request: Request<'getMulti'>): Fold<readonly (Item | undefined)[], Frame> {
  const { keys } = request
  const items = new Array<Item | undefined>(keys.length).fill(undefined)
  let lines = keysPerLine(keys, verb(request)).length
  let next = 0
  let places: Map<string, number> | undefined
  /** memcached answers in the order of the request, leaving out what it has not; some proxies answer in another. */
  const placeOf = ({ bytes, keyStart, keyEnd }: ValueFrame): number | undefined => {
    const expected = keys[next]
    if (expected !== undefined && expected.length === keyEnd - keyStart && startsWith(bytes, keyStart, expected)) return next++
    const key = bytes.toString('latin1', keyStart, keyEnd)
    for (let place = next; place < keys.length; place += 1) {
      if (keys[place] !== key) continue
      next = place + 1
      return place
    }
    next = keys.length
    places ??= new Map(keys.map((each, place) => [each, place]))
    return places.get(key)
  }
  const endOfLine = (): typeof items | typeof more => {
    lines -= 1
    return lines === 0 ? items : more
  }
  return (frame) => {
    if (typeof frame === 'string') {
      if (frame !== 'END') throw unexpected(frame, commandName(request))
      return endOfLine()
    }
    const place = placeOf(frame)
    if (place === undefined || items[place] !== undefined) {
      const key = show(frame.bytes, frame.keyStart, frame.keyEnd)
      throw new MemcacheProtocolError(`the reply to "${commandName(request)}" has a value for ${key}, ${place === undefined ? 'which was not asked for' : 'a second one'}`)
    }
    items[place] = frame.last && lines > 1 ? { ...plain(frame), value: Buffer.from(frame.value) } : frame // another line's reply comes first
    return frame.last ? endOfLine() : more
  }
}

function foldCount(request: Request<'count'>): Fold<bigint | undefined, Frame> {
  return (frame) => {
    if (frame === 'NOT_FOUND') return undefined
    const count = typeof frame === 'string' ? decimal64(frame.trimEnd()) : undefined
    if (count === undefined) throw unexpectedFrame(frame, request)
    return count
  }
}

function verb({ cas }: { cas: boolean }): string {
  return cas ? 'gets' : 'get'
}

const CONDITIONAL = { STORED: 'stored', NOT_STORED: 'not-stored' } as const
const STORED: { readonly [mode in StoreMode]: { readonly [word: string]: StoreStatus } } = {
  set: CONDITIONAL, // a queue that is full says NOT_STORED
  add: CONDITIONAL,
  replace: CONDITIONAL,
  append: CONDITIONAL,
  prepend: CONDITIONAL,
  cas: { ...CONDITIONAL, EXISTS: 'exists', NOT_FOUND: 'not-found' },
}
/** What twemproxy says in place of a whole reply, in the words of its system, before it answers what it has already read and closes. */
const TWEMPROXY_FAILURE = /^SERVER_ERROR (Connection refused|Connection timed out|Connection reset by peer|No route to host|Host is unreachable|Network is unreachable)$/

function isFailureOfTwemproxy({ message }: MemcacheDriverError, { op }: Request): boolean {
  return op === 'getMulti' && TWEMPROXY_FAILURE.test(message)
}

const DELETED = { DELETED: true, NOT_FOUND: false, END: true } // siberite says END
const QUEUE_FLUSHED = { END: true }
const TOUCHED = { TOUCHED: true, NOT_FOUND: false }
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
    store: { encode: encodeStore, decode: (request) => foldWord(request, STORED[request.mode]) },
    delete: { encode: ({ key }) => `delete ${key}\r\n`, decode: (request) => foldWord(request, DELETED) },
    touch: { encode: ({ key, expires }) => `touch ${key} ${expires}\r\n`, decode: (request) => foldWord(request, TOUCHED) },
    count: { encode: ({ key, delta, down }) => `${down ? 'decr' : 'incr'} ${key} ${delta}\r\n`, decode: foldCount },
    flushQueue: { encode: ({ key }) => `flush ${key}\r\n`, decode: (request) => foldWord(request, QUEUE_FLUSHED) },
    flush,
    stats,
    version,
    verbosity,
  },
  unasked: (frame) => (typeof frame === 'string' ? unaskedLine(frame) : unaskedLine(`VALUE ${show(frame.bytes, frame.keyStart, frame.keyEnd)}`)),
  usableAfter: (refused, request) => isFailureOfTwemproxy(refused, request) || usableAfter(refused, request),
  closesAfter: isFailureOfTwemproxy,
}

/** The driver for memcached's text protocol, which queue servers and proxies speak too. */
export const text: DriverFactory = wire(textProtocol)

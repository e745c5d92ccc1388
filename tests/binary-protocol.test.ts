import { Buffer } from 'node:buffer'
import t from 'tap'
import { binary, binaryProtocol } from '../drivers/binary.ts'
import { textProtocol } from '../drivers/text.ts'
import type { Op, Reply, Request } from '../lib/commands.ts'
import { MemcacheAuthError, MemcacheClientError, MemcacheDriverError, MemcacheProtocolError, MemcacheServerError, MemcacheUnsupportedError } from '../lib/errors.ts'
import { OPCODES, packet, packetsIn, REQUEST, uint32, uint64, type PacketParts } from './support/packets.ts'
import { decoded, encoded, EVERY, exchangeOf, item, LONGEST_VALUE, misreadCuts, MODES, multi, plain, replyIn, requests, store, unaskedIn, waiting } from './support/exchanges.ts'
import { readsInLinearTime } from './support/long-replies.ts'

/** The binary protocol as what it is: functions from requests to bytes, and from bytes to replies. */

const { get, gets, gat, gats, incr, decr, touch, flush, stats, version } = requests
/** The number that the requests of these tests have. */
const OPAQUE = 0x01020304

function encode<O extends Op>(request: Request<O>, opaque = OPAQUE): string {
  return encoded(binaryProtocol, request, opaque)
}

function decode<O extends Op>(request: Request<O>, bytes: string): Reply<O> {
  return decoded(binaryProtocol, request, bytes, OPAQUE)
}

/** A packet of the reply to these requests, unless it says otherwise. */
function reply(opcode: number, parts: Omit<PacketParts, 'opcode'> = {}): string {
  return packet({ opcode, opaque: OPAQUE, cas: 1n, ...parts })
}

/** The packet of a value. */
function hit(opcode: number, value: string, { flags = 0, cas = 0n, key = '' }: { flags?: number; cas?: bigint; key?: string } = {}): string {
  return reply(opcode, { extras: uint32(flags), key, value, cas })
}

const kq = (key: string, value: string, parts: { flags?: number; cas?: bigint } = {}): string => hit(OPCODES.getkq, value, { ...parts, key })
const noop = reply(OPCODES.noop)

/** The opcode of the only packet that a request is, or of the last one. */
function opcodeOf(request: Request): number {
  const packets = packetsIn(encode(request)) ?? []
  return packets[packets.length - 1]?.opcode ?? -1
}

/** Bytes in hexadecimal, with blanks as one likes. */
function hex(digits: string): string {
  return Buffer.from(digits.replaceAll(' ', ''), 'hex').toString('latin1')
}

t.test('requests, byte for byte', async (t) => {
  //                       magic, opcode, key length, extras length, data type, vbucket, body length, opaque, cas id
  const asked: readonly (readonly [Request, string])[] = [
    [get, hex('80 00 0001 00 00 0000 00000001 01020304 0000000000000000') + 'k'],
    [gets, hex('80 00 0001 00 00 0000 00000001 01020304 0000000000000000') + 'k'],
    [{ ...get, key: 'a'.repeat(250) }, hex('80 00 00fa 00 00 0000 000000fa 01020304 0000000000000000') + 'a'.repeat(250)],
    [{ ...get, key: ' \r\n\x00\xff' }, hex('80 00 0005 00 00 0000 00000005 01020304 0000000000000000 20 0d 0a 00 ff')],
    [gat, hex('80 1d 0001 04 00 0000 00000005 01020304 0000000000000000 00000003') + 'k'],
    [gats, hex('80 1d 0001 04 00 0000 00000005 01020304 0000000000000000 00000003') + 'k'],
    [{ ...get, touch: 0 }, hex('80 1d 0001 04 00 0000 00000005 01020304 0000000000000000 00000000') + 'k'],
    [{ ...get, touch: -1 }, hex('80 1d 0001 04 00 0000 00000005 01020304 0000000000000000 00278d01') + 'k'],
    [multi('a'), hex('80 0d 0001 00 00 0000 00000001 01020304 0000000000000000 61  80 0a 0000 00 00 0000 00000000 01020304 0000000000000000')],
    [
      multi('a', 'bc'),
      hex('80 0d 0001 00 00 0000 00000001 01020304 0000000000000000 61  80 0d 0002 00 00 0000 00000002 01020304 0000000000000000 62 63') +
        hex('80 0a 0000 00 00 0000 00000000 01020304 0000000000000000'),
    ],
    [store('set', 'value', { flags: 16, expires: 60 }), hex('80 01 0001 08 00 0000 0000000e 01020304 0000000000000000 00000010 0000003c') + 'kvalue'],
    [store('set', ''), hex('80 01 0001 08 00 0000 00000009 01020304 0000000000000000 00000000 00000000') + 'k'],
    [store('set', 'v', { cas: 7n }), hex('80 01 0001 08 00 0000 0000000a 01020304 0000000000000000 00000000 00000000') + 'kv'],
    [store('add', 'v', { expires: -1 }), hex('80 02 0001 08 00 0000 0000000a 01020304 0000000000000000 00000000 00278d01') + 'kv'],
    [store('replace', 'v', { flags: 0xffff_ffff }), hex('80 03 0001 08 00 0000 0000000a 01020304 0000000000000000 ffffffff 00000000') + 'kv'],
    [store('replace', 'v', { expires: 2 ** 31 - 1 }), hex('80 03 0001 08 00 0000 0000000a 01020304 0000000000000000 00000000 7fffffff') + 'kv'],
    [store('append', '\r\n', { flags: 1, expires: 9 }), hex('80 0e 0001 00 00 0000 00000003 01020304 0000000000000000') + 'k\r\n'],
    [store('prepend', '\xe9', { cas: 7n }), hex('80 0f 0001 00 00 0000 00000002 01020304 0000000000000000') + 'k\xe9'],
    [store('cas', 'v', { cas: 7n }), hex('80 01 0001 08 00 0000 0000000a 01020304 0000000000000007 00000000 00000000') + 'kv'],
    [store('cas', 'v', { cas: 2n ** 64n - 1n }), hex('80 01 0001 08 00 0000 0000000a 01020304 ffffffffffffffff 00000000 00000000') + 'kv'],
    [store('cas', 'v', { cas: 0x0123456789abcdefn }), hex('80 01 0001 08 00 0000 0000000a 01020304 0123456789abcdef 00000000 00000000') + 'kv'],
    [store('cas', 'v', { cas: 0n }), hex('80 00 0001 00 00 0000 00000001 01020304 0000000000000000') + 'k'], // a GET: in a SET it would match any item
    [requests.delete, hex('80 04 0001 00 00 0000 00000001 01020304 0000000000000000') + 'k'],
    [touch, hex('80 1c 0001 04 00 0000 00000005 01020304 0000000000000000 00000005') + 'k'],
    [{ ...touch, expires: -1 }, hex('80 1c 0001 04 00 0000 00000005 01020304 0000000000000000 00278d01') + 'k'],
    [incr, hex('80 05 0001 14 00 0000 00000015 01020304 0000000000000000 0000000000000001 0000000000000000 ffffffff') + 'k'],
    [{ ...decr, delta: 2n ** 64n - 1n }, hex('80 06 0001 14 00 0000 00000015 01020304 0000000000000000 ffffffffffffffff 0000000000000000 ffffffff') + 'k'],
    [{ ...incr, delta: 0x0123456789abcdefn }, hex('80 05 0001 14 00 0000 00000015 01020304 0000000000000000 0123456789abcdef 0000000000000000 ffffffff') + 'k'],
    [flush, hex('80 08 0000 00 00 0000 00000000 01020304 0000000000000000')],
    [{ op: 'flush', delay: 10 }, hex('80 08 0000 04 00 0000 00000004 01020304 0000000000000000 0000000a')],
    [stats, hex('80 10 0000 00 00 0000 00000000 01020304 0000000000000000')],
    [{ op: 'stats', section: 'detail dump' }, hex('80 10 000b 00 00 0000 0000000b 01020304 0000000000000000') + 'detail dump'],
    [version, hex('80 0b 0000 00 00 0000 00000000 01020304 0000000000000000')],
  ]
  for (const [request, bytes] of asked) {
    const what = `${request.op}: ${Buffer.from(bytes.slice(0, 60), 'latin1').toString('hex')}`
    t.equal(encode(request), bytes, what)
    t.ok(packetsIn(bytes)?.every(({ magic }) => magic === REQUEST), 'whole packets')
  }
  for (const opaque of [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    for (const request of EVERY) {
      const packets = packetsIn(encode(request, opaque)) ?? []
      t.ok(packets.length > 0 && packets.every((each) => each.opaque === opaque), `${request.op}: the opaque ${opaque}`)
    }
  }
  t.equal(binaryProtocol.longestBinaryKey, 250, 'keys of any bytes')
  t.type(binary, 'function')
})

t.test('values of any length', async (t) => {
  for (const length of [0, 1, 255, 256, 2047, 2048, 2049, 65_535, 65_536, 70_000, 999_999]) {
    for (const mode of MODES) {
      const value = 'x'.repeat(length)
      const [sent, ...others] = packetsIn(encode(store(mode, value, { key: 'key', flags: 1, cas: 2n }))) ?? []
      t.same([sent?.key, sent?.value === value, others.length], ['key', true, 0], `${mode}: a value of ${length} bytes`)
    }
  }
  const long = Buffer.alloc(100_000, 1)
  const request = store('set', long)
  const bytes = exchangeOf(binaryProtocol, request).encode(request, OPAQUE)
  t.ok(Array.isArray(bytes) && bytes.some((part) => part === long), 'a long value is not copied into text')
})

t.test('what is never sent', async (t) => {
  t.equal(binaryProtocol.commands.verbosity, undefined, 'memcached loses count of the bytes behind this opcode')
  t.equal(binaryProtocol.commands.metaGet, undefined)
  for (const section of ['sizes_enable', 'sizes_disable', 'sizes_enable now']) t.throws(() => encode({ op: 'stats', section }), MemcacheUnsupportedError, `stats ${section} has no end`)
  const known: readonly number[] = [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x10, 0x1c, 0x1d]
  for (const request of EVERY) t.ok(packetsIn(encode(request))?.every(({ opcode }) => known.includes(opcode)), request.op)
})

const replies: readonly (readonly [request: Request, bytes: string, reply: unknown, why?: string])[] = [
  [get, reply(OPCODES.get, { status: 1, value: 'Not found' }), undefined],
  [get, reply(OPCODES.get, { status: 1 }), undefined, 'a miss without words'],
  [get, hit(OPCODES.get, 'hello'), item('hello')],
  [get, hit(OPCODES.get, '', { flags: 0xffff_ffff }), item('', 0xffff_ffff)],
  [get, hit(OPCODES.get, 'v', { cas: 9n }), item('v'), 'the cas id always comes: who did not ask is not told'],
  [get, hit(OPCODES.get, hit(OPCODES.get, 'inner')), item(hit(OPCODES.get, 'inner')), 'a value that looks like a reply'],
  [get, hit(OPCODES.get, '\r\n\x00\xff'), item('\r\n\x00\xff')],
  [get, reply(OPCODES.get, { extras: uint32(1), value: 'v', dataType: 5 }), item('v', 1), 'nobody looks at the type of the data'],
  [gets, hit(OPCODES.get, 'v', { flags: 0x8000_0001, cas: 2n ** 64n - 1n }), item('v', 0x8000_0001, 2n ** 64n - 1n)],
  [gets, hit(OPCODES.get, 'v'), item('v', 0, 0n), 'a server without cas ids'],
  [gat, reply(OPCODES.gat, { status: 1, value: 'Not found' }), undefined],
  [gat, hit(OPCODES.gat, 'v', { flags: 3, cas: 4n }), item('v', 3)],
  [gats, hit(OPCODES.gat, 'v', { flags: 3, cas: 4n }), item('v', 3, 4n)],
  [multi('a', 'b', 'c'), noop, [undefined, undefined, undefined]],
  [multi('a', 'b', 'c'), kq('a', '1') + kq('c', '33', { flags: 1 }) + noop, [item('1'), undefined, item('33', 1)]],
  [multi('a', 'b', 'c'), kq('b', '2') + noop, [undefined, item('2'), undefined]],
  [multi('a', 'b', 'c'), kq('a', '1') + kq('b', '2') + kq('c', '3') + noop, [item('1'), item('2'), item('3')]],
  [{ ...multi('a', 'b'), cas: true }, kq('a', '1', { cas: 5n }) + kq('b', '', { cas: 6n }) + noop, [item('1', 0, 5n), item('', 0, 6n)]],
  [multi('\xc3\xa9', ' \r\n\x00'), kq('\xc3\xa9', '1') + kq(' \r\n\x00', '2') + noop, [item('1'), item('2')]],
  [multi('a', 'aa', 'A'), kq('aa', '2') + noop, [undefined, item('2'), undefined], 'keys are compared whole'],
  [incr, reply(OPCODES.incr, { value: uint64(0n) }), 0n],
  [incr, reply(OPCODES.incr, { value: uint64(2n ** 64n - 1n), cas: 3n }), 2n ** 64n - 1n],
  [decr, reply(OPCODES.decr, { value: uint64(2n ** 53n + 1n) }), 2n ** 53n + 1n],
  [flush, reply(OPCODES.flush), true],
  [touch, reply(OPCODES.touch, { extras: uint32(3), cas: 1n }), true, 'touch tells the flags of the item'],
  [touch, reply(OPCODES.touch), true, 'or does not'],
  [version, reply(OPCODES.version, { value: '1.6.18' }), '1.6.18'],
  [version, reply(OPCODES.version), ''],
  [stats, reply(OPCODES.stat), new Map()],
  [
    stats,
    reply(OPCODES.stat, { key: 'pid', value: '1' }) + reply(OPCODES.stat, { key: 'blank' }) + reply(OPCODES.stat, { key: 'two words', value: 'a b' }) + reply(OPCODES.stat),
    new Map([['pid', '1'], ['blank', ''], ['two words', 'a b']]),
  ],
  [
    { op: 'stats', section: 'detail dump' },
    reply(OPCODES.stat, { key: 'detailed', value: 'PREFIX p get 1 hit 1\r\nPREFIX q get 2 hit 0\r\nEND\r\n' }) + reply(OPCODES.stat),
    new Map([['p', 'get 1 hit 1'], ['q', 'get 2 hit 0']]),
  ],
  [{ op: 'stats', section: 'reset' }, reply(OPCODES.stat), new Map()],
]

t.test('replies', async (t) => {
  for (const [request, bytes, expected, why] of replies) {
    t.strictSame(plain(decode(request, bytes)), plain(expected), why ?? `${request.op}: ${JSON.stringify(bytes).slice(0, 90)}`)
  }
  const large = 'v'.repeat(300_000)
  t.equal(decode(get, hit(OPCODES.get, large))?.value.toString('latin1'), large)
})

/** What a status says, as a result; the others are errors. */
function resultsOf(request: Request): { readonly [status: number]: unknown } {
  switch (request.op) {
    case 'get':
      return { 0x01: undefined }
    case 'store':
      return {
        set: { 0x00: 'stored', 0x05: 'not-stored' },
        add: { 0x00: 'stored', 0x02: 'not-stored', 0x05: 'not-stored' },
        replace: { 0x00: 'stored', 0x01: 'not-stored', 0x05: 'not-stored' },
        append: { 0x00: 'stored', 0x01: 'not-stored', 0x05: 'not-stored' },
        prepend: { 0x00: 'stored', 0x01: 'not-stored', 0x05: 'not-stored' },
        cas: { 0x00: 'stored', 0x01: 'not-found', 0x02: 'exists', 0x05: 'not-stored' },
      }[request.mode]
    case 'delete':
    case 'touch':
      return { 0x00: true, 0x01: false }
    case 'count':
      return { 0x01: undefined }
    case 'flush':
      return { 0x00: true }
    default:
      return {}
  }
}

/** What other statuses mean, beside the line in which a text server says the same. */
const REFUSALS: readonly (readonly [status: number, body: string, line: string, ErrorClass: typeof MemcacheDriverError])[] = [
  [0x01, 'Not found', 'ERROR', MemcacheClientError],
  [0x02, 'Data exists for key.', 'CLIENT_ERROR unexpected', MemcacheClientError],
  [0x03, 'Too large.', 'SERVER_ERROR object too large for cache', MemcacheServerError],
  [0x04, 'Invalid arguments', 'CLIENT_ERROR bad command line format', MemcacheClientError],
  [0x05, 'Not stored.', 'CLIENT_ERROR unexpected', MemcacheClientError],
  [0x06, 'Non-numeric server-side value for incr or decr', 'CLIENT_ERROR cannot increment or decrement non-numeric value', MemcacheClientError],
  [0x07, '', 'SERVER_ERROR not my vbucket', MemcacheServerError],
  [0x20, 'Auth failure.', 'CLIENT_ERROR unauthenticated', MemcacheAuthError],
  [0x21, 'challenge', 'CLIENT_ERROR unauthenticated', MemcacheAuthError],
  [0x81, 'Unknown command', 'ERROR', MemcacheClientError],
  [0x82, 'Out of memory allocating item', 'SERVER_ERROR out of memory storing object', MemcacheServerError],
  [0x83, 'Not supported', 'SERVER_ERROR not supported', MemcacheServerError],
  [0x84, '', 'SERVER_ERROR internal error', MemcacheServerError],
  [0x85, 'Busy', 'SERVER_ERROR busy', MemcacheServerError],
  [0x86, 'Temporary failure', 'SERVER_ERROR temporary failure', MemcacheServerError],
  [0x1234, 'new in the next version', 'SERVER_ERROR new', MemcacheServerError],
  [0x2012, 'it begins like another', 'SERVER_ERROR new', MemcacheServerError],
  [0x8120, '', 'SERVER_ERROR new', MemcacheServerError],
  [0xffff, '', 'SERVER_ERROR', MemcacheServerError],
]

function caughtOf(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}

t.test('every status, to every command', async (t) => {
  for (const request of EVERY) {
    const results = resultsOf(request)
    const name = request.op === 'store' ? request.mode : request.op
    for (const [status, result] of Object.entries(results)) {
      const bytes = reply(opcodeOf(request), { status: Number(status), value: 'words' })
      t.equal(decode(request, bytes), result, `${name}: status ${status}`)
    }
    for (const [status, value, line, ErrorClass] of REFUSALS) {
      if (status in results) continue
      const error = caughtOf(() => decode(request, reply(opcodeOf(request), { status, value })))
      const expected = request.op === 'flush' && status === 0x20 ? MemcacheClientError : ErrorClass
      t.ok(error instanceof expected && error.constructor === expected, `${name}: status ${status.toString(16)}`, { error })
      const { message, sent } = error as MemcacheDriverError
      t.match(message, `status 0x${status.toString(16).padStart(2, '0')}`)
      t.ok(message.includes(value), 'the words of the server')
      t.equal(sent, true)
      if (expected !== ErrorClass) continue
      const said = caughtOf(() => decoded(textProtocol, request, `${line}\r\n`))
      t.equal((said as Error).constructor, ErrorClass, `the same as "${line}" on text`)
    }
  }
  t.throws(() => decode(flush, reply(OPCODES.flush, { status: 0x20, value: 'Auth failure.' })), { message: 'status 0x20: Auth failure. (flush_all is not allowed)' })
})

t.test('a cas that the server cannot check', async (t) => {
  const nothing = store('cas', 'v', { cas: 0n })
  t.equal(decode(nothing, reply(OPCODES.get, { extras: uint32(0), value: 'other' })), 'exists', 'no item has the id 0')
  t.equal(decode(nothing, reply(OPCODES.get, { status: 0x01 })), 'not-found')
  const something = store('cas', 'v', { cas: 7n })
  t.throws(() => decode(something, reply(OPCODES.set, { cas: 0n })), { name: 'MemcacheServerError', sent: true }, 'a server without ids has stored it all the same')
  t.equal(decode(something, reply(OPCODES.set, { cas: 8n })), 'stored')
})

t.test('the words of a refusal', async (t) => {
  const message = (value: string): string => (caughtOf(() => decode(get, reply(OPCODES.get, { status: 0x84, value }))) as Error).message
  t.equal(message('\u001b[2J\x85\x07 out'), 'status 0x84: \\u001b[2J?\\u0007 out', 'say nothing to a terminal')
  t.equal(message('x'.repeat(100_000)), `status 0x84: ${'x'.repeat(200)}`, 'are cut')
  t.equal(message(''), 'status 0x84', 'need not be there')
})

t.test('whether a connection goes on after a refusal', async (t) => {
  const usable = (request: Request, status: number): boolean => {
    const error = caughtOf(() => decode(request, reply(opcodeOf(request), { status, value: 'words' })))
    if (!(error instanceof MemcacheDriverError)) throw new Error(`status ${status} of ${request.op} is no refusal`)
    return binaryProtocol.usableAfter(error, request)
  }
  for (const request of EVERY) {
    const results = resultsOf(request)
    for (const [status] of REFUSALS) {
      if (status in results) continue
      const fatal = [0x04, 0x20, 0x21, 0x81].includes(status)
      if (request.op === 'flush' && status === 0x20) t.ok(usable(request, status), 'the packets behind a flush that is not allowed are answered')
      else if (request.op !== 'flush') t.equal(usable(request, status), !fatal, `${request.op}: status ${status.toString(16)}`)
    }
    for (const line of ['ERROR', 'ERROR Too many open connections', 'ERROR: what']) {
      const refusal = caughtOf(() => decode(request, `${line}\r\n`))
      t.notOk(binaryProtocol.usableAfter(refusal as MemcacheDriverError, request), `${request.op}: who says "${line}" speaks no binary`)
    }
  }
})

t.test('one failure among many keys', async (t) => {
  const request = multi('a', 'b', 'c', 'd')
  const failed = reply(OPCODES.getkq, { status: 0x82, value: 'Out of memory' })
  const outOfMemory = { name: 'MemcacheServerError', message: 'status 0x82: Out of memory' }
  for (const before of ['', kq('a', '1')]) {
    for (const behind of ['', kq('c', '3'), kq('c', '3') + kq('d', '4'), failed, reply(OPCODES.getkq, { status: 0x85, value: 'a later one' })]) {
      const bytes = before + failed + behind
      t.equal(replyIn(binaryProtocol, request, [Buffer.from(bytes, 'latin1')], OPAQUE), waiting, 'the replies for the other keys are read, too')
      const error = caughtOf(() => decode(request, bytes + noop))
      t.match(error, outOfMemory, 'the first one is told')
      t.ok(binaryProtocol.usableAfter(error as MemcacheDriverError, request), 'and the connection goes on')
    }
  }
  for (const status of [0x04, 0x20, 0x21, 0x81]) {
    const error = caughtOf(() => decode(request, kq('a', '1') + reply(OPCODES.getkq, { status, value: 'words' })))
    t.type(error, MemcacheDriverError, `status ${status.toString(16)}: nothing comes behind it, or nothing that fits`)
    t.notOk(binaryProtocol.usableAfter(error as MemcacheDriverError, request))
    const late = caughtOf(() => decode(request, failed + reply(OPCODES.getkq, { status, value: 'words' })))
    t.notOk(binaryProtocol.usableAfter(late as MemcacheDriverError, request), 'nor behind one that is not as bad')
  }
  t.throws(() => decode(request, kq('a', '1') + reply(OPCODES.noop, { status: 0x84 })), MemcacheServerError, 'the last packet itself')
  t.throws(() => decode(request, failed + reply(OPCODES.noop, { status: 0x84 })), outOfMemory)
})

t.test('a reply to many keys that is out of order', async (t) => {
  const request = multi('a', 'b', 'c')
  const wrong: readonly (readonly [bytes: string, why: string])[] = [
    [kq('d', '1'), 'a key that was not asked for'],
    [kq('', '1'), 'no key'],
    [kq('A', '1'), 'keys are not compared loosely'],
    [kq('b', '1') + kq('a', '1'), 'an earlier one'],
    [kq('c', '1') + kq('b', '1'), 'an earlier one, behind the last'],
    [kq('a', '1') + kq('a', '1'), 'the same one again'],
    [kq('a', '1') + kq('b', '1') + kq('a', '1'), 'an earlier one again'],
    [kq('a', '1') + kq('b', '2') + kq('c', '3') + kq('d', '4'), 'one too many'],
    [kq('constructor', '1'), 'a name that objects have'],
    [hit(OPCODES.getq, '1'), 'without its key'],
    [hit(OPCODES.getk, '1', { key: 'a' }), 'of another command'],
    [hit(OPCODES.get, '1'), 'of another command, without its key'],
    [reply(OPCODES.version, { value: '1' }), 'a version'],
    [packet({ opcode: OPCODES.getkq, opaque: OPAQUE + 1, extras: uint32(0), key: 'a', value: '1' }), "the next request's"],
    [packet({ opcode: OPCODES.noop, opaque: OPAQUE + 1 }), "the next request's end"],
    [packet({ opcode: OPCODES.noop, opaque: OPAQUE - 1 }), "the last request's end"],
    [packet({ opcode: OPCODES.noop, opaque: 0 }), 'the end of none'],
    [kq('a', '1') + packet({ opcode: OPCODES.noop, opaque: 0 }), 'the end of none, behind a value'],
  ]
  for (const [bytes, why] of wrong) t.throws(() => decode(request, bytes + noop), MemcacheProtocolError, why)
  t.throws(() => decode(multi('a', '__proto__'), kq('constructor', '1') + noop), MemcacheProtocolError)
  t.same(plain(decode(multi('a', '__proto__', 'constructor'), kq('__proto__', '1') + noop)), [undefined, item('1'), undefined])
})

t.test('a reply to another request', async (t) => {
  for (const request of EVERY) {
    const opcode = opcodeOf(request)
    const parts = { extras: request.op === 'get' ? uint32(0) : '', value: request.op === 'count' ? uint64(1n) : '' }
    t.doesNotThrow(() => decode(request, reply(opcode, parts)), request.op)
    for (const opaque of [0, 1, OPAQUE - 1, OPAQUE + 1, 0x04030201, 0xffff_ffff]) {
      for (const status of [0, 1, 2, 5, 0x84]) {
        t.throws(() => decode(request, reply(opcode, { ...parts, opaque, status })), MemcacheProtocolError, `${request.op}: opaque ${opaque}, status ${status}`)
      }
    }
    const others = Array.from({ length: 256 }, (_, each) => each).filter((each) => each !== opcode && !(request.op === 'getMulti' && each === OPCODES.getkq))
    const taken = others.filter((each) => !(caughtOf(() => decode(request, reply(each, parts))) instanceof MemcacheProtocolError))
    t.same(taken, [], `${request.op}: no other opcode is taken for its own`)
    const error = caughtOf(() => decode(request, reply(opcode, { opaque: 7 })))
    t.equal((error as MemcacheProtocolError).sent, true)
  }
})

t.test('a packet that contradicts itself', async (t) => {
  for (const request of EVERY) {
    const opcode = opcodeOf(request)
    const wrong: readonly (readonly [parts: Omit<PacketParts, 'opcode'>, why: string])[] = [
      [{ key: 'k', bodyLength: 0 }, 'a key longer than the body'],
      [{ extras: uint32(0), bodyLength: 3 }, 'extras longer than the body'],
      [{ extras: uint32(0), key: 'k', bodyLength: 4 }, 'extras and key longer than the body'],
      [{ keyLength: 0xffff, bodyLength: 0xfffe }, 'a key of 65,535 bytes in less'],
      [{ extrasLength: 0xff, bodyLength: 0xfe }, 'extras of 255 bytes in less'],
      [{ bodyLength: 0xffff_ffff }, 'a body of 2^32-1 bytes'],
      [{ bodyLength: 0x8000_0000 }, 'a body of 2^31 bytes, which is not negative'],
      [{ keyLength: 0xffff, extrasLength: 0xff, bodyLength: 0xffff_ffff }, 'all lengths as long as they can be'],
      [{ bodyLength: LONGEST_VALUE + 1 }, 'a value one byte too long'],
      [{ extras: uint32(0), bodyLength: LONGEST_VALUE + 5 }, 'a value one byte too long behind extras'],
    ]
    for (const [parts, why] of wrong) {
      const header = Buffer.from(reply(opcode, parts).slice(0, 24), 'latin1')
      t.throws(() => replyIn(binaryProtocol, request, [header], OPAQUE), MemcacheProtocolError, `${request.op}: ${why}`)
      t.equal(replyIn(binaryProtocol, request, [header.subarray(0, 23)], OPAQUE), waiting, 'a length is not believed before the header is whole')
    }
    const longest = Buffer.from(reply(opcode, { bodyLength: LONGEST_VALUE }).slice(0, 24), 'latin1')
    t.equal(replyIn(binaryProtocol, request, [longest], OPAQUE), waiting, 'the longest value is waited for')
  }
  for (const length of [0, 1, 3, 5, 8, 255]) {
    const extras = '\0'.repeat(length)
    for (const request of [get, gets, gat]) {
      t.throws(() => decode(request, reply(opcodeOf(request), { extras, value: 'value' })), MemcacheProtocolError, `a value with extras of ${length} bytes`)
    }
    t.throws(() => decode(multi('k'), reply(OPCODES.getkq, { extras, key: 'k', value: 'value' }) + noop), MemcacheProtocolError, `one of many with extras of ${length} bytes`)
  }
  for (const value of ['', '\0', '\0'.repeat(4), '\0'.repeat(7), '\0'.repeat(9), '12345678901234567890']) {
    t.throws(() => decode(incr, reply(OPCODES.incr, { value })), MemcacheProtocolError, `a count of ${value.length} bytes`)
  }
  t.throws(() => decode(incr, reply(OPCODES.incr, { extras: uint64(1n) })), MemcacheProtocolError, 'a count in the place of the extras')
})

t.test('what is no packet', async (t) => {
  const first = (byte: number, request: Request): unknown => caughtOf(() => replyIn(binaryProtocol, request, [Buffer.of(byte)], OPAQUE))
  for (const request of [get, multi('a', 'b'), stats]) {
    for (let byte = 0; byte < 256; byte += 1) {
      const begins = byte === 0x81 || 'CES'.includes(String.fromCharCode(byte)) // CLIENT_ERROR, ERROR, SERVER_ERROR
      const error = first(byte, request)
      if (begins ? error !== undefined : !(error instanceof MemcacheProtocolError)) t.fail(`${request.op}: a reply that begins with byte ${byte}`, { error })
    }
  }
  const lines = [
    'END\r\n', 'EN\r\n', 'EXISTS\r\n', 'ER\r\n', 'ERR\r\n', 'ERROS\r\n', 'error\r\n', 'SERVER_ERRORS x\r\n', 'CLIENT_ERRO x\r\n', 'STORED\r\n', 'HD\r\n', '\r\n', '\n',
    'HTTP/1.1 400 Bad Request\r\n', 'ERRORS\r\n', 'ERROR_\r\n', 'ERROR\n', 'ERROR x\n', 'ERROR' + 'x'.repeat(70_000), reply(OPCODES.get, { magic: REQUEST }),
  ]
  for (const request of EVERY) {
    for (const line of lines) t.throws(() => decode(request, line), MemcacheProtocolError, `${request.op}: ${JSON.stringify(line.slice(0, 40))}`)
    if (request.op === 'getMulti') t.throws(() => decode(request, `${kq('a', '1')}x`), MemcacheProtocolError, 'behind a value')
  }
})

t.test('a server that has enough connections says so in text', async (t) => {
  for (const request of EVERY) {
    const error = caughtOf(() => decode(request, 'ERROR Too many open connections\r\n'))
    t.match(error, { name: 'MemcacheServerError', message: 'ERROR Too many open connections', sent: true }, request.op)
    t.same(misreadCuts(binaryProtocol, request, 'ERROR Too many open connections\r\n', OPAQUE), [])
    t.match(caughtOf(() => decode(request, 'ERROR\r\n')), { name: 'MemcacheClientError' }, `${request.op}: one that speaks no binary`)
  }
})

t.test('what comes unasked', async (t) => {
  const unasked = (bytes: string): unknown => unaskedIn(binaryProtocol, bytes)
  t.type(unasked(noop), MemcacheProtocolError)
  t.type(unasked(hit(OPCODES.get, 'v')), MemcacheProtocolError)
  t.type(unasked(reply(OPCODES.get, { status: 0x84 })), MemcacheProtocolError)
  t.type(unasked('ERROR\r\n'), MemcacheProtocolError)
  t.match(unasked('ERROR Too many open connections\r\n'), { name: 'MemcacheServerError' })
})

t.test('replies that are cut: every beginning is waited with, every rest completes it', async (t) => {
  for (const [request, bytes] of replies) t.same(misreadCuts(binaryProtocol, request, bytes, OPAQUE), [], `${request.op}: ${bytes.length} bytes`)
  for (const request of EVERY) {
    t.same(misreadCuts(binaryProtocol, request, reply(opcodeOf(request), { status: 0x84, value: 'words' }), OPAQUE), [], `${request.op}: a refusal`)
  }
  const failing = kq('a', '1') + reply(OPCODES.getkq, { status: 0x82, value: 'Out of memory' }) + kq('b', '2') + noop
  t.same(misreadCuts(binaryProtocol, multi('a', 'b'), failing, OPAQUE), [], 'a failure among many keys')
})

t.test('statistics without end', async (t) => {
  const packets = Array.from({ length: 100_001 }, (_, index) => reply(OPCODES.stat, { key: `s${index}`, value: '1' })).join('')
  t.throws(() => decode(stats, packets + reply(OPCODES.stat)), MemcacheProtocolError)
})

t.test('the time is linear in the length of a reply', async (t) => {
  readsInLinearTime(t, binaryProtocol, { opaque: OPAQUE, hit: (key, _, value) => kq(key, value), end: noop, only: (value) => hit(OPCODES.get, value) })
})

t.test('values are not the memory that they came in', async (t) => {
  const found = replyIn(binaryProtocol, multi('a', 'b'), [Buffer.from(kq('a', 'first') + kq('b', 'second') + noop, 'latin1')], OPAQUE)
  t.strictSame(plain(found), [item('first'), item('second')], 'which is overwritten by then')
})

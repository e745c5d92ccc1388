import { Buffer } from 'node:buffer'
import t from 'tap'
import { meta, metaProtocol } from '../drivers/meta.ts'
import { textProtocol } from '../drivers/text.ts'
import type { Op, Reply, Request } from '../lib/commands.ts'
import { MemcacheAuthError, MemcacheClientError, MemcacheDriverError, MemcacheProtocolError, MemcacheServerError, MemcacheUnsupportedError } from '../lib/errors.ts'
import { decoded, encoded, EVERY as COMMON, exchangeOf, item, misreadCuts, multi, plain, replyIn, requests, store, unaskedIn, waiting } from './support/exchanges.ts'
import { readsInLinearTime } from './support/long-replies.ts'

/** The meta protocol as what it is: functions from requests to bytes, and from bytes to replies. */

const { get, gets, gat, gats, incr, decr, touch, flush, stats, version } = requests
const del = requests.delete
const metaGet: Request<'metaGet'> = { op: 'metaGet', key: 'k' }
const verbosity: Request<'verbosity'> = { op: 'verbosity', level: 1 }
const EVERY: readonly Request[] = [...COMMON, metaGet, verbosity]
/** Those whose replies carry the opaque; the others are those of the text protocol. */
const META = EVERY.filter(({ op }) => !['flush', 'stats', 'version', 'verbosity'].includes(op))
/** The number that the requests of these tests have. */
const OPAQUE = 42

function encode<O extends Op>(request: Request<O>, opaque = OPAQUE): string {
  return encoded(metaProtocol, request, opaque)
}

function decode<O extends Op>(request: Request<O>, bytes: string): Reply<O> {
  return decoded(metaProtocol, request, bytes, OPAQUE)
}

/** What `metaGet` tells beside the item. */
function described(value: string, flags: number, cas: bigint, rest: { ttl: number | undefined; lastAccess: number; hitBefore: boolean; size: number }): unknown {
  return { ...item(value, flags, cas), ...rest }
}

t.test('requests, byte for byte', async (t) => {
  const any = ' \r\n\x00\xff'
  const asked: readonly (readonly [Request, string])[] = [
    [get, 'mg k O42 v f\r\n'],
    [gets, 'mg k O42 v f c\r\n'],
    [gat, 'mg k O42 v f T3\r\n'],
    [gats, 'mg k O42 v f c T3\r\n'],
    [{ ...get, touch: 0 }, 'mg k O42 v f T0\r\n'],
    [{ ...get, touch: -1 }, 'mg k O42 v f T-1\r\n'],
    [{ ...get, key: any }, 'mg IA0KAP8= b O42 v f\r\n'],
    [{ ...get, key: 'two words' }, 'mg dHdvIHdvcmRz b O42 v f\r\n'],
    [{ ...get, key: '\x7f' }, 'mg fw== b O42 v f\r\n'],
    [{ ...get, key: '\xff\xfe\t' }, 'mg //4J b O42 v f\r\n'],
    [{ ...get, key: '\xff\xfe' }, 'mg \xff\xfe O42 v f\r\n'],
    [multi('a'), 'mg a O42.0 v f q\r\nmn\r\n'],
    [multi('a', 'b', ' '), 'mg a O42.0 v f q\r\nmg b O42.1 v f q\r\nmg IA== b O42.2 v f q\r\nmn\r\n'],
    [{ ...multi('a', 'b'), cas: true }, 'mg a O42.0 v f c q\r\nmg b O42.1 v f c q\r\nmn\r\n'],
    [metaGet, 'mg k O42 v f c t l h s\r\n'],
    [{ ...metaGet, key: any }, 'mg IA0KAP8= b O42 v f c t l h s\r\n'],
    [store('set', 'value', { flags: 16, expires: 60 }), 'ms k 5 O42 F16 T60\r\nvalue\r\n'],
    [store('set', ''), 'ms k 0 O42\r\n\r\n'],
    [store('set', 'v', { cas: 7n }), 'ms k 1 O42\r\nv\r\n'],
    [store('set', 'v', { key: any }), 'ms IA0KAP8= 1 b O42\r\nv\r\n'],
    [store('set', 'v', { key: '\xc3\xa9' }), 'ms \xc3\xa9 1 O42\r\nv\r\n'],
    [store('add', 'v', { expires: -1 }), 'ms k 1 O42 T-1 ME\r\nv\r\n'],
    [store('replace', 'v', { flags: 0xffff_ffff }), 'ms k 1 O42 F4294967295 MR\r\nv\r\n'],
    [store('append', '\r\n', { flags: 1, expires: 9 }), 'ms k 2 O42 MA\r\n\r\n\r\n'],
    [store('prepend', '\xe9', { cas: 7n }), 'ms k 1 O42 MP\r\n\xe9\r\n'],
    [store('cas', 'v', { cas: 18446744073709551615n }), 'ms k 1 O42 C18446744073709551615\r\nv\r\n'],
    [store('cas', 'v', { cas: 0n, flags: 2, expires: 5 }), 'ms k 1 O42 F2 T5 C0\r\nv\r\n'],
    [del, 'md k O42\r\n'],
    [{ ...del, key: any }, 'md IA0KAP8= b O42\r\n'],
    [touch, 'mg k O42 T5\r\n'],
    [{ ...touch, expires: 0 }, 'mg k O42 T0\r\n'],
    [{ ...touch, expires: -1, key: any }, 'mg IA0KAP8= b O42 T-1\r\n'],
    [incr, 'ma k O42 v D1\r\n'],
    [{ ...incr, delta: 0n }, 'ma k O42 v D0\r\n'],
    [{ ...decr, delta: 18446744073709551615n }, 'ma k O42 v D18446744073709551615 MD\r\n'],
    [{ ...incr, key: any }, 'ma IA0KAP8= b O42 v D1\r\n'],
    [flush, 'flush_all\r\n'],
    [{ op: 'flush', delay: 10 }, 'flush_all 10\r\n'],
    [stats, 'stats\r\n'],
    [{ op: 'stats', section: 'cachedump 1 10' }, 'stats cachedump 1 10\r\n'],
    [version, 'version\r\n'],
    [verbosity, 'verbosity 1\r\n'],
  ]
  for (const [request, bytes] of asked) t.equal(encode(request), bytes, JSON.stringify(bytes))
  for (const length of [0, 1, 2047, 2048, 2049, 70_000]) {
    t.equal(encode(store('set', 'x'.repeat(length))), `ms k ${length} O42\r\n${'x'.repeat(length)}\r\n`, `a value of ${length} bytes`)
  }
  const long = Buffer.alloc(100_000, 1)
  const request = store('set', long)
  const bytes = exchangeOf(metaProtocol, request).encode(request, OPAQUE)
  t.ok(Array.isArray(bytes) && bytes.some((part) => part === long), 'a long value is not copied into text')
  for (const section of ['sizes_enable', 'sizes_disable']) t.throws(() => encode({ op: 'stats', section }), MemcacheUnsupportedError, `stats ${section} has no end`)
  t.type(meta, 'function')
})

t.test('what memcached refuses is not sent', async (t) => {
  const longest = ' '.repeat(metaProtocol.longestBinaryKey ?? 0)
  t.ok((encode({ ...get, key: longest }).split(' ')[1] ?? '').length <= 250, 'the longest key of any bytes has room in base64')
  t.ok((encode({ ...get, key: `${longest} ` }).split(' ')[1] ?? '').length > 250, 'one byte more has not')
  const opaque = 0xffff_ffff
  const keys = Array.from({ length: 10_001 }, (_, index) => 'k'.repeat(240) + index)
  const lines = encoded(metaProtocol, multi(...keys), opaque).split('\r\n')
  t.equal(lines.length, 10_001 + 2)
  t.ok(lines.every((line) => line.length <= 2046), 'no line is longer than what it reads in any case')
  t.ok(lines.every((line) => (/ O(\S*)/.exec(line)?.[1] ?? '').length <= 31), 'no opaque is longer than 31 characters')
  for (const request of EVERY) {
    const flags = encode(request, opaque).split('\r\n')[0]?.split(' ').slice(2) ?? []
    t.ok(!flags.some((flag) => /^[kNRIE]/.test(flag)), `${request.op}: no k, which breaks lines, nothing that other versions do not know`)
    t.equal(new Set(flags.map((flag) => flag[0])).size, flags.length, `${request.op}: no flag twice`)
  }
})

const replies: readonly (readonly [request: Request, bytes: string, reply: unknown, why?: string])[] = [
  [get, 'EN O42\r\n', undefined],
  [get, 'EN\r\n', undefined, 'memcached before 1.6.18 has no opaque in a miss'],
  [get, 'VA 5 O42 f0\r\nhello\r\n', item('hello')],
  [get, 'VA 0 O42 f4294967295\r\n\r\n', item('', 4294967295)],
  [get, 'VA 2 O42 f0\r\n\r\n\r\n', item('\r\n')],
  [get, 'VA 18 O42 f0\r\nVA 1 O42 f0\r\n1\r\nMN\r\n', item('VA 1 O42 f0\r\n1\r\nMN'), 'a value that looks like a reply'],
  [get, 'VA 1 f7 O42\r\n1\r\n', item('1', 7), 'flags in another order'],
  [get, 'VA 1 O42 f7 s1 kk b t-1 h1 l9 c3\r\n1\r\n', item('1', 7, 3n), 'flags that were not asked for'],
  [get, 'VA 1 O42 f7 ! y Q9 123 {}\r\n1\r\n', item('1', 7), 'flags that nobody knows'],
  [get, 'VA 00000001 O0042 f007\r\n1\r\n', item('1', 7), 'leading zeros'],
  [get, 'VA 1 O42 f0 X W\r\n1\r\n', item('1'), 'stale, to be made anew by whoever reads it first: a value all the same'],
  [get, 'VA 1 O42 f0 Z X\r\n1\r\n', item('1'), 'stale, and somebody else makes it anew'],
  [get, 'VA 1 O42 f0 W\r\n1\r\n', item('1'), 'soon to expire'],
  [get, 'VA 1 O42 f0 Z\r\n1\r\n', item('1'), 'soon to expire, and somebody else makes it anew'],
  [get, 'VA 0 O42 f0 W\r\n\r\n', undefined, 'no value yet: another client has promised it'],
  [get, 'VA 0 O42 f0 Z\r\n\r\n', undefined, 'no value yet, and somebody else makes it'],
  [get, 'VA 0 O42 f0\r\n\r\n', item(''), 'an empty value'],
  [get, 'VA 0 O42 f0 X\r\n\r\n', item(''), 'an empty value that is stale'],
  [gets, 'VA 1 O42 f3 c18446744073709551615\r\n1\r\n', item('1', 3, 18446744073709551615n)],
  [gets, 'VA 1 O42 f3 c0\r\n1\r\n', item('1', 3, 0n), 'a server without cas ids'],
  [gats, 'VA 1 O42 f3 c5\r\n1\r\n', item('1', 3, 5n)],
  [gat, 'EN O42\r\n', undefined],
  [multi('a', 'b', 'c'), 'MN\r\n', [undefined, undefined, undefined]],
  [multi('a', 'b', 'c'), 'VA 1 O42.0 f0\r\n1\r\nVA 2 O42.2 f1\r\n33\r\nMN\r\n', [item('1'), undefined, item('33', 1)]],
  [multi('a', 'b', 'c'), 'VA 1 O42.1 f0\r\n2\r\nMN\r\n', [undefined, item('2'), undefined]],
  [multi('a', 'b'), 'VA 1 O42.0 f0\r\n1\r\nVA 4 O42.1 f0\r\nMN\r\n\r\nMN\r\n', [item('1'), item('MN\r\n')]],
  [multi('a', 'b'), 'VA 0 O42.0 f0 W\r\n\r\nVA 1 O42.1 f0 X W\r\n1\r\nMN\r\n', [undefined, item('1')], 'another client has promised one of them'],
  [multi('a', 'b'), 'EN O42.0\r\nVA 1 O42.1 f0\r\n1\r\nMN\r\n', [undefined, item('1')], 'a proxy that answers what is quiet'],
  [{ ...multi('a', 'b'), cas: true }, 'VA 1 O42.0 f0 c5\r\n1\r\nVA 1 O42.1 f0 c6\r\n2\r\nMN\r\n', [item('1', 0, 5n), item('2', 0, 6n)]],
  [metaGet, 'EN O42\r\n', undefined],
  [metaGet, 'VA 5 O42 f2 c7 t100 l9 h0 s5\r\nhello\r\n', described('hello', 2, 7n, { ttl: 100, lastAccess: 9, hitBefore: false, size: 5 })],
  [metaGet, 'VA 5 O42 f2 c7 t-1 l0 h1 s5\r\nhello\r\n', described('hello', 2, 7n, { ttl: undefined, lastAccess: 0, hitBefore: true, size: 5 })],
  [metaGet, 'VA 5 O42 f2 c7 t0 l0 h1 s5 Z X\r\nhello\r\n', described('hello', 2, 7n, { ttl: 0, lastAccess: 0, hitBefore: true, size: 5 })],
  [metaGet, 'VA 0 O42 f0 c7 t30 l0 h0 s0 W\r\n\r\n', undefined, 'no value yet'],
  ...(['set', 'add', 'replace', 'append', 'prepend', 'cas'] as const).flatMap((mode): [Request, string, unknown][] => [
    [store(mode, 'v', { cas: 1n }), 'HD O42\r\n', 'stored'],
    [store(mode, 'v', { cas: 1n }), 'NS O42\r\n', 'not-stored'],
  ]),
  [store('cas', 'v', { cas: 1n }), 'EX O42\r\n', 'exists'],
  [store('cas', 'v', { cas: 1n }), 'NF O42\r\n', 'not-found'],
  [store('set', 'v'), 'HD b O42 c9\r\n', 'stored'],
  [del, 'HD O42\r\n', true],
  [del, 'NF O42\r\n', false],
  [touch, 'HD O42\r\n', true],
  [touch, 'EN O42\r\n', false],
  [touch, 'EN\r\n', false],
  [touch, 'HD O42 Z\r\n', true],
  [incr, 'VA 1 O42\r\n0\r\n', 0n],
  [incr, 'VA 20 O42\r\n18446744073709551615\r\n', 18446744073709551615n],
  [decr, 'VA 1 O42\r\n9\r\n', 9n],
  [incr, 'NF O42\r\n', undefined],
  [flush, 'OK\r\n', true],
  [verbosity, 'OK\r\n', true],
  [version, 'VERSION 1.6.18\r\n', '1.6.18'],
  [version, 'VERSION VA 1 f0\r\n', 'VA 1 f0'],
  [stats, 'END\r\n', new Map()],
  [stats, 'STAT a 1\r\nSTAT blank \r\nSTAT bare\r\nSTAT words two of them\r\nEND\r\n', new Map([['a', '1'], ['blank', ''], ['bare', ''], ['words', 'two of them']])],
  [{ op: 'stats', section: 'reset' }, 'RESET\r\n', new Map()],
  [{ op: 'stats', section: 'detail on' }, 'OK\r\n', new Map()],
]

t.test('replies', async (t) => {
  for (const [request, bytes, expected, why] of replies) {
    t.strictSame(plain(decode(request, bytes)), plain(expected), why ?? `${request.op}: ${JSON.stringify(bytes).slice(0, 70)}`)
  }
  const large = 'v'.repeat(300_000)
  t.equal(decode(get, `VA 300000 O42 f0\r\n${large}\r\n`)?.value.toString('latin1'), large)
})

function caughtOf(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}

t.test('refusals are those of the text protocol', async (t) => {
  const refusals: readonly (readonly [string, typeof MemcacheDriverError])[] = [
    ['ERROR', MemcacheClientError],
    ['ERROR ', MemcacheClientError],
    ['ERROR: not enabled', MemcacheClientError],
    ['CLIENT_ERROR bad command line format', MemcacheClientError],
    ['CLIENT_ERROR invalid flag', MemcacheClientError],
    ['CLIENT_ERROR cannot increment or decrement non-numeric value', MemcacheClientError],
    ['CLIENT_ERROR unauthenticated', MemcacheAuthError],
    ['CLIENT_ERROR authentication failure', MemcacheAuthError],
    ['ERROR Too many open connections', MemcacheServerError],
  ]
  const serverErrors: readonly (readonly [string, typeof MemcacheDriverError])[] = [
    ['SERVER_ERROR', MemcacheServerError],
    ['SERVER_ERROR out of memory storing object', MemcacheServerError],
    ['SERVER_ERROR object too large for cache', MemcacheServerError],
  ]
  for (const request of EVERY) {
    for (const [line, ErrorClass] of request.op === 'getMulti' ? refusals : [...refusals, ...serverErrors]) {
      const error = caughtOf(() => decode(request, `${line}\r\n`))
      t.ok(error instanceof ErrorClass && error.constructor === ErrorClass, `${request.op}: ${line}`, { error })
      t.equal((error as MemcacheDriverError).sent, true)
      if (request.op === 'metaGet') continue
      const said = caughtOf(() => decoded(textProtocol, request, `${line}\r\n`))
      t.match(error, { name: (said as Error).name, message: (said as Error).message }, 'the same as on text')
    }
    for (const line of ['ERRORS', 'CLIENT_ERRORS x', 'SERVER_ERROR_X', ' ERROR', 'error', 'BUSY currently processing crawler request', 'STORED', 'NOT_FOUND', 'VALUE k 0 1', 'DELETED']) {
      t.throws(() => decode(request, `${line}\r\n`), MemcacheProtocolError, `${request.op}: "${line}" is no refusal`)
    }
  }
  t.throws(() => decode(get, 'SERVER_ERROR \u001b[2J\u0085\u0007 out\r\n'), { message: 'SERVER_ERROR \\u001b[2J?\\u0007 out' }, 'it says nothing to a terminal')
})

t.test('one failure among many keys', async (t) => {
  const request = multi('a', 'b', 'c')
  for (const before of ['', 'VA 1 O42.0 f0\r\n1\r\n']) {
    for (const behind of ['', 'VA 1 O42.2 f0\r\n3\r\n', 'SERVER_ERROR a later one\r\n']) {
      const bytes = `${before}SERVER_ERROR out of memory\r\n${behind}`
      t.equal(replyIn(metaProtocol, request, [Buffer.from(bytes, 'latin1')], OPAQUE), waiting, 'the replies for the other keys are read, too')
      t.match(caughtOf(() => decode(request, `${bytes}MN\r\n`)), { name: 'MemcacheServerError', message: 'SERVER_ERROR out of memory' }, 'the first one is told')
      t.ok(metaProtocol.usableAfter(new MemcacheServerError('SERVER_ERROR out of memory'), request), 'and the connection goes on')
    }
  }
  for (const line of ['STORED', 'VERSION 1', 'garbage', 'END']) {
    t.throws(() => decode(request, `SERVER_ERROR oh\r\n${line}\r\nMN\r\n`), MemcacheProtocolError, `"${line}" is nothing that can stand behind it`)
  }
  for (const line of ['ERROR', 'CLIENT_ERROR invalid flag', 'CLIENT_ERROR unauthenticated', 'ERROR Too many open connections']) {
    const error = caughtOf(() => decode(request, `VA 1 O42.0 f0\r\n1\r\n${line}\r\n`))
    t.type(error, MemcacheDriverError, `${line}: an MN may follow or not`)
    t.notOk(metaProtocol.usableAfter(error as MemcacheDriverError, request))
  }
  t.match(caughtOf(() => decode(request, 'ERROR\r\n')), { name: 'MemcacheClientError' }, 'a server that does not know mg is not waited for')
})

t.test('whether a connection goes on after a refusal', async (t) => {
  const client = new MemcacheClientError('CLIENT_ERROR bad data chunk')
  const server = new MemcacheServerError('SERVER_ERROR out of memory storing object')
  t.notOk(metaProtocol.usableAfter(client, store('set', 'v')), 'its data may have run as commands')
  t.notOk(metaProtocol.usableAfter(new MemcacheClientError('ERROR'), store('cas', 'v', { cas: 1n })))
  t.notOk(metaProtocol.usableAfter(new MemcacheAuthError('CLIENT_ERROR unauthenticated'), store('set', 'v')))
  t.ok(metaProtocol.usableAfter(server, store('set', 'v')))
  for (const request of EVERY.filter(({ op }) => op !== 'store' && op !== 'getMulti')) {
    t.ok(metaProtocol.usableAfter(new MemcacheClientError('ERROR'), request), request.op)
    t.ok(metaProtocol.usableAfter(server, request), request.op)
    t.notOk(metaProtocol.usableAfter(new MemcacheServerError('ERROR Too many open connections'), request), request.op)
  }
})

t.test('what comes unasked', async (t) => {
  const unasked = (bytes: string): unknown => unaskedIn(metaProtocol, bytes)
  for (const bytes of ['MN\r\n', 'HD O1\r\n', 'VA 1 O42 f0\r\n1\r\n', 'ERROR\r\n', 'END\r\n']) t.type(unasked(bytes), MemcacheProtocolError, bytes)
  t.match(unasked('ERROR Too many open connections\r\n'), { name: 'MemcacheServerError' })
  t.match(unasked('SERVER_ERROR backend failure\r\n'), { name: 'MemcacheServerError' })
})

t.test('a reply to another request', async (t) => {
  const statuses = ['HD', 'EN', 'NF', 'NS', 'EX', 'VA 1']
  for (const request of META) {
    for (const status of statuses) {
      for (const opaque of ['O41', 'O43', 'O4', 'O421', 'O0', 'O-42', 'O4294967338', 'O42x', 'Ox', 'O', 'O 42', 'o42', '']) {
        if (status === 'EN' && !opaque.startsWith('O')) continue // the miss of an old server
        const data = status === 'VA 1' ? '1\r\n' : ''
        t.throws(() => decode(request, `${status} ${opaque} f0 c1 t1 l1 h1 s1\r\n${data}`.replace('  ', ' ')), MemcacheProtocolError, `${request.op}: ${status} ${opaque}`)
      }
    }
    t.equal((caughtOf(() => decode(request, 'EN O41\r\n')) as MemcacheProtocolError).sent, true)
  }
  for (const request of META.filter(({ op }) => op === 'store' || op === 'delete' || op === 'count')) {
    for (const status of ['HD', 'EN', 'NF', 'NS', 'EX', 'VA 1\r\n1']) t.throws(() => decode(request, `${status}\r\n`), MemcacheProtocolError, `${request.op}: a bare ${status}`)
  }
})

t.test('every status fits its own commands alone', async (t) => {
  const fits: readonly (readonly [string, (request: Request) => boolean])[] = [
    ['EN O42', ({ op }) => ['get', 'metaGet', 'touch'].includes(op)],
    ['HD O42', ({ op }) => ['store', 'delete', 'touch'].includes(op)],
    ['NF O42', (request) => (request.op === 'store' ? request.mode === 'cas' : ['delete', 'count'].includes(request.op))],
    ['NS O42', ({ op }) => op === 'store'],
    ['EX O42', (request) => request.op === 'store' && request.mode === 'cas'],
    ['MN', ({ op }) => op === 'getMulti'],
    ['VA 1 O42 f0 c1 t1 l1 h1 s1\r\n1', ({ op }) => ['get', 'metaGet', 'count'].includes(op)],
    ['OK', ({ op }) => op === 'flush' || op === 'verbosity'],
    ['END', ({ op }) => op === 'stats'],
    ['VERSION 1', ({ op }) => op === 'version'],
    ['constructor', () => false],
    ['__proto__', () => false],
  ]
  for (const request of EVERY) {
    const name = request.op === 'store' ? request.mode : request.op
    for (const [line, own] of fits) {
      if (own(request)) t.doesNotThrow(() => decode(request, `${line}\r\n`), `${line} is a reply to ${name}`)
      else t.throws(() => decode(request, `${line}\r\n`), MemcacheProtocolError, `${line} is no reply to ${name}`)
    }
  }
  t.throws(() => decode(get, 'VA 1 O42\r\n1\r\n'), MemcacheProtocolError, 'a value without its flags')
  t.throws(() => decode(multi('a', 'b'), 'VA 1 O42.0\r\n1\r\nMN\r\n'), MemcacheProtocolError, 'one of many without its flags')
  for (const missing of ['l9', 'h1', 's5', 'f2']) {
    const flags = 'f2 c7 t100 l9 h1 s5'.replace(missing, '').replace('  ', ' ').trim()
    t.throws(() => decode(metaGet, `VA 5 O42 ${flags}\r\nhello\r\n`), MemcacheProtocolError, `without ${missing}`)
  }
  for (const number of ['-1', '1.5', '0x1', '', ' 1', '1 ', '123456789012345678901', '18446744073709551616', '1 2', '1e3', 'NaN']) {
    t.throws(() => decode(incr, `VA ${number.length} O42\r\n${number}\r\n`), MemcacheProtocolError, `"${number}" is no count`)
  }
})

t.test('a reply to many keys that is out of order', async (t) => {
  const request = multi('a', 'b', 'c')
  const va = (token: string): string => `VA 1 ${token} f0\r\n1\r\n`
  const wrong: readonly (readonly [bytes: string, why: string])[] = [
    [va('O42.3'), 'the key behind the last'],
    [va('O42.4294967296'), 'a place that is no place'],
    [va('O42.99999999999'), 'a place with too many digits'],
    [va('O42'), 'no place'],
    [va('O42.'), 'an empty place'],
    [va('O42.-1'), 'a negative place'],
    [va('O42.x'), 'a word for a place'],
    [va('O42.0.1'), 'two places'],
    [va('O42.1') + va('O42.0'), 'an earlier one'],
    [va('O42.2') + va('O42.1'), 'an earlier one, behind the last'],
    [va('O42.0') + va('O42.0'), 'the same one again'],
    [va('O42.0') + va('O42.1') + va('O42.0'), 'an earlier one again'],
    [va('O41.0'), "the last request's"],
    [va('O43.0'), "the next request's"],
    [va('O0.0'), 'the value of none'],
    [va('O.0'), 'no opaque'],
    [va('f0'), 'neither'],
    ['EN\r\n', 'a miss of an old server'],
    ['HD O42.0\r\n', 'no value'],
    ['NF O42.0\r\n', 'another command'],
    ['VERSION 1\r\n', 'a version'],
    ['END\r\n', "text's end"],
    ['VALUE a 0 1\r\n1\r\nEND\r\n', "text's value"],
  ]
  for (const [bytes, why] of wrong) t.throws(() => decode(request, `${bytes}MN\r\n`), MemcacheProtocolError, why)
})

t.test('what is outside the grammar', async (t) => {
  const lines = [
    'VA', 'VA ', 'VA  ', 'VA f0', 'VA x f0', 'VA -1 f0', 'VA +1 f0', 'VA 1.0 f0', 'VA 1e1 f0', 'VA 1x f0', 'VA 0x1 f0', 'VA 12345678901 f0', 'VA 00000000001 O42 f0', 'VA 1 O00000000042 f0', 'VA 1 O42 f00000000000', 'VA 1000001 O42 f0',
    'VA 2147483648 O42 f0', 'VA 9999999999 O42 f0', 'VA  1 O42 f0', ' VA 1 O42 f0', 'VA\t1 O42 f0', 'VA 1\tO42 f0', 'VA 1 O42\tf0', 'VA 1 O42 f0\t', 'VA 1 O42 f0\x00', 'VA 1 O42 f0\x0b', 'VA 1 O42 f0\n',
    'VA 1 O42 f', 'VA 1 O42 fx', 'VA 1 O42 f-1', 'VA 1 O42 f4294967296', 'VA 1 O42 f99999999999', 'VA 1 O42 f1.5', 'VA 1 O42 f0 c', 'VA 1 O42 f0 cx', 'VA 1 O42 f0 c-1',
    'VA 1 O42 f0 c18446744073709551616', 'VA 1 O42 f0 c123456789012345678901', 'VA 1 O42 f0 s', 'VA 1 O42 f0 sx', 'VA 1 O42 f0 s-1', 'VA 1 O42 f0 t', 'VA 1 O42 f0 tx', 'VA 1 O42 f0 t-2',
    'VA 1 O42 f0 t99999999999', 'VA 1 O42 f0 l', 'VA 1 O42 f0 lx', 'VA 1 O42 f0 l-1', 'VA 1 O42 f0 h', 'VA 1 O42 f0 hx', 'va 1 O42 f0', 'Va 1 O42 f0', 'VAL 1 O42 f0', 'V 1 O42 f0', 'VB 1 O42 f0',
  ]
  for (const line of lines) {
    t.throws(() => decode(get, `${line}\r\n1\r\n`), MemcacheProtocolError, line)
    t.throws(() => decode(multi('k', 'l'), `${line.replace('O42', 'O42.0')}\r\n1\r\nMN\r\n`), MemcacheProtocolError, `multi: ${line}`)
  }
  for (const line of ['hd O42', 'Hd O42', 'HDO42', 'HD\tO42', 'H O42', 'HDD O42', ' HD O42', 'en O42', 'nf O42', 'ns O42', 'ex O42', 'mn', 'HD O42\t', 'ME k exp=-1', 'OK O42']) {
    for (const request of META) t.throws(() => decode(request, `${line}\r\n`), MemcacheProtocolError, `${request.op}: ${line}`)
  }
  for (const behind of ['\n\r', 'X\r', '\r\r', '\n\n', 'XX', '\r\x00']) {
    t.throws(() => decode(get, `VA 1 O42 f0\r\n1${behind}EN O42\r\n`), MemcacheProtocolError, `${JSON.stringify(behind)} behind a value`)
  }
  t.throws(() => decode(get, 'VA 1 O42 f0\r\n12\r\n'), MemcacheProtocolError, 'the value is longer than its length')
  t.throws(() => decode(get, 'VA 2 O42 f0\r\n1\r\nEN O43\r\n'), MemcacheProtocolError, 'the value is shorter than its length')
  for (const request of EVERY) {
    for (const bytes of ['EN\n', '\n', '\r\n', 'x\r\n', 'MN\n\n', 'HD O42\n', 'HD O42\t\n', 'HD O42\x00\n', 'HD \n\n', 'VA 1 O42 f0\n1\r\n', 'OK\n\n', 'HD O42\r\r\n', 'HD O42 \r \n', 'HD\r \n', 'EN\rx\n', '\n\r\n\r', '\r\n\r\n', '\r\r\r\n', '\x81\x00\x00\r\n']) {
      t.throws(() => decode(request, bytes), MemcacheProtocolError, `${request.op}: ${JSON.stringify(bytes)}`)
    }
    t.throws(() => decode(request, 'x'.repeat(70_000)), MemcacheProtocolError, `${request.op}: a line that does not end`)
    t.throws(() => decode(request, `VA ${'1'.repeat(70_000)}`), MemcacheProtocolError, `${request.op}: a length that does not end`)
    t.throws(() => decode(request, `HD ${'f0 '.repeat(30_000)}`), MemcacheProtocolError, `${request.op}: flags that do not end`)
    t.throws(() => decode(request, `HD O42 ${'k'.repeat(70_000)}`), MemcacheProtocolError, `${request.op}: a flag that does not end`)
  }
})

t.test('replies that are cut: every beginning is waited with, every rest completes it', async (t) => {
  for (const [request, bytes] of replies) t.same(misreadCuts(metaProtocol, request, bytes, OPAQUE), [], `${request.op}: ${JSON.stringify(bytes).slice(0, 60)}`)
  for (const request of EVERY) {
    for (const line of ['ERROR', 'CLIENT_ERROR bad command line format', 'ERROR Too many open connections', ...(request.op === 'getMulti' ? [] : ['SERVER_ERROR out of memory'])]) {
      t.same(misreadCuts(metaProtocol, request, `${line}\r\n`, OPAQUE), [], `${request.op}: ${line}`)
    }
  }
  t.same(misreadCuts(metaProtocol, multi('a', 'b'), 'VA 1 O42.0 f0\r\n1\r\nSERVER_ERROR oh\r\nMN\r\n', OPAQUE), [], 'a failure among many keys')
})

t.test('the time is linear in the length of a reply', async (t) => {
  readsInLinearTime(t, metaProtocol, {
    opaque: OPAQUE,
    hit: (_, place, value) => `VA ${value.length} O42.${place} f0\r\n${value}\r\n`,
    end: 'MN\r\n',
    only: (value) => `VA ${value.length} O42 f0\r\n${value}\r\n`,
  })
})

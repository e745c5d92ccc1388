import { Buffer } from 'node:buffer'
import t from 'tap'
import { text, textProtocol } from '../drivers/text.ts'
import type { Op, Reply, Request } from '../lib/commands.ts'
import {
  MemcacheAuthError,
  MemcacheClientError,
  MemcacheDriverError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheUnsupportedError,
} from '../lib/errors.ts'
import { decoded, encoded, EVERY as COMMON, exchangeOf, item, misreadCuts, MODES, multi, plain, replyIn, requests, store, unaskedIn } from './support/exchanges.ts'

/** The text protocol as what it is: functions from requests to bytes, and from bytes to replies. */

const { get, gets, incr, touch, flush, stats, version } = requests
const del = requests.delete
const verbosity: Request<'verbosity'> = { op: 'verbosity', level: 1 }
const EVERY: readonly Request[] = [...COMMON, verbosity]

function encode<O extends Op>(request: Request<O>): string {
  return encoded(textProtocol, request)
}

function decode<O extends Op>(request: Request<O>, bytes: string): Reply<O> {
  return decoded(textProtocol, request, bytes)
}

t.test('requests, byte for byte', async (t) => {
  const requests: readonly (readonly [Request, string])[] = [
    [get, 'get k\r\n'],
    [gets, 'gets k\r\n'],
    [{ ...get, touch: 0 }, 'gat 0 k\r\n'],
    [{ ...get, touch: -1 }, 'gat -1 k\r\n'],
    [{ ...gets, touch: 300 }, 'gats 300 k\r\n'],
    [multi('a'), 'get a\r\n'],
    [multi('a', 'b', 'c'), 'get a b c\r\n'],
    [{ op: 'getMulti', keys: ['a', 'b'], cas: true }, 'gets a b\r\n'],
    [store('set', 'value', { flags: 16, expires: 60 }), 'set k 16 60 5\r\nvalue\r\n'],
    [store('set', ''), 'set k 0 0 0\r\n\r\n'],
    [store('add', 'v', { expires: -1 }), 'add k 0 -1 1\r\nv\r\n'],
    [store('replace', 'v', { flags: 0xffff_ffff }), 'replace k 4294967295 0 1\r\nv\r\n'],
    [store('append', '\r\n'), 'append k 0 0 2\r\n\r\n\r\n'],
    [store('prepend', 'é'), 'prepend k 0 0 1\r\n\xe9\r\n'],
    [store('cas', 'v', { cas: 18446744073709551615n }), 'cas k 0 0 1 18446744073709551615\r\nv\r\n'],
    [store('set', 'v', { key: '\xc3\xa9', cas: 7n }), 'set \xc3\xa9 0 0 1\r\nv\r\n'],
    [del, 'delete k\r\n'],
    [touch, 'touch k 5\r\n'],
    [incr, 'incr k 1\r\n'],
    [{ ...incr, down: true, delta: 18446744073709551615n }, 'decr k 18446744073709551615\r\n'],
    [flush, 'flush_all\r\n'],
    [{ op: 'flush', delay: 10 }, 'flush_all 10\r\n'],
    [stats, 'stats\r\n'],
    [{ op: 'stats', section: 'cachedump 1 10' }, 'stats cachedump 1 10\r\n'],
    [version, 'version\r\n'],
    [verbosity, 'verbosity 1\r\n'],
  ]
  for (const [request, bytes] of requests) t.equal(encode(request), bytes, bytes.slice(0, 30))
  for (const length of [0, 1, 2047, 2048, 2049, 70_000]) {
    t.equal(encode(store('set', 'x'.repeat(length))), `set k 0 0 ${length}\r\n${'x'.repeat(length)}\r\n`, `a value of ${length} bytes`)
  }
  const long = Buffer.alloc(100_000, 1)
  const request = store('set', long)
  const bytes = exchangeOf(textProtocol, request).encode(request, 0)
  t.ok(Array.isArray(bytes) && bytes.some((part) => Buffer.isBuffer(part) && part.length === long.length), 'a long value is not copied into text')
  for (const section of ['sizes_enable', 'sizes_disable', 'sizes_enable now']) {
    t.throws(() => encode({ op: 'stats', section }), MemcacheUnsupportedError, `stats ${section} has no end`)
  }
  t.equal(encode({ op: 'stats', section: 'sizes' }), 'stats sizes\r\n')
  t.type(text, 'function')
})

t.test('the lines of a multi-key get', async (t) => {
  const key = (index: number, length: number): string => String(index).padEnd(length, 'x')
  for (const length of [1, 7, 11, 100, 249, 250]) {
    for (const cas of [false, true]) {
      const keys = Array.from({ length: 1000 }, (_, index) => key(index, Math.max(length, 4)))
      const request: Request<'getMulti'> = { op: 'getMulti', keys, cas }
      const lines = encode(request).split('\r\n')
      t.equal(lines.pop(), '', 'ends in CRLF')
      t.ok(lines.every((line) => line.length + 2 <= 16_384), `no line of keys of ${length} bytes is longer than 16 KB`)
      const words = lines.map((line) => line.split(' '))
      t.ok(words.every(([verb]) => verb === (cas ? 'gets' : 'get')))
      t.same(words.flatMap(([, ...rest]) => rest), keys, 'every key, once, in order')
      for (const [index, line] of lines.slice(0, -1).entries()) {
        const next = words[index + 1]?.[1] ?? ''
        t.ok(line.length + 1 + next.length + 2 > 16_384, 'no line has room for another key')
      }
      const answer = lines.map(() => 'END\r\n').join('')
      t.equal(decode(request, answer).length, keys.length, 'one END for each line')
      t.throws(() => decode(request, answer.slice(5)), /no whole reply/, 'not one less')
    }
  }
  // 4 + 1 + 1 + 16376 + 2: exactly the limit; one more is two lines.
  t.equal(encode(multi('a', 'b'.repeat(16_376))).length, 16_384)
  t.equal(encode(multi('a', 'b'.repeat(16_377))).split('\r\n').length - 1, 2)
  t.equal(encode(multi('c'.repeat(50_000), 'd')).split('\r\n').length - 1, 2, 'a key longer than a line has one of its own')
})

t.test('an item is its value, flags and cas id, and holds nothing of the reader', async (t) => {
  const bytes = 'VALUE k 1 5 7\r\nhello\r\nEND\r\n'
  for (const found of [decode(get, bytes), decode(multi('k', 'l'), bytes)[0]]) t.strictSame(found, item('hello', 1, 7n))
})

const replies: readonly (readonly [request: Request, bytes: string, reply: unknown, why?: string])[] = [
  [get, 'END\r\n', undefined],
  [get, 'VALUE k 0 5\r\nhello\r\nEND\r\n', item('hello')],
  [get, 'VALUE k 4294967295 0\r\n\r\nEND\r\n', item('', 4294967295)],
  [get, 'VALUE k 0 5\r\nEND\r\n\r\nEND\r\n', item('END\r\n')],
  [get, 'VALUE k 0 17\r\nVALUE k 0 1\r\n1\r\nE\r\nEND\r\n', item('VALUE k 0 1\r\n1\r\nE'), 'a value that looks like a reply'],
  [{ ...get, key: 'other/t=5/open' }, 'VALUE other 0 1\r\n1\r\nEND\r\n', item('1'), 'queue servers name the queue without the options that were asked'],
  [get, 'VALUE k 0 1 9\r\n1\r\nEND\r\n', item('1', 0, 9n)],
  [gets, 'VALUE k 3 1 18446744073709551615\r\n1\r\nEND\r\n', item('1', 3, 18446744073709551615n)],
  [gets, 'VALUE k 3 1\r\n1\r\nEND\r\n', item('1', 3), 'queue servers have no cas ids'],
  [{ ...get, touch: 4 }, 'VALUE k 0 1\r\n1\r\nEND\r\n', item('1')],
  [multi('a', 'b', 'c'), 'END\r\n', [undefined, undefined, undefined]],
  [multi('a', 'b', 'c'), 'VALUE a 0 1\r\n1\r\nVALUE c 1 2\r\n33\r\nEND\r\n', [item('1'), undefined, item('33', 1)]],
  [multi('a', 'b', 'c'), 'VALUE c 0 1\r\n3\r\nVALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\n', [item('1'), item('2'), item('3')], "a proxy's order"],
  [multi('\xc3\xa9', 'b'), 'VALUE \xc3\xa9 0 1\r\n1\r\nEND\r\n', [item('1'), undefined]],
  ...MODES.flatMap((mode): [Request, string, unknown][] => [
    [store(mode, 'v', { cas: 1n }), 'STORED\r\n', 'stored'],
    [store(mode, 'v', { cas: 1n }), 'NOT_STORED\r\n', 'not-stored'],
  ]),
  [store('cas', 'v', { cas: 1n }), 'EXISTS\r\n', 'exists'],
  [store('cas', 'v', { cas: 1n }), 'NOT_FOUND\r\n', 'not-found'],
  [del, 'DELETED\r\n', true],
  [del, 'NOT_FOUND\r\n', false],
  [del, 'END\r\n', true],
  [touch, 'TOUCHED\r\n', true],
  [touch, 'NOT_FOUND\r\n', false],
  [incr, '0\r\n', 0n],
  [incr, '18446744073709551615\r\n', 18446744073709551615n],
  [incr, '9 \r\n', 9n],
  [incr, 'NOT_FOUND\r\n', undefined],
  [flush, 'OK\r\n', true],
  [flush, 'Flushed all queues.\r\n', true],
  [verbosity, 'OK\r\n', true],
  [version, 'VERSION 1.6.18\r\n', '1.6.18'],
  [version, 'VERSION \r\n', ''],
  [version, 'VERSION ${PRODUCT_VERSION}\r\n', '${PRODUCT_VERSION}'],
  [stats, 'END\r\n', new Map()],
  [stats, 'STAT a 1\r\nSTAT blank \r\nSTAT bare\r\nSTAT words two of them\r\nEND\r\n', new Map([['a', '1'], ['blank', ''], ['bare', ''], ['words', 'two of them']])],
  [{ op: 'stats', section: 'cachedump 1 9' }, 'ITEM a [1 b; 0 s]\r\nEND\r\n', new Map([['a', '[1 b; 0 s]']])],
  [{ op: 'stats', section: 'detail dump' }, 'PREFIX pre get 1 hit 1\r\nEND\r\n', new Map([['pre', 'get 1 hit 1']])],
  [{ op: 'stats', section: 'reset' }, 'RESET\r\n', new Map()],
  [{ op: 'stats', section: 'detail on' }, 'OK\r\n', new Map()],
]

t.test('replies', async (t) => {
  for (const [request, bytes, reply, why] of replies) {
    t.strictSame(plain(decode(request, bytes)), plain(reply), why ?? `${request.op}: ${JSON.stringify(bytes).slice(0, 70)}`)
  }
  const large = 'v'.repeat(300_000)
  t.equal(decode(get, `VALUE k 0 300000\r\n${large}\r\nEND\r\n`)?.value.toString('latin1'), large)
})

t.test('refusals', async (t) => {
  const refusals: readonly (readonly [string, typeof MemcacheDriverError, string?])[] = [
    ['ERROR', MemcacheClientError],
    ['ERROR ', MemcacheClientError],
    ['ERROR   ', MemcacheClientError],
    ['ERROR Unknown command', MemcacheClientError, 'ERROR Unknown command'],
    ['ERROR: shutdown not enabled', MemcacheClientError, 'ERROR: shutdown not enabled'],
    ['CLIENT_ERROR', MemcacheClientError, 'CLIENT_ERROR'],
    ['CLIENT_ERROR bad data chunk', MemcacheClientError, 'CLIENT_ERROR bad data chunk'],
    ['CLIENT_ERROR unauthenticated', MemcacheAuthError],
    ['CLIENT_ERROR authentication failure', MemcacheAuthError],
    ['SERVER_ERROR', MemcacheServerError, 'SERVER_ERROR'],
    ['SERVER_ERROR out of memory storing object', MemcacheServerError, 'SERVER_ERROR out of memory storing object'],
    ['SERVER_ERROR: shutdown not enabled', MemcacheServerError],
    ['ERROR Too many open connections', MemcacheServerError],
  ]
  for (const request of EVERY) {
    for (const [line, ErrorClass, message] of refusals) {
      let caught: unknown
      try {
        decode(request, `${line}\r\n`)
      } catch (error) {
        caught = error
      }
      t.ok(caught instanceof ErrorClass && caught.constructor === ErrorClass, `${request.op}: ${line}`)
      if (message !== undefined) t.equal((caught as Error).message, message)
      t.equal((caught as MemcacheDriverError).sent, true)
    }
    for (const line of ['ERRORS', 'CLIENT_ERRORS x', 'SERVER_ERROR_X', ' ERROR', 'error', 'BUSY currently processing crawler request', 'HD', 'VA 1', 'EN', 'MN']) {
      t.throws(() => decode(request, `${line}\r\n`), MemcacheProtocolError, `${request.op}: "${line}" is no refusal`)
    }
  }
})

t.test('whether a connection goes on after a refusal', async (t) => {
  const client = new MemcacheClientError('CLIENT_ERROR bad data chunk')
  const server = new MemcacheServerError('SERVER_ERROR out of memory storing object')
  t.notOk(textProtocol.usableAfter(client, store('set', 'v')), 'its data may have run as commands')
  t.notOk(textProtocol.usableAfter(new MemcacheClientError('ERROR'), store('cas', 'v', { cas: 1n })))
  t.notOk(textProtocol.usableAfter(new MemcacheAuthError('CLIENT_ERROR unauthenticated'), store('set', 'v')))
  t.ok(textProtocol.usableAfter(server, store('set', 'v')))
  t.notOk(textProtocol.usableAfter(server, multi('a', 'b')), 'an END may follow or not')
  for (const request of [get, gets, incr, del, touch, flush, stats, version, verbosity]) {
    t.ok(textProtocol.usableAfter(new MemcacheClientError('ERROR'), request), request.op)
    t.ok(textProtocol.usableAfter(server, request), request.op)
    t.notOk(textProtocol.usableAfter(new MemcacheServerError('ERROR Too many open connections'), request), request.op)
  }
})

t.test('what comes unasked', async (t) => {
  const unasked = (bytes: string): unknown => unaskedIn(textProtocol, bytes)
  t.type(unasked('END\r\n'), MemcacheProtocolError)
  t.type(unasked('VALUE k 0 1\r\n1\r\n'), MemcacheProtocolError)
  t.type(unasked('ERROR\r\n'), MemcacheProtocolError)
  t.type(unasked('ERROR Too many open connections\r\n'), MemcacheServerError)
  t.type(unasked('SERVER_ERROR backend failure\r\n'), MemcacheServerError)
})

t.test('what is outside the grammar', async (t) => {
  const lines = [
    'VALUE k 0 -1', 'VALUE k -1 1', 'VALUE k 0 100000000000', 'VALUE k 0 2147483648', 'VALUE k 0 1000001', 'VALUE k 4294967296 1',
    'VALUE k 0 1x', 'VALUE k 0x 1', 'VALUE k 0 +1', 'VALUE k 0 1.0', 'VALUE k 0 1e1', 'VALUE k 0', 'VALUE k', 'VALUE ', 'VALUE', 'VALUE  0 1',
    'VALUE k  0 1', 'VALUE k 0  1', 'VALUE k 0 1 ', 'VALUE k 0 1 x', 'VALUE k 0 1 1 1', 'VALUE k 0 1 -1', 'VALUE k 0 1 123456789012345678901',
    'VALUE k 0 ', 'VALUE k 00000000000 1', 'VALUE k 0 00000000001', `VALUE k ${'0'.repeat(65_600)} 1`, 'VALUE k\t0\t1', 'value k 0 1', ' VALUE k 0 1', 'VALUES k 0 1',
  ]
  for (const line of lines) {
    t.throws(() => decode(get, `${line}\r\n1\r\nEND\r\n`), MemcacheProtocolError, line)
    t.throws(() => decode(multi('k', 'l'), `${line}\r\n1\r\nEND\r\n`), MemcacheProtocolError, `multi: ${line}`)
  }
  for (const line of ['VALUE k\x01\x02\x03\x04', 'VALUE k 0 1x junk', 'VALUE k 0x 1 junk']) t.throws(() => decode(get, line), MemcacheProtocolError, `${JSON.stringify(line)}: its end is not waited for`)
  const long = `VALUE k ${'0'.repeat(65_600)} 1\r\n1\r\nEND\r\n`
  for (const at of [400, 33_000, 65_000, 65_535, 65_537, 65_608, 65_609, 65_610]) t.throws(() => replyIn(textProtocol, get, [long.slice(0, at), long.slice(at)].map((piece) => Buffer.from(piece, 'latin1'))), /longer than/, `cut at ${at}`)
  for (const behind of ['\n\r', 'X\r', '\r\r', '\n\n', 'XX', '\r\x00']) {
    t.throws(() => decode(get, `VALUE k 0 1\r\n1${behind}END\r\n`), MemcacheProtocolError, `${JSON.stringify(behind)} behind a value`)
  }
  t.throws(() => decode(get, 'VALUE k 0 1\r\n12\r\nEND\r\n'), MemcacheProtocolError, 'the value is longer than its length')
  t.throws(() => decode(get, 'VALUE k 0 2\r\n1\r\nEND\r\n'), MemcacheProtocolError, 'the value is shorter than its length')
  for (const request of EVERY) {
    for (const bytes of ['END\n', '\n', '\n\r\n', 'STORED\n', 'OK\n', '1\n', 'VALUE k 0 1\n1\r\nEND\r\n', '\r\n', '\r\r\n', 'END \r\n', ' END\r\n', 'END\r\r\n', 'END\x00\r\n', 'END\r\x00\r\n', '\x81\x00\r\n']) {
      t.throws(() => decode(request, bytes), MemcacheProtocolError, `${request.op}: ${JSON.stringify(bytes)}`)
    }
    t.throws(() => decode(request, 'x'.repeat(70_000)), MemcacheProtocolError, `${request.op}: a line that does not end`)
    t.throws(() => decode(request, `VALUE ${'k'.repeat(70_000)}`), MemcacheProtocolError, `${request.op}: a VALUE line that does not end`)
  }
  t.throws(() => decode(get, 'VALUE k 0 1\r\n1\r\nVALUE k 0 1\r\n2\r\nEND\r\n'), MemcacheProtocolError, 'a second value for one key')
  for (const [key, named] of [['k', 'l'], ['k', 'kk'], ['jobs/t=5', 'job/'], ['abc', 'bc']] as const) {
    t.throws(() => decode({ ...get, key }, `VALUE ${named} 0 1\r\n1\r\nEND\r\n`), MemcacheProtocolError, `${named} is not what ${key} asks for`)
  }
  t.throws(() => decode(multi('a', 'b'), 'VALUE c 0 1\r\n1\r\nEND\r\n'), MemcacheProtocolError, 'a key that was not asked for')
  t.throws(() => decode(multi('a', 'b'), 'VALUE b 0 1\r\n1\r\nVALUE c 0 1\r\n1\r\nEND\r\n'), MemcacheProtocolError, 'not asked for, behind one that was')
  t.throws(() => decode(multi('a', 'b'), 'VALUE A 0 1\r\n1\r\nEND\r\n'), MemcacheProtocolError, 'keys are not compared loosely')
  t.throws(() => decode(multi('a', 'b'), 'VALUE a 0 1\r\n1\r\nVALUE a 0 1\r\n2\r\nEND\r\n'), MemcacheProtocolError, 'the same key twice in a row')
  t.throws(() => decode(multi('a', 'b'), 'VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nVALUE a 0 1\r\n2\r\nEND\r\n'), MemcacheProtocolError, 'the same key twice')
  t.throws(() => decode(multi('a', '__proto__'), 'VALUE constructor 0 1\r\n1\r\nEND\r\n'), MemcacheProtocolError, 'a name that objects have')
})

t.test('every reply fits its own commands alone', async (t) => {
  const words: readonly (readonly [string, (request: Request) => boolean])[] = [
    ['END', ({ op }) => ['get', 'getMulti', 'stats', 'delete'].includes(op)],
    ['STORED', ({ op }) => op === 'store'],
    ['NOT_STORED', ({ op }) => op === 'store'],
    ['EXISTS', (request) => request.op === 'store' && request.mode === 'cas'],
    ['NOT_FOUND', (request) => (request.op === 'store' ? request.mode === 'cas' : ['delete', 'touch', 'count'].includes(request.op))],
    ['DELETED', ({ op }) => op === 'delete'],
    ['TOUCHED', ({ op }) => op === 'touch'],
    ['OK', ({ op }) => ['flush', 'verbosity'].includes(op)],
    ['RESET', () => false],
    ['12', ({ op }) => op === 'count'],
    ['Flushed all queues.', ({ op }) => op === 'flush'],
    ['VERSION 1', ({ op }) => op === 'version'],
    ['constructor', () => false],
    ['toString', () => false],
    ['__proto__', () => false],
  ]
  for (const request of EVERY) {
    for (const [word, fits] of words) {
      if (fits(request)) t.doesNotThrow(() => decode(request, `${word}\r\n`), `${word} is a reply to ${request.op}`)
      else t.throws(() => decode(request, `${word}\r\n`), MemcacheProtocolError, `${word} is no reply to ${request.op}`)
    }
    if (request.op !== 'stats') t.throws(() => decode(request, 'STAT a 1\r\nEND\r\n'), MemcacheProtocolError, `STAT for ${request.op}`)
    if (request.op !== 'get' && request.op !== 'getMulti') {
      t.throws(() => decode(request, 'VALUE k 0 1\r\n1\r\nEND\r\n'), MemcacheProtocolError, `VALUE for ${request.op}`)
    }
  }
  for (const number of ['-1', '1.5', '0x1', '', ' 1', '123456789012345678901', '1 2', '1e3', 'NaN']) {
    t.throws(() => decode(incr, `${number}\r\n`), MemcacheProtocolError, `"${number}" is no count`)
  }
  const section = (name: string): Request<'stats'> => ({ op: 'stats', section: name })
  t.throws(() => decode(section('items'), 'OK\r\n'), MemcacheProtocolError, 'OK is the reply to "stats detail on" and "off" alone')
  t.throws(() => decode(section('items'), 'RESET\r\n'), MemcacheProtocolError, 'RESET is the reply to "stats reset" alone')
  for (const end of ['OK', 'RESET']) t.throws(() => decode(stats, `STAT a 1\r\n${end}\r\n`), MemcacheProtocolError, `${end} ends no list`)
  t.throws(() => decode(version, 'VERSION\r\n'), MemcacheProtocolError)
  t.throws(() => decode(stats, 'STAT\r\nEND\r\n'), MemcacheProtocolError)
  t.throws(() => decode(stats, 'STAT a 1\r\nVALUE k 0 1\r\n1\r\nEND\r\n'), MemcacheProtocolError)
  t.throws(() => decode(stats, `${Array.from({ length: 100_001 }, (_, index) => `STAT s${index} 1\r\n`).join('')}END\r\n`), MemcacheProtocolError, 'statistics without end')
})

t.test('counts and cas ids have 64 bits', async (t) => {
  t.equal(decode(incr, '18446744073709551615\r\n'), 2n ** 64n - 1n)
  t.throws(() => decode(incr, '18446744073709551616\r\n'), MemcacheProtocolError)
  t.throws(() => decode(gets, 'VALUE k 0 1 18446744073709551616\r\n1\r\nEND\r\n'), MemcacheProtocolError)
})

t.test('a refusal says nothing to a terminal', async (t) => {
  t.throws(() => decode(get, 'SERVER_ERROR \u001b[2J\u0085\u0007 out\r\n'), { message: 'SERVER_ERROR \\u001b[2J?\\u0007 out' })
})

t.test('replies that are cut: every beginning is waited with, every rest completes it', async (t) => {
  for (const [request, bytes] of replies) t.same(misreadCuts(textProtocol, request, bytes), [], `${request.op}: ${JSON.stringify(bytes).slice(0, 60)}`)
  for (const request of EVERY) {
    for (const line of ['ERROR', 'CLIENT_ERROR bad data chunk', 'SERVER_ERROR out of memory']) {
      t.same(misreadCuts(textProtocol, request, `${line}\r\n`), [], `${request.op}: ${line}`)
    }
  }
})

import { Buffer } from 'node:buffer'
import { deflateSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { valueFormat } from '../lib/format.ts'
import { compat, meta, MemcacheError, MemcacheValueError, type Format } from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { Client } from '../lib/client.ts'
import { readFastlz } from '../serializers/fastlz.ts'
import { readMarshal } from '../serializers/marshal-reader.ts'
import { writeMarshal } from '../serializers/marshal-writer.ts'
import { readPhp } from '../serializers/php-reader.ts'
import { writePhp } from '../serializers/php-writer.ts'
import { rejection } from '../lib/testing/contract/rejection.ts'
import { trees } from './support/trees.ts'

/** The formats of other clients, byte for byte. tests/interop.test.ts asks the clients themselves. */

const MAX = 1_000_000

interface Stored {
  readonly flags: number
  readonly value: Buffer
}

function encode(format: Format, value: unknown, minCompressLength = 0): Stored {
  return valueFormat({ serializer: format, compressor: undefined, minCompressLength, maxValueLength: MAX }, MAX).encode({ value, flags: 0 }, 'set', undefined)
}

function decode(format: Format, flags: number, bytes: Buffer | string): unknown {
  const value = Buffer.from(bytes as string, 'latin1')
  return valueFormat({ serializer: format, compressor: undefined, minCompressLength: 0, maxValueLength: MAX }, MAX).decode({ value, flags }).value
}

const { pyermc, pythonMemcached, pymemcache, pylibmc, dalli, dalliJson, phpMemcached, spymemcached, memjs, memcached } = compat
const BINARY = Buffer.from([0, 255, 10])

void t.test('each value has its bytes and its flags', async (t) => {
  const both: readonly (readonly [Format, unknown, number, string])[] = [
    [pyermc, '', 0, ''], [pyermc, 'é', 0, '\xc3\xa9'], [pyermc, -5, 2, '-5'], [pyermc, 5n, 4, '5'], [pyermc, null, 1, '\x80\x02N.'], [pyermc, true, 1, '\x80\x02\x88.'],
    [pyermc, BINARY, 1, '\x80\x02c_codecs\nencode\nq\0X\x04\0\0\0\0\xc3\xbf\nX\x06\0\0\0latin1q\x01\x86R.'],
    ...[pythonMemcached, pymemcache].flatMap((format): [Format, unknown, number, string][] => [
      [format, 'é', 16, '\xc3\xa9'], [format, BINARY, 0, '\0\xff\n'], [format, Buffer.alloc(0), 0, ''], [format, 5, 2, '5'], [format, 2n ** 70n, 4, '1180591620717411303424'],
      [format, [1], 1, '\x80\x02]q\0(K\x01e.'], [format, false, 1, '\x80\x02\x89.'], [format, 1.5, 1, '\x80\x02G?\xf8\0\0\0\0\0\0.'],
    ]),
    [pylibmc, 'é', 16, '\xc3\xa9'], [pylibmc, BINARY, 0, '\0\xff\n'], [pylibmc, -1, 4, '-1'], [pylibmc, 2n ** 64n, 4, '18446744073709551616'], [pylibmc, true, 1, '\x80\x02\x88.'],
    [dalli, 'é', 1, '\x04\bI"\x07\xc3\xa9\x06:\x06ET'], [dalli, BINARY, 1, '\x04\b"\b\0\xff\n'], [dalli, 5, 1, '\x04\bi\n'], [dalli, null, 1, '\x04\b0'], [dalli, -0, 1, '\x04\bf\x07-0'],
    [dalli, { a: ['a'] }, 1, '\x04\b{\x06I"\x06a\x06:\x06ET[\x06I"\x06a\x06;\0T'],
    [dalliJson, 'é', 1, '"\xc3\xa9"'], [dalliJson, { a: [1, null] }, 1, '{"a":[1,null]}'], [dalliJson, 5, 1, '5'],
    [phpMemcached, 'é', 0, '\xc3\xa9'], [phpMemcached, BINARY, 2 ** 31, '\0\xff\n'], [phpMemcached, 5, 1, '5'], [phpMemcached, -(2n ** 63n), 1, '-9223372036854775808'],
    [phpMemcached, 1.5, 2, '1.5'], [phpMemcached, -0, 2, '-0'], [phpMemcached, -Infinity, 2, '-Infinity'], [phpMemcached, NaN, 2, 'NaN'], [phpMemcached, 2 ** 53, 2, '9007199254740992'],
    [phpMemcached, true, 3, '1'], [phpMemcached, false, 3, ''], [phpMemcached, null, 4, 'N;'], [phpMemcached, ['é', 1.5], 4, 'a:2:{i:0;s:2:"\xc3\xa9";i:1;d:1.5;}'],
    [phpMemcached, { a: { b: false } }, 4, 'a:1:{s:1:"a";a:1:{s:1:"b";b:0;}}'],
    [spymemcached, 'é', 0, '\xc3\xa9'], [spymemcached, true, 0x100, '1'], [spymemcached, false, 0x100, '0'], [spymemcached, 0, 0x200, ''], [spymemcached, 256, 0x200, '\x01\0'],
    [spymemcached, -1, 0x200, '\xff\xff\xff\xff'], [spymemcached, -(2 ** 31), 0x200, '\x80\0\0\0'], [spymemcached, 2 ** 31, 0x300, '\x80\0\0\0'], [spymemcached, -(2 ** 31) - 1, 0x300, '\xff\xff\xff\xff\x7f\xff\xff\xff'],
    [spymemcached, 2n ** 63n - 1n, 0x300, '\x7f\xff\xff\xff\xff\xff\xff\xff'], [spymemcached, -(2n ** 63n), 0x300, '\x80\0\0\0\0\0\0\0'], [spymemcached, new Date(256), 0x400, '\x01\0'],
    [spymemcached, new Date(-1), 0x400, '\xff\xff\xff\xff\xff\xff\xff\xff'], [spymemcached, 1.5, 0x700, '\x3f\xf8\0\0\0\0\0\0'], [spymemcached, -0, 0x700, '\x80\0\0\0\0\0\0\0'],
    [spymemcached, 5e-324, 0x700, '\x01'], [spymemcached, BINARY, 0x800, '\0\xff\n'],
    [memjs, 'é', 0, '\xc3\xa9'], [memjs, BINARY, 16, '\0\xff\n'], [memjs, 5, 2, '5'], [memjs, [1], 32, '[1]'],
    [memcached, 'a\r\nb\\', 0, 'a\\\r\\\nb\\'], [memcached, BINARY, 4, '\0\xc3\xbf\\\n'], [memcached, 5, 8, '5'], [memcached, -0, 8, '-0'], [memcached, 1.5, 8, '1.5'], [memcached, NaN, 8, 'NaN'],
    [memcached, 1e20, 8, '1e+20'], [memcached, 2 ** 53, 8, '9.007199254740992e+15'], [memcached, null, 2, 'null'], [memcached, { a: '\n' }, 2, '{"a":"\\n"}'],
  ]
  for (const [format, value, flags, bytes] of both) {
    const stored = encode(format, value)
    t.strictSame([stored.flags, stored.value.toString('latin1')], [flags, bytes], `${format.name}: ${bytes}`)
    const read = decode(format, flags, bytes)
    t.strictSame(read, value)
    t.equal(Object.is(read, -0), Object.is(value, -0))
  }
})

void t.test('what only they write is read', async (t) => {
  const rows: readonly (readonly [Format, number, string, unknown])[] = [
    [pyermc, 0, '\xff', Buffer.from([255])], [pyermc, 2, '1', 1], [pyermc, 2, '9007199254740993', 9007199254740993n], [pyermc, 2, '9  ', 9], [pyermc, 1, '(dp1\nS\'a\'\np2\nI01\ns.', { a: true }],
    [pymemcache, 0, 'text', Buffer.from('text')], [pymemcache, 2, '18446744073709551616', 2n ** 64n], [pylibmc, 2, '1', 1], [pylibmc, 2, '0', 0],
    [dalli, 0, 'raw', 'raw'], [dalli, 4, '\xc3\xa9', 'é'], [dalli, 0, '\xff', Buffer.from([255])], [dalli, 1, '{"a":1}', { a: 1 }], [dalliJson, 1, '\x04\bT', true], [dalliJson, 0, 'raw', 'raw'],
    [phpMemcached, 0, '\xff', Buffer.from([255])], [phpMemcached, 0x12340001, '5', 5], [phpMemcached, 2, '.1', 0.1], [phpMemcached, 2, '1.0E+25', 1e25], [phpMemcached, 6, '{"a":[]}', { a: [] }],
    [phpMemcached, 2, 'Infinity', Infinity], [phpMemcached, 4, 'd:-INF;', -Infinity], [phpMemcached, 4, 'd:NAN;', NaN], [phpMemcached, 4, 'd:1.0E-7;', 1e-7],
    [spymemcached, 0x500, '\xff', -1], [spymemcached, 0x600, '\x3f\xc0\0\0', 1.5], [spymemcached, 0x300, '\x05', 5], [spymemcached, 0x300, '\x20\0\0\0\0\0\0', 2n ** 53n],
    [memjs, 0, '\xff', Buffer.from([255])], [memcached, 8, '18446744073709551615', 2n ** 64n - 1n], [memcached, 8, '9  ', 9], [memcached, 0, 'a\\b\\', 'a\\b\\'], [memcached, 0, '\xff', Buffer.from([255])],
  ]
  for (const [format, flags, bytes, value] of rows) t.strictSame(decode(format, flags, bytes), value, `${format.name}, ${flags}: ${bytes}`)
})

void t.test('flags without a meaning: the bytes, as they are', async (t) => {
  const unknown: readonly (readonly [Format, readonly number[]])[] = [
    [pyermc, [3, 6, 7, 16, 24, 32, 256, 2 ** 31, 2 ** 32 - 1]], [pymemcache, [3, 17, 32, 40, 2 ** 32 - 1]], [pylibmc, [3, 6, 20, 64, 2 ** 32 - 1]], [dalli, [5, 8, 2 ** 32 - 1]],
    [phpMemcached, [8, 9, 15, 2 ** 31 + 1, 2 ** 32 - 1]], [spymemcached, [4, 0x101, 0x900, 0xff00, 2 ** 32 - 1]], [memcached, [1, 3, 6, 12, 16, 2 ** 32 - 1]],
  ]
  for (const [format, all] of unknown) {
    for (const flags of all) t.strictSame(decode(format, flags, '5'), Buffer.from('5'), `${format.name}, ${flags}`)
  }
  for (const format of Object.values(compat)) {
    for (let flags = 0; flags < 4096; flags += 1) {
      try {
        decode(format, flags, 'abc')
      } catch (error) {
        const known = error instanceof Error && (error instanceof MemcacheError || 'code' in error || error instanceof SyntaxError)
        if (!known) t.fail(`${format.name}, ${flags}: ${String(error)}`)
      }
    }
  }
})

void t.test('what they cannot keep is refused', async (t) => {
  const rows: readonly (readonly [Format, unknown, RegExp])[] = [
    [pymemcache, [{ when: /x/ }], /pickle cannot keep a RegExp instance, which is at \[0\]\.when/], [pyermc, Symbol('s'), /pickle/], [pymemcache, '\ud800', /surrogate/],
    [pylibmc, 5n, /the bigint 5 would come back as a number/], [phpMemcached, 5n, /come back as a number/], [phpMemcached, 2n ** 63n, /64 bits/], [spymemcached, 5n, /come back as a number/],
    [spymemcached, -(2n ** 63n) - 1n, /64 bits/], [spymemcached, [1], /spymemcached cannot keep a Array instance/], [spymemcached, null, /cannot keep null/], [spymemcached, new Date(NaN), /date/],
    [dalli, 5n, /Marshal cannot keep a bigint/], [dalli, new Date(0), /Date/], [dalli, { a: new Set() }, /Set.*\.a/], [dalli, '\udc00', /surrogate/], [dalli, [new Map()], /Map.*\[0\]/], [dalli, new Map([[[1], 1]]), /key/],
    [dalliJson, BINARY, /Buffer/], [dalliJson, 5n, /bigint/], [dalliJson, new Date(0), /Date/],
    [phpMemcached, {}, /empty array/], [phpMemcached, { a: [{}] }, /empty array.*\.a\[0\]/], [phpMemcached, [{ 5: 1 }], /the property "5".*\[0\]/], [phpMemcached, { '-7': 1 }, /number/], [phpMemcached, [BINARY], /Buffer.*\[0\]/],
    [phpMemcached, [5n], /bigint.*\[0\]/], [phpMemcached, [2n ** 64n], /64 bits/], [phpMemcached, new Map(), /Map/], [phpMemcached, new Map([['a', 1]]), /Map/], [phpMemcached, new Map([[0, 1], [1, 2]]), /array/],
    [phpMemcached, new Map<unknown, unknown>([[1, 1], ['2', 2]]), /key/], [phpMemcached, new Map<unknown, unknown>([[1, 1], [null, 2]]), /key/], [phpMemcached, new Date(0), /Date/], [phpMemcached, ['\ud800'], /surrogate/],
    [memcached, 5n, /bigint/], [memcached, { a: undefined, b: [undefined] }, /undefined/], [memcached, new Map(), /Map/], [memjs, new Map(), /Map/],
  ]
  for (const [format, value, message] of rows) t.throws(() => encode(format, value), { name: 'MemcacheValueError', message }, `${format.name}: ${message.source}`)
  t.strictSame(encode(phpMemcached, { '05': 1, '1.5': 2, '-0': 3 }).value.toString(), 'a:3:{s:2:"05";i:1;s:3:"1.5";i:2;s:2:"-0";i:3;}')
  const circle: unknown[] = []
  circle.push(circle)
  for (const format of [dalli, phpMemcached]) t.throws(() => encode(format, circle), { name: 'MemcacheValueError', message: /contains itself/ })
})

void t.test('what is no plain data is named', async (t) => {
  const rows: readonly (readonly [Format, number, string, RegExp])[] = [
    [pymemcache, 1, 'cos\nsystem\n.', /"os\.system"/], [spymemcached, 1, '\xac\xed\0\x05', /Java/], [phpMemcached, 5, '\0\0\0\x02', /igbinary/], [phpMemcached, 7, '\x90', /msgpack/],
    [phpMemcached, 4, 'O:8:"stdClass":0:{}', /"stdClass"/], [phpMemcached, 4, 'a:1:{i:0;C:3:"Foo":0:{}}', /"Foo"/], [phpMemcached, 4, 'E:7:"Suit:Up";', /"Suit:Up"/], [phpMemcached, 4, 'a:2:{i:0;a:0:{}i:1;R:2;}', /reference/],
    [dalli, 1, '\x04\bo:\x0bObject\0', /"Object"/], [dalli, 1, '\x04\b[\x06o:\x08Set\x06:\n@hash}\0F', /"Set"/], [dalli, 1, '\x04\bIu:\tTime\r        \x06:\tzone0', /"Time"/], [dalli, 1, '\x04\bU:\x08FooT', /"Foo"/],
    [dalli, 1, '\x04\bS:\x08Foo\0', /"Foo"/], [dalli, 1, '\x04\bC:\x08Foo"\0', /"Foo"/], [dalli, 1, '\x04\be:\x08Foo[\0', /"Foo"/], [dalli, 1, '\x04\bc\x0bKernel', /"Kernel"/], [dalli, 1, '\x04\bm\x0bKernel', /"Kernel"/],
    [dalli, 1, '\x04\b}\0i\n', /default/], [dalli, 1, '\x04\bI/\x06a\0\x06:\x06EF', /type "\/"/], [dalli, 1, '\x04\bI"\x06a\x06:\rencoding"\x0eShift_JIS', /"Shift_JIS"/], [dalli, 1, '\x04\bI"\x06a\x06:\x07@ai\0', /instance variables/],
  ]
  for (const [format, flags, bytes, message] of rows) t.throws(() => decode(format, flags, bytes), { name: 'MemcacheValueError', message }, `${format.name}: ${message.source}`)
})

void t.test('Marshal: what Ruby writes, and what it does not', async (t) => {
  const rows: readonly (readonly [string, unknown])[] = [
    ['i\x7f', 122], ['i\x01{', 123], ['i\x80', -123], ['i\xff\x84', -124], ['i\x02\0\x01', 256], ['i\xff\0', -256], ['i\xfe\xff\xfe', -257], ['i\x04\xff\xff\xff?', 2 ** 30 - 1], ['i\xfc\0\0\0\xc0', -(2 ** 30)],
    ['l+\x07\0\0\0@', 2 ** 30], ['l-\x07\x01\0\0@', -(2 ** 30) - 1], ['l-\n\0\0\0\0\0\0\0\0@\0', -(2n ** 70n)], ['f\n1e300', 1e300], ['f\x08inf', Infinity], ['f\t-inf', -Infinity], ['f\x08nan', NaN], ['f\x062', 2],
    ['I"\x06a\x06:\x06EF', 'a'], ['"\x06\xff', Buffer.from([255])], ['I:\x07\xc3\xa9\x06:\x06ET', 'é'], ['{\x07:\x06ai\x06:\x06b;\0', { a: 1, b: 'a' }], ['{\x06i\x06i\x07', new Map([[1, 2]])],
    ['{\x06:\x0e__proto__i\x06', JSON.parse('{"__proto__":1}')], ['[\x07[\0@\x06', [[], []]], ['[\x08"\x06a@\x06f\x061', [Buffer.from('a'), Buffer.from('a'), 1]],
  ]
  for (const [text, value] of rows) t.strictSame(readMarshal(Buffer.from(`\x04\b${text}`, 'latin1')), value, JSON.stringify(text))
  const [first, second] = readMarshal(Buffer.from('\x04\b[\x07[\0@\x06', 'latin1')) as [unknown, unknown]
  t.equal(first, second)
  const broken = [
    '', 'i', 'i\x04\0', '"\x7fa', '"\xff\0', '[\x04\xff\xff\xff\x7f', '{\x04\xff\xff\xff\x7f', 'l+\x04\xff\xff\xff\x7f', '@\x06', '@\xff\0', ';\0', 'I"\x06a\x06i\x06T', 'Ii\0', 'II"\0', '[\x06@\0', '{\x06@\0T', 'TT', 'x', 'f\x06x', 'f\0',
    '{\x07:\x06aTI"\x06a\x06:\x06ETF', 'I"\x06a\0', 'o"\x06a', '['.repeat(3),
  ]
  for (const text of broken) t.throws(() => readMarshal(Buffer.from(`\x04\b${text}`, 'latin1')), { name: 'MemcacheValueError' }, JSON.stringify(text))
  for (const text of ['', '\x04', '\x03\bT', '\x04\tT']) t.throws(() => readMarshal(Buffer.from(text, 'latin1')), { name: 'MemcacheValueError' }, JSON.stringify(text))
})

void t.test('PHP: what serialize() does not write', async (t) => {
  const broken = [
    '', 'N', 'N:', 'b:2;', 'b:1', 'i:;', 'i:1', 'i:1.5;', 'd:;', 'd:x;', 's:1:"a"', 's:2:"a";', 's:-1:"";', 's:99999999999999999999:"";', 's:1:a;', 's:1;"a";', 'a:1:{}', 'a:1:{i:0;}', 'a:-1:{}', 'a:99999999:{', 'a:1:{N;N;}',
    'a:2:{i:0;N;i:0;N;}', 'a:0:{};', 'N;N;', 'x:1;', 'a:1:{d:1;N;}', 'a:0:[]',
  ]
  for (const text of broken) t.throws(() => readPhp(Buffer.from(text)), { name: 'MemcacheValueError' }, text)
  t.strictSame(readPhp(Buffer.from('a:2:{i:1;N;i:0;N;}')), new Map([[1, null], [0, null]]), 'the keys of a list, in another order')
})

void t.test('anything that is written comes back as it was', async (t) => {
  for (const [name, write, read] of [['Marshal', writeMarshal, readMarshal], ['PHP', writePhp, readPhp]] as const) {
    let count = 0
    fc.assert(fc.property(trees, (value) => {
      count += 1
      return fc.stringify(read(write(value))) === fc.stringify(value)
    }), { numRuns: 5000, seed: 4 })
    t.equal(count, 5000, name)
  }
})

void t.test('what is bent or cut is read as something or refused', async (t) => {
  const attempts: readonly (readonly [string, (value: unknown) => Buffer, (bytes: Buffer) => unknown])[] = [['Marshal', writeMarshal, readMarshal], ['PHP', writePhp, readPhp]]
  for (const [name, write, read] of attempts) {
    const bent = fc.tuple(trees, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.option(fc.nat())).map(([value, bends, cut]) => {
      const bytes = Buffer.from(write([value]))
      for (const [at, byte] of bends) bytes[at % bytes.length] = byte
      return cut === null ? bytes : bytes.subarray(0, cut % bytes.length)
    })
    fc.assert(fc.property(bent, (bytes) => {
      try {
        read(bytes)
      } catch (error) {
        if (!(error instanceof MemcacheValueError)) throw error
      }
    }), { numRuns: 5000, seed: 4 })
    t.pass(name)
  }
})

void t.test('deep, wide and long: bounded', async (t) => {
  const million = 1_000_000
  const rows: readonly (readonly [(bytes: Buffer) => unknown, string, RegExp])[] = [
    [readMarshal, `\x04\b${'[\x06'.repeat(million)}`, /500 levels/], [readMarshal, `\x04\b${'{\x06'.repeat(million)}`, /500 levels/], [readMarshal, `\x04\b${'I"\0\x06:\x06E'.repeat(million)}`, /Marshal data/],
    [readMarshal, `\x04\b[\x04\xff\xff\xff\x7f${'[\0'.repeat(3 * million)}`, /more than 2000000 objects/], [readPhp, 'a:1:{i:0;'.repeat(million), /500 levels/],
    [readPhp, `i:${'9'.repeat(million)};`, /long/],
  ]
  for (const [read, text, message] of rows) t.throws(() => read(Buffer.from(text, 'latin1')), { name: 'MemcacheValueError', message })
  let twice: unknown = ['x']
  for (let depth = 0; depth < 400; depth += 1) twice = [twice, twice]
  t.ok(writeMarshal(twice).length < 10_000, 'what is used twice is written once')
})

void t.test('compression, as each of them does it', async (t) => {
  const value = 'compress me '.repeat(500)
  const rows: readonly (readonly [Format, number, string])[] = [[pyermc, 8, 'p\x17\0\0'], [pymemcache, 24, '\x78\x9c'], [pylibmc, 24, '\x78\x9c'], [dalli, 3, '\x78\x9c'], [phpMemcached, 0x30, 'p\x17\0\0\x78\x9c'], [spymemcached, 2, '\x1f\x8b']]
  for (const [format, flags, start] of rows) {
    const stored = encode(format, value, 1)
    t.strictSame([stored.flags, stored.value.toString('latin1', 0, start.length)], [flags, start], format.name)
    t.equal(decode(format, stored.flags, stored.value), value)
  }
  for (const format of [memjs, memcached]) t.equal(encode(format, value, 1).value.toString(), value, `${format.name} knows none`)
  t.equal(decode(dalli, 3, gzipSync(writeMarshal('gzip'))), 'gzip', 'dalli can be told to use gzip')
  t.throws(() => decode(phpMemcached, 0x70, 'x'), { name: 'MemcacheValueError', message: /more than one way/ })
})

void t.test('what claims to be compressed is not believed', async (t) => {
  const bomb = Buffer.alloc(2 * MAX)
  const sized = (length: number, bytes: Buffer | string): Buffer => {
    const header = Buffer.alloc(4)
    header.writeUInt32LE(length)
    return Buffer.concat([header, Buffer.from(bytes as string, 'latin1')])
  }
  const rows: readonly (readonly [Format, number, Buffer, RegExp])[] = [
    [pymemcache, 8, deflateSync(bomb), /larger than 1000000/], [pylibmc, 8, deflateSync(bomb), /larger/], [dalli, 2, deflateSync(bomb), /larger/], [dalli, 2, gzipSync(bomb), /larger/], [spymemcached, 2, gzipSync(bomb), /larger/],
    [phpMemcached, 0x30, sized(2 ** 32 - 1, deflateSync(bomb)), /at most 1000000 can be true/], [phpMemcached, 0x30, sized(5, deflateSync(bomb)), /larger than 5/], [phpMemcached, 0x30, sized(5, deflateSync(Buffer.alloc(4))), /but is 4/],
    [phpMemcached, 0x30, sized(5, ''), /too few/], [phpMemcached, 0x50, sized(2 ** 31, '\0a'), /at most \d+ can be true/], [phpMemcached, 0x50, sized(2, '\0a'), /FastLZ/],
    [pymemcache, 8, Buffer.concat([deflateSync(bomb.subarray(0, 9)), bomb.subarray(0, 3)]), /3 bytes more/], [pymemcache, 8, Buffer.from('nonsense'), /header/], [dalli, 2, Buffer.from('nonsense'), /header/], [spymemcached, 2, Buffer.from('nonsense'), /header/],
  ]
  await using server = await startServer()
  for (const [format, flags, bytes, message] of rows) {
    t.throws(() => decode(format, flags, bytes), { message }, `${format.name}, ${flags}`)
    await using forger = new Client({ port: server.port, serializer: { name: 'forged', compressors: [], encode: (value) => ({ value: value as Buffer, flags }), decode: (value) => value } })
    await using client = new Client({ port: server.port, serializer: format })
    await forger.set('k', Buffer.concat([bytes.subarray(0, 6), Buffer.from('broken')]))
    t.match(await rejection(client.get('k')), { name: 'MemcacheValueError', sent: true })
    t.equal(await client.set('k', 'the connection lives'), true)
  }
})

void t.test('counters have the flags that the client gives them', async (t) => {
  const rows: readonly (readonly [Format, number, unknown])[] = [[pyermc, 2, 5], [pythonMemcached, 2, 5], [pymemcache, 2, 5], [pylibmc, 4, 5], [dalli, 0, '5'], [phpMemcached, 1, 5], [spymemcached, 0, '5'], [memcached, 8, 5]]
  for (const [format, flags, read] of rows) {
    await using server = await startServer()
    await using client = new Client({ port: server.port, serializer: format, driver: meta })
    t.equal(await client.incr('n', 1, { initial: 5 }), 5)
    t.strictSame(await client.get('n'), read, format.name)
    t.equal((await client.metaGet('n'))?.flags, flags)
    t.equal(await client.incr('n', 2), 7)
  }
})

void t.test('FastLZ', async (t) => {
  const block = (...parts: (string | number)[]): Buffer => Buffer.from(parts.map((part) => (typeof part === 'number' ? String.fromCharCode(part) : part)).join(''), 'latin1')
  t.equal(readFastlz(block(2, 'abc'), 3).toString(), 'abc')
  t.equal(readFastlz(block(0, 'a', 0x20, 0), 4).toString(), 'aaaa', 'it may overlap itself')
  t.equal(readFastlz(block(2, 'abc', 0xe0, 0, 2), 12).toString(), 'abcabcabcabc')
  t.equal(readFastlz(block(0x20, 'a', 0xe0, 255, 1, 0), 266).toString(), 'a'.repeat(266), 'level 2: a length of several bytes')
  for (const [bytes, length] of [
    [block(), 0], [block(), 1], [block(2, 'ab'), 3], [block(2, 'abc'), 2], [block(2, 'abc'), 4], [block(0, 'a', 0x20, 1), 4], [block(0, 'a', 0x20), 4], [block(0, 'a', 0xe0), 9], [block(0, 'a', 0x20, 0), 3], [block(0x20, 'a', 0xff, 0, 255, 0), 20],
  ] as const) {
    t.throws(() => readFastlz(bytes, length), { name: 'MemcacheValueError', message: /FastLZ/ }, bytes.toString('hex'))
  }
})

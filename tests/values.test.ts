import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Client } from '../lib/client.ts'
import type { Item, StoreMode } from '../lib/commands.ts'
import { compose, type Codec } from '../lib/codec.ts'
import { compression } from '../lib/compression.ts'
import { MemcacheError, MemcacheValueError } from '../lib/errors.ts'
import { flags } from '../lib/flags.ts'
import type { ClientOptions } from '../lib/options.ts'
import { ownFormat, serialization } from '../lib/serialization.ts'
import { startServer } from '../lib/testing/index.ts'
import { json } from '../serializers/json.ts'
import { lz4 } from '../serializers/lz4.ts'
import { rejection } from '../lib/testing/contract/rejection.ts'

/** Values to bytes and back: by themselves, and through a client. */

const format = ownFormat([json], [lz4])
const plain = serialization(format)
const squeezed = compose(plain, compression(format, { minLength: 1, maxLength: 1_000_000 }))

function encode(codec: Codec<unknown, Buffer>, value: unknown, mode: StoreMode = 'set', minCompressLength?: number): Item {
  return codec.encode({ value, flags: 0 }, mode, minCompressLength === undefined ? undefined : { minCompressLength })
}

function decode(codec: Codec<unknown, Buffer>, bytes: Buffer | string, itemFlags: number): unknown {
  return codec.decode({ value: Buffer.from(bytes as string), flags: itemFlags }).value
}

/** The 4-byte length and the block, as Python's lz4 writes them; the block is built by hand. */
function block(length: number, ...bytes: readonly (number | string)[]): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(length)
  return Buffer.concat([head, ...bytes.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part])))])
}

/** 'a' and 99 times what stands one byte before, then the five literals that end a block. */
const AS = block(100, 0x1f, 'a', 0x01, 0x00, 75, 0x50, 'aaaaa')

void t.test('the table of flags is the contract', async (t) => {
  t.strictSame({ ...flags }, { string: 0, pickle: 1, integer: 2, long: 4, lz4: 8, bytes: 16, json: 32, v8: 64, msgpack: 128, deflate: 256, zstd: 512 })
  for (const known of [0, 1, 2, 4, 16, 32, 64, 128, 247]) t.equal(format.knows?.(known), true)
  for (const unknown of [8, 256, 257, 2 ** 16, 2 ** 31, 2 ** 32 - 1]) t.equal(format.knows?.(unknown), false, String(unknown))
  t.strictSame([json.flag, lz4.flag], [32, 8])
})

void t.test('each kind of value has its bytes and its flags', async (t) => {
  const rows: readonly (readonly [unknown, string, number])[] = [
    ['', '', 0], ['text', 'text', 0], ['12', '12', 0], ['é☃😀', 'é☃😀', 0],
    [0, '0', 2], [-1, '-1', 2], [Number.MAX_SAFE_INTEGER, '9007199254740991', 2], [Number.MIN_SAFE_INTEGER, '-9007199254740991', 2],
    [0n, '0', 4], [-(2n ** 70n), '-1180591620717411303424', 4], [2n ** 64n, '18446744073709551616', 4],
    [null, 'null', 32], [true, 'true', 32], [false, 'false', 32], [-0, '-0', 32], [1.5, '1.5', 32], [2 ** 53, '9007199254740992', 32], [1e300, '1e+300', 32],
    [{ a: [1, null] }, '{"a":[1,null]}', 32], [[], '[]', 32],
  ]
  for (const [value, text, itemFlags] of rows) {
    const item = encode(plain, value)
    t.strictSame([item.value.toString(), item.flags], [text, itemFlags])
    const read = decode(plain, item.value, item.flags)
    t.strictSame(read, value)
    t.equal(Object.is(read, -0), Object.is(value, -0))
  }
  t.strictSame(decode(plain, encode(plain, Object.create(null)).value, flags.json), {}, 'an object without a prototype has one when it comes back')
  const bytes = Buffer.from([0, 255])
  t.strictSame(encode(plain, bytes), { value: bytes, flags: 16, cas: undefined })
  t.strictSame(decode(plain, bytes, 16), bytes)
})

void t.test('what others have written is read', async (t) => {
  t.equal(decode(plain, '1', flags.integer), 1, 'Python\'s True')
  t.equal(decode(plain, '18446744073709551615', flags.integer), 18446744073709551615n, 'an integer past 2^53')
  t.equal(decode(plain, '-9007199254740993', flags.integer), -9007199254740993n)
  t.equal(decode(plain, '5', flags.long), 5n)
  t.equal(decode(plain, '99   ', flags.integer), 99, 'padded by the server')
  t.equal(decode(plain, '99 ', flags.long), 99n)
  for (const text of ['', ' ', '1.5', 'abc', '1 2', '0x10', '1e3', '--1', '+', '1_000', '\u0661']) {
    t.throws(() => decode(plain, text, flags.integer), { name: 'MemcacheValueError' }, JSON.stringify(text))
    t.throws(() => decode(plain, text, flags.long), { name: 'MemcacheValueError' }, JSON.stringify(text))
  }
  const binary = Buffer.from([0xff, 0xfe, 0x00])
  t.strictSame(decode(plain, binary, flags.string), binary, 'no UTF-8: the bytes')
  t.equal(decode(plain, '\ufffd', flags.string), '\ufffd', 'which is UTF-8 all the same')
  t.equal(decode(plain, '\ufeffx', flags.string), '\ufeffx', 'a byte order mark is part of the text')
  t.strictSame(decode(plain, Buffer.from('\ud800', 'utf16le'), 0), Buffer.from([0x00, 0xd8]))
  for (const unknown of [flags.pickle, flags.v8, flags.msgpack, 3, 6, 256, 0xffff_ffff, flags.bytes]) {
    t.strictSame(decode(plain, 'bytes', unknown), Buffer.from('bytes'), `flags ${unknown}`)
  }
})

void t.test('what JSON would change is refused, with the path to it', async (t) => {
  class Point { x = 1 }
  const sparse = [1, , 3] // eslint-disable-line no-sparse-arrays
  const rows: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /undefined/], [NaN, /NaN/], [Infinity, /Infinity/], [-Infinity, /-Infinity/], [() => 1, /function/], [Symbol('s'), /symbol/],
    [new Date(0), /Date/], [new Map([[1, 2]]), /Map/], [new Set(), /Set/], [/x/, /RegExp/], [new Point(), /Point/], [new Error('x'), /Error/],
    [new Uint8Array(1), /Uint8Array/], [new Float64Array(1), /Float64Array/], [new ArrayBuffer(1), /ArrayBuffer/], [Promise.resolve(), /Promise/],
    [Object('boxed'), /String/], [Object(5), /Number/], [Object(true), /Boolean/],
    [{ a: { b: [0, { c: NaN }] } }, /NaN.*\.a\.b\[1\]\.c/], [[[undefined]], /undefined.*\[0\]\[0\]/], [sparse, /undefined.*\[1\]/],
    [{ when: new Date(0) }, /Date.*\.when/], [{ at: [-0] }, /-0.*\.at\[0\]/], [{ f() {} }, /function.*\.f/], [{ s: Symbol('x') }, /symbol.*\.s/],
    [{ b: Buffer.from('x') }, /Buffer.*\.b|Buffer/], [{ a: { toJSON: () => 'other' } }, /toJSON.*\.a/],
  ]
  for (const [value, message] of rows) t.throws(() => encode(plain, value), { name: 'MemcacheValueError', message }, message.source)
  t.throws(() => encode(plain, { a: 1n }), { name: 'MemcacheValueError' }, 'a nested bigint')
  const circular: { self?: unknown } = {}
  circular.self = [circular]
  t.throws(() => encode(plain, circular), { name: 'MemcacheValueError' }, 'a cycle')
  let deep: unknown = 1
  for (let depth = 0; depth < 200_000; depth += 1) deep = [deep]
  t.throws(() => encode(plain, deep), { name: 'MemcacheValueError' }, 'deeper than the stack')
  t.throws(() => encode(plain, { get x() { throw new RangeError('mine') } }), { name: 'MemcacheValueError', message: /mine/ })
  t.strictSame(decode(plain, encode(plain, { a: 1, b: undefined }).value, flags.json), { a: 1 }, 'a property that is undefined is none')
  const own = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1}') as object
  const read = decode(plain, encode(plain, own).value, flags.json) as { polluted?: unknown }
  t.strictSame(Object.keys(read), ['__proto__', 'constructor'])
  t.equal(read.polluted, undefined)
  t.strictSame(decode(plain, encode(plain, { '\ud800': '\udfff' }).value, flags.json), { '\ud800': '\udfff' }, 'JSON has escapes for lone surrogates')
})

void t.test('what JSON would drop is refused', async (t) => {
  class List extends Array<number> {}
  const rows: readonly (readonly [string, unknown])[] = [
    ['a property named by a symbol', { [Symbol('s')]: 1 }],
    ['a nested one', { a: [{ [Symbol('s')]: 1 }] }],
    ['a property of an array', Object.assign([1], { extra: 2 })],
    ['the groups of a match', 'ab'.match(/(?<first>a)/)],
    ['the class of an array', List.of(1, 2)],
    ['a prototype that is no Object\'s', Object.create(Object.assign(Object.create(null), { inherited: 1 }))],
  ]
  for (const [what, value] of rows) t.throws(() => encode(plain, value), { name: 'MemcacheValueError' }, what)
})

void t.test('a string with a lone surrogate is refused, since UTF-8 cannot say it', async (t) => {
  for (const text of ['\ud800', 'a\udc00b', '\udc00\ud800', 'ok \ud83d']) t.throws(() => encode(plain, text), { name: 'MemcacheValueError', message: /surrogate/ })
  t.equal(decode(plain, encode(plain, '\ud83d\ude00').value, 0), '😀')
})

void t.test('append and prepend take bytes only', async (t) => {
  for (const mode of ['append', 'prepend'] as const) {
    t.equal(encode(plain, 'x', mode).value.toString(), 'x')
    t.equal(encode(plain, 5, mode).value.toString(), '5')
    t.equal(encode(plain, 5n, mode).value.toString(), '5')
    for (const value of [null, true, 1.5, {}, [], -0]) t.throws(() => encode(plain, value, mode), { name: 'MemcacheValueError', message: new RegExp(mode) })
  }
})

void t.test('compressed only where it was asked for, is allowed, and is shorter', async (t) => {
  const long = 'la '.repeat(100)
  const limits = (minLength: number, maxLength = 1_000_000): Codec<unknown, Buffer> => compose(plain, compression(format, { minLength, maxLength }))
  t.equal(encode(limits(0), long).flags, flags.string, '0 = never')
  t.equal(encode(limits(301), long).flags, flags.string, 'too short')
  t.equal(encode(limits(300), long).flags, flags.lz4, 'long enough')
  t.equal(encode(limits(1, 299), long).flags, flags.string, 'longer than what would be decompressed')
  t.equal(encode(limits(0), long, 'set', 1).flags, flags.lz4, 'a call\'s own')
  t.equal(encode(limits(1), long, 'set', 0).flags, flags.string, 'a call\'s own 0')
  for (const mode of ['append', 'prepend'] as const) t.equal(encode(limits(1), long, mode, 1).value.toString(), long, mode)
  for (const mode of ['set', 'add', 'replace', 'cas'] as const) t.equal(encode(limits(1), long, mode).flags, flags.lz4, mode)
  for (const value of ['', 'a', randomBytes(1000), 5, Buffer.alloc(0), null]) {
    const item = encode(limits(1), value)
    t.equal(item.flags & flags.lz4, 0, 'not shorter')
    t.strictSame(squeezed.decode(item).value, value)
  }
  t.equal(encode(limits(1), { text: long }).flags, flags.lz4 | flags.json)
  t.equal(encode(limits(1), Buffer.alloc(500)).flags, flags.lz4 | flags.bytes)
  t.equal(encode(limits(1), 10n ** 500n).flags, flags.lz4 | flags.long)
  const compressed = encode(limits(1), long)
  t.equal(compressed.value.readUInt32LE(0), 300, 'the length stands in front')
  t.ok(compressed.value.length < 100)
})

void t.test('lz4 as Python writes it is read', async (t) => {
  t.equal(decode(squeezed, block(3, 0x30, 'abc'), flags.lz4), 'abc', 'only literals')
  t.equal(decode(squeezed, AS, flags.lz4), 'a'.repeat(100))
  t.equal(decode(squeezed, block(0, 0x00), flags.lz4), '', 'nothing')
  t.equal(decode(squeezed, block(2, 0x20, '42'), flags.lz4 | flags.integer), 42)
  t.equal(decode(squeezed, block(20, 0xf0, 5, '12345678901234567890'), flags.lz4 | flags.long), 12345678901234567890n)
  t.strictSame(decode(squeezed, block(7, 0x70, '{"a":1}'), flags.lz4 | flags.json), { a: 1 })
  t.strictSame(decode(squeezed, block(4, 0x40, 0x80, 0x02, 0x4e, 0x2e), flags.lz4 | flags.pickle), Buffer.from([0x80, 2, 0x4e, 0x2e]), 'a pickle: its bytes')
  const bits = flags.lz4 | 256
  t.strictSame(decode(squeezed, AS, bits), AS, 'flags that somebody else has made: as it is, the bit may mean another thing')
})

/** Blocks that lie, or are broken. */
const BAD: readonly (readonly [string, Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['too short', Buffer.from([1, 0, 0, 0])],
  ['4 GiB from 26 bytes', Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff]), Buffer.alloc(22, 0x11)])],
  ['1 GiB from 4 MiB', (() => { const bytes = Buffer.alloc(4 * 1024 * 1024); bytes.writeUInt32LE(2 ** 30); return bytes })()],
  ['more than the block says', block(101, ...[...AS.subarray(4)])],
  ['less than the block says', block(99, ...[...AS.subarray(4)])],
  ['0 but there is something', block(0, ...[...AS.subarray(4)])],
  ['cut off', AS.subarray(0, AS.length - 3)],
  ['a match before the start', block(100, 0x1f, 'a', 0xff, 0xff, 75, 0x50, 'aaaaa')],
  ['literals past the end', block(200, 0xff, 0xff, 0xff, 'abc')],
  ['noise', block(60, ...Array.from({ length: 40 }, (_, index) => (index * 151 + 7) & 0xff))],
]

void t.test('a forged, cut or damaged block is refused, whatever its flags', async (t) => {
  for (const [what, bytes] of BAD) {
    for (const more of [0, flags.bytes, flags.json, flags.integer, flags.pickle]) {
      try {
        squeezed.decode({ value: bytes, flags: flags.lz4 | more })
        t.fail(`${what} was read`)
      } catch (error) {
        t.ok(error instanceof Error, what)
      }
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 1, maxLength: 4 }), (bytes, at) => {
    const value = Buffer.from(bytes)
    const damaged = Buffer.from(AS)
    for (const place of at) damaged[place % damaged.length] = place
    for (const each of [value, damaged]) {
      try {
        t.ok(Buffer.isBuffer(compression(format, { minLength: 0, maxLength: 5000 }).decode({ value: each, flags: 8 }).value))
      } catch (error) {
        if (!(error instanceof Error)) throw error
      }
    }
  }), { numRuns: 300 })
})

/** An embedded server, a client of it, and a way to store what no client would. */
async function scene(t: Test, options: ClientOptions = {}): Promise<{ client: Client; plant: (key: string, itemFlags: number, bytes: Buffer | string) => Promise<void> }> {
  const server = await startServer({ itemSizeMax: 16 * 1024 * 1024 })
  const client = new Client({ host: server.host, port: server.port, ...options })
  const socket = connect(server.port, server.host)
  t.teardown(async () => {
    socket.destroy()
    await client.close()
    await server.close()
  })
  const plant = (key: string, itemFlags: number, bytes: Buffer | string): Promise<void> =>
    new Promise((resolve, reject) => {
      const value = Buffer.from(bytes as string)
      socket.once('data', (reply) => (reply.toString() === 'STORED\r\n' ? resolve() : reject(new Error(reply.toString()))))
      socket.write(Buffer.concat([Buffer.from(`set ${key} ${itemFlags} 0 ${value.length}\r\n`), value, Buffer.from('\r\n')]))
    })
  return { client, plant }
}

void t.test('what cannot be decoded rejects its own call, and harms nothing', async (t) => {
  const { client, plant } = await scene(t)
  await client.set('good', { a: 1 })
  const { socket } = client
  const bad: readonly (readonly [string, number, Buffer | string])[] = [
    ...BAD.map(([what, bytes]) => [what, flags.lz4, bytes] as const),
    ['no JSON', flags.json, '{"a":'], ['nothing as JSON', flags.json, ''], ['no number', flags.integer, 'x'], ['nothing as a number', flags.long, ''],
    ['damaged JSON', flags.json | flags.lz4, block(3, 0x30, '{"a')],
  ]
  for (const [what, itemFlags, bytes] of bad) {
    await plant('bad', itemFlags, bytes)
    const [first, good, second, third, multi, after] = await Promise.all([
      rejection(client.get('bad')), client.get('good'), rejection(client.gets('bad')), rejection(client.gat('bad', 60)), rejection(client.getMulti(['good', 'bad'])), client.getMulti(['good']),
    ])
    for (const error of [first, second, third, multi]) {
      t.ok(error instanceof MemcacheValueError, `${what}: ${error.message}`)
      t.match(error, { code: 'ERR_MEMCACHE_VALUE', sent: true, message: /"bad"/ })
    }
    t.match(first, { command: 'get', server: /^127/ })
    t.match(multi, { command: 'getMulti' })
    t.strictSame(good, { a: 1 })
    t.strictSame(after, new Map([['good', { a: 1 }]]))
  }
  t.equal(client.socket, socket, 'on the same connection')
  t.equal(await client.delete('bad'), true)
})

void t.test('a claim reserves no memory', async (t) => {
  const { client, plant } = await scene(t)
  await plant('claim', flags.lz4, BAD[2]?.[1] ?? '')
  await plant('big', flags.lz4, BAD[3]?.[1] ?? '')
  await client.get('warm')
  const before = process.memoryUsage()
  let most = 0
  for (let round = 0; round < 30; round += 1) {
    for (const key of ['claim', 'big']) t.ok((await rejection(client.get(key))) instanceof MemcacheValueError)
    const { rss, external, arrayBuffers } = process.memoryUsage()
    most = Math.max(most, rss - before.rss, external - before.external, arrayBuffers - before.arrayBuffers)
  }
  t.ok(most < 512 * 1024 * 1024, `${Math.round(most / 1024 / 1024)} MiB at most`)
})

void t.test('flags that nobody here knows come back as a Buffer through every read', async (t) => {
  const { client, plant } = await scene(t)
  for (const itemFlags of [1, 64, 128, 3, 9, 1024, 0x8000_0000, 0xffff_ffff]) {
    await plant('k', itemFlags, itemFlags === 9 ? AS : 'bytes')
    const value = itemFlags === 9 ? Buffer.alloc(100, 'a') : Buffer.from('bytes')
    t.strictSame(await client.get('k'), value, String(itemFlags))
    t.strictSame((await client.gets('k'))?.value, value)
    t.strictSame(await client.getMulti(['k']), new Map([['k', value]]))
  }
  await plant('k', 0, Buffer.from([0xc3, 0x28]))
  t.strictSame(await client.get('k'), Buffer.from([0xc3, 0x28]), 'text that is no UTF-8')
})

void t.test('the bytes are a copy of one\'s own', async (t) => {
  const { client } = await scene(t)
  const value = Buffer.from('original')
  const stored = client.set('k', value)
  value.fill(0)
  await stored
  const [first, second] = await Promise.all([client.get<Buffer>('k'), client.get<Buffer>('k')])
  t.equal(first?.toString(), 'original', 'what happens to a short value after the call does not matter')
  first?.fill(1)
  t.equal(second?.toString(), 'original')
  t.ok((first?.buffer.byteLength ?? 0) <= Math.max(16_384, Buffer.poolSize), 'a small value does not hold the chunk that it came in')
})

void t.test('a serializer or compressor of the user\'s own that does it wrong', async (t) => {
  const wrong = { flag: 256, serialize: (value: unknown) => JSON.stringify(value) as unknown as Buffer, deserialize: (bytes: Buffer) => JSON.parse(bytes.toString()) as unknown }
  const cases: readonly (readonly [string, ClientOptions])[] = [
    ['serialize gives a string', { serializer: wrong }],
    ['serialize gives a Uint8Array', { serializer: { ...wrong, serialize: (value) => new TextEncoder().encode(JSON.stringify(value)) as Buffer } }],
    ['serialize gives nothing', { serializer: { ...wrong, serialize: () => undefined as unknown as Buffer } }],
    ['serialize gives an object', { serializer: { ...wrong, serialize: () => ({ length: 3, toString: () => 'x\r\nflush_all' }) as unknown as Buffer } }],
    ['serialize throws', { serializer: { ...wrong, serialize: () => { throw new TypeError('mine') } } }],
    ['compress gives a Uint8Array', { serializer: { ...wrong, serialize: (value) => Buffer.from(JSON.stringify(value)) }, minCompressLength: 1, compressor: { flag: 512, compress: (bytes) => new Uint8Array(deflateRawSync(bytes)) as Buffer, decompress: (bytes) => inflateRawSync(bytes) } }],
    ['compress throws', { serializer: { ...wrong, serialize: (value) => Buffer.from(JSON.stringify(value)) }, minCompressLength: 1, compressor: { flag: 512, compress: () => { throw new TypeError('mine') }, decompress: (bytes) => bytes } }],
  ]
  for (const [what, options] of cases) {
    const { client } = await scene(t, options)
    await client.set('other', 'kept', { minCompressLength: 0 })
    const { socket } = client
    const value = { text: 'žluťoučký kůň ☃ '.repeat(20) }
    const outcome = await client.set('k', value).catch((error: unknown) => error)
    if (outcome === true) t.strictSame(await client.get('k').catch((error: unknown) => error), value, `${what}: stored, so it has to come back`)
    else t.ok(outcome instanceof MemcacheValueError, `${what}: ${String(outcome)}`)
    t.equal(await client.get('other').catch((error: unknown) => error), 'kept')
    t.equal(client.socket, socket, `${what}: the connection lives`)
  }
  const { client } = await scene(t, { serializer: { ...wrong, serialize: (value) => Buffer.from(JSON.stringify(value)), deserialize: () => { throw new TypeError('mine') } } })
  await client.set('k', [1])
  t.match(await rejection(client.get('k')), { name: 'MemcacheValueError', message: /mine/, cause: { name: 'TypeError' } })
})

void t.test('whatever is stored comes back', async (t) => {
  const { client } = await scene(t)
  const compressing = await scene(t, { minCompressLength: 1 })
  const value = fc.oneof(
    fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
    fc.integer(), fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.bigInt(), fc.boolean(), fc.constant(null),
    fc.jsonValue().filter((each) => !JSON.stringify(each, (_, inner: unknown) => (Object.is(inner, -0) ? 'minus zero' : inner)).includes('minus zero')),
    fc.array(fc.string()).map((parts) => parts.join('').repeat(20)),
  )
  const same = (read: unknown, stored: unknown): boolean => (Buffer.isBuffer(stored) ? Buffer.isBuffer(read) && read.equals(stored) : typeof stored === 'object' ? JSON.stringify(read) === JSON.stringify(stored) : Object.is(read, stored))
  let key = 0
  for (const each of [client, compressing.client]) {
    await fc.assert(fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 8 }), async (list) => {
      const entries = list.map((stored): [string, unknown] => [`p${(key += 1)}`, stored])
      await each.setMulti(entries)
      const read = await each.getMulti(entries.map(([name]) => name))
      for (const [name, stored] of entries) if (!same(read.get(name), stored)) throw new Error(`${String(stored)} came back as ${String(read.get(name))}`)
      const [name, stored] = entries[0] as [string, unknown]
      if (!same(await each.get(name), stored)) throw new Error(`get: ${String(stored)}`)
      return true
    }), { numRuns: 150 })
  }
  t.pass('strings, Buffers, integers, bigints, floats, JSON')
})

void t.test('any bytes with any flags are read, or refused with a typed error', async (t) => {
  const { client, plant } = await scene(t)
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), fc.oneof(fc.nat(255), fc.nat(2 ** 31 - 1)), async (bytes, itemFlags) => {
    await plant('any', itemFlags, Buffer.from(bytes))
    const outcome = await client.get('any').catch((error: unknown) => error)
    return !(outcome instanceof Error) || outcome instanceof MemcacheError
  }), { numRuns: 400 })
  t.ok(client.isConnected())
})

void t.test('a number of absurd length is refused, not read for seconds', async (t) => {
  const longest = 10n ** 9_999n
  t.strictSame(decode(plain, encode(plain, longest).value, flags.long), longest)
  t.throws(() => encode(plain, longest * 10n), MemcacheValueError)
  for (const itemFlags of [flags.integer, flags.long]) t.throws(() => decode(plain, '9'.repeat(10_001), itemFlags), MemcacheValueError)
  const { client, plant } = await scene(t)
  await plant('bomb', flags.long | flags.lz4, lz4.compress(Buffer.alloc(60_000_000, '9')))
  const [bomb, other] = await Promise.all([rejection(client.get('bomb')), client.get('other', { timeout: 2000 })])
  t.match(bomb, { name: 'MemcacheValueError', command: 'get' })
  t.equal(other, undefined)
})

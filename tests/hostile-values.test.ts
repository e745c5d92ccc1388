import { Buffer } from 'node:buffer'
import { isDeepStrictEqual } from 'node:util'
import { serialize } from 'node:v8'
import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Client, compat, flags, json, lz4, MemcacheUnsupportedError, MemcacheValueError, pickle, raw, v8, type ClientOptions, type Format, type Serializer } from '../lib/index.ts'
import type { Encoded } from '../lib/serialization.ts'
import { startServer } from '../lib/testing/index.ts'
import { msgpack } from '../serializers/msgpack.ts'
import { rejection } from '../lib/testing/contract/rejection.ts'
import { planting } from './support/planting.ts'

/** Items that an enemy has written: one call rejects, memory stays bounded, and the connection lives. */

t.setTimeout(180_000)

const MiB = 1024 * 1024
const ALL: ClientOptions = { serializer: [json, v8, msgpack, pickle] }
/** Every way in which items are read. */
const READERS: { readonly [name: string]: ClientOptions } = {
  'the default': {},
  'all serializers': ALL,
  raw: { serializer: raw },
  ...Object.fromEntries(Object.entries(compat).map(([name, serializer]) => [name, { serializer }])),
}

/** Stores an item as it is. */
type Plant = (key: string, itemFlags: number, value: Buffer) => Promise<void>

/** A server, and clients of it that have a connection each. */
async function readers(t: Test, options = READERS): Promise<{ plant: Plant; clients: Map<string, { client: Client; socket: Client['socket'] }> }> {
  const server = await startServer({ itemSizeMax: 8 * MiB })
  const open = (more: ClientOptions): Client => new Client(server.url, { timeout: 30_000, ...more })
  const planter = open({ serializer: planting, maxValueLength: 8 * MiB })
  const clients = new Map(Object.entries(options).map(([name, more]) => [name, open(more)]))
  t.teardown(async () => {
    await Promise.all([planter, ...clients.values()].map((client) => client.close()))
    await server.close()
  })
  await planter.set('good', { value: Buffer.from('still here'), flags: 0 })
  for (const client of clients.values()) await client.connect()
  const plant: Plant = async (key, itemFlags, value) => void (await planter.set(key, { value, flags: itemFlags }))
  return { plant, clients: new Map(Array.from(clients, ([name, client]) => [name, { client, socket: client.socket }])) }
}

/** As `readers`, but one that has all serializers. */
async function scene(t: Test): Promise<{ plant: Plant; client: Client; socket: Client['socket'] }> {
  const { plant, clients } = await readers(t, { all: ALL })
  return { plant, ...(clients.get('all') as { client: Client; socket: Client['socket'] }) }
}

function isRefusal(error: unknown): boolean {
  return error instanceof MemcacheValueError || error instanceof MemcacheUnsupportedError
}

/** The next item is read as if nothing had been; `socket` is that of before. */
async function lives(t: Test, client: Client, socket: Client['socket'], what: string): Promise<void> {
  const good = await client.get('good')
  if (String(good) !== 'still here' || client.socket !== socket) t.fail(`${what}: ${String(good)}, ${client.socket === socket ? 'the same' : 'another'} connection`)
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(Math.floor(value / 0x80))]
}

function hex(text: string): Buffer {
  return Buffer.from(text.replace(/ /g, ''), 'hex')
}

/** What V8 has serialized, but for its two first bytes. */
function v8Of(...parts: readonly (string | readonly number[])[]): Buffer {
  return Buffer.concat([Buffer.from([0xff, 0x0f]), ...parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part)))])
}

function sized(length: number, block: Buffer): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt32LE(length)
  return Buffer.concat([header, block])
}

/** Nested arrays, each of which claims as many elements as there are bytes behind it. */
function claims(begin: (left: number) => Buffer, length: number, depth: number): Buffer {
  const heads = Array.from({ length: depth }, (_, level) => begin(length - 8 * level - 16))
  return Buffer.concat([...heads, Buffer.alloc(length, '0')]).subarray(0, length)
}

const v8Claims = (length: number, depth = 900): Buffer => claims((left) => Buffer.from([0x41, ...varint(left)]), length, depth)

const array32 = (left: number): Buffer => {
  const head = Buffer.alloc(5, 0xdd)
  head.writeUInt32BE(left, 1)
  return head
}

/** So many arrays of holes, each of the length of the string before them. */
function holes(length: number, count: number): Buffer {
  const one = v8Of('a', varint(length), '@', [0], varint(length)).subarray(2)
  return Buffer.concat([v8Of('A', varint(count + 1), '"', varint(length)), Buffer.alloc(length, 'a'), repeated(count, one), v8Of('$', [0], varint(count + 1)).subarray(2)])
}

const LONELY = 100_000

function repeated(count: number, bytes: Buffer): Buffer {
  return Buffer.alloc(count * bytes.length, bytes)
}

/** Objects that have 1022 as their only element, for which V8 reserves 1,550. */
function lonely(begin: string, end: string, numbers: readonly number[], index: readonly number[] = varint(1022)): Buffer {
  const one = v8Of(begin, index, 'T', end, numbers).subarray(2)
  return Buffer.concat([v8Of('A', varint(LONELY)), repeated(LONELY, one), v8Of('$', [0], varint(LONELY)).subarray(2)])
}

/** Each has to be refused. */
const REFUSED: readonly (readonly [what: string, itemFlags: number, bytes: Buffer])[] = [
  ['v8: nested arrays of a claimed million each', flags.v8, Buffer.concat([v8Of(), v8Claims(MiB)])],
  ['v8: deeper ones', flags.v8, Buffer.concat([v8Of(), v8Claims(MiB, 100_000)])],
  ['v8: the same, compressed', flags.v8 | flags.lz4, lz4.compress(Buffer.concat([v8Of(), v8Claims(32 * MiB)]))],
  ['v8: an array of 2^32-1 holes', flags.v8, v8Of('a', varint(2 ** 32 - 1), '@', [0], varint(2 ** 32 - 1))],
  ['v8: arrays of holes as long as the item, together', flags.v8, holes(MiB / 2, 1000)],
  ['v8: a hundred thousand objects with the property 1022', flags.v8, lonely('oU', '{', [1])],
  ['v8: the same, by a string', flags.v8, lonely('o"\x041022', '{', [1], [])],
  ['v8: arrays without elements that have the element 1022', flags.v8, lonely('A\0U', '$', [1, 0])],
  ['v8: an array that becomes 2^32-5 long behind its end', flags.v8, v8Of('A', [0], 'U', varint(2 ** 32 - 6), 'T$', [1, 0])],
  ['v8: one with holes', flags.v8, v8Of('a', [1], 'U', varint(2 ** 32 - 6), 'T@', [1, 1])],
  ['msgpack: a hundred thousand maps with the key "1022"', flags.msgpack, Buffer.concat([array32(LONELY), repeated(LONELY, hex('81 a4 31303232 01'))])],
  ['msgpack: with the key 1022', flags.msgpack, Buffer.concat([array32(LONELY), repeated(LONELY, hex('81 cd03fe 01'))])],
  ['msgpack: with the key "1022" in a longer form', flags.msgpack, Buffer.concat([array32(LONELY), repeated(LONELY, hex('81 da0004 31303232 01'))])],
  ['pickle: a hundred thousand dicts with the key "1022"', flags.pickle, Buffer.concat([Buffer.from('](}X\x04\0\0\x001022q\0K\x01s'), repeated(LONELY, Buffer.from('}h\0K\x01s')), Buffer.from('e.')])],
  ['v8: a length of 36 bits', flags.v8, v8Of('A', [0xff, 0xff, 0xff, 0xff, 0xff, 1])],
  ['v8: an array in place of a pattern', flags.v8, Buffer.concat([v8Of('RA', varint(MiB)), v8Claims(MiB), Buffer.alloc(1)])],
  ['v8: an array in place of a boxed string', flags.v8, Buffer.concat([v8Of('sA', varint(MiB)), v8Claims(MiB)])],
  ['v8: an array in place of a message', flags.v8, Buffer.concat([v8Of('rmA', varint(MiB)), v8Claims(MiB), Buffer.from('.')])],
  ['v8: an array behind an error\'s two-byte message', flags.v8, Buffer.concat([v8Of('rmc', [2], 'ab', 'c'), v8Claims(MiB)])],
  ['v8: a string longer than the item', flags.v8, v8Of('"', varint(2 ** 31), 'abc')],
  ['v8: a bigint longer than the item', flags.v8, v8Of('Z', varint(2 ** 31), 'abc')],
  ['v8: an ArrayBuffer longer than the item', flags.v8, v8Of('B', varint(2 ** 30), 'abc')],
  ['v8: one that could grow', flags.v8, v8Of('~', [1], varint(2 ** 32 - 1), 'a')],
  ['v8: a view outside its bytes', flags.v8, v8Of('B', [1], 'aVB', [0], varint(100))],
  ['v8: a typed array longer than the item', flags.v8, v8Of('\\', [1], varint(2 ** 31), 'abc')],
  ['v8: a typed array of no type', flags.v8, v8Of('\\', [99, 1], 'a')],
  ['v8: a shared buffer', flags.v8, v8Of('u', [0])],
  ['v8: a WebAssembly module', flags.v8, v8Of('W', 'y', [0, 0])],
  ['v8: an object of the host', flags.v8, v8Of('p', [0])],
  ['v8: a reference to nothing', flags.v8, v8Of('^', [7])],
  ['v8: a property named by an object', flags.v8, v8Of('oo{', [0], '0{', [1])],
  ['v8: a wrong count of properties', flags.v8, v8Of('o{', [5])],
  ['v8: an end of something else', flags.v8, v8Of('A', [1], '{')],
  ['v8: a pattern that is none', flags.v8, v8Of('R"', [1], '(', [0])],
  ['v8: an older version', flags.v8, Buffer.concat([hex('ff0c'), Buffer.from('0')])],
  ['v8: a newer version', flags.v8, Buffer.concat([hex('ff63'), Buffer.from('0')])],
  ['v8: two values', flags.v8, v8Of('00')],
  ['v8: no value', flags.v8, v8Of()],
  ['v8: padding without end', flags.v8, Buffer.concat([v8Of(), Buffer.alloc(MiB)])],
  ['v8: nothing', flags.v8, Buffer.alloc(0)],
  ['v8: twenty million Maps, compressed', flags.v8 | flags.lz4, lz4.compress(Buffer.concat([v8Of('A', varint(20_000_000)), Buffer.alloc(60_000_000, ';:\0', 'latin1'), Buffer.from('$'), Buffer.from([0, ...varint(20_000_000)])]))],
  ['msgpack: sixty million maps, compressed', flags.msgpack | flags.lz4, lz4.compress(Buffer.concat([array32(60_000_000), Buffer.alloc(60_000_000, 0x80)]))],
  ['msgpack: nested arrays of a claimed million each', flags.msgpack, claims(array32, MiB, 900)],
  ['msgpack: deeper ones', flags.msgpack, claims(array32, MiB, 100_000)],
  ['msgpack: an array of 2^32-1 elements', flags.msgpack, hex('dd ffffffff c0')],
  ['msgpack: a map of 2^32-1 pairs', flags.msgpack, hex('df ffffffff c0 c0')],
  ['msgpack: a string of 4 GiB', flags.msgpack, hex('db ffffffff 61')],
  ['msgpack: bytes of 4 GiB', flags.msgpack, hex('c6 ffffffff 61')],
  ['msgpack: an extension of 4 GiB', flags.msgpack, hex('c9 ffffffff 01 61')],
  ['msgpack: __proto__', flags.msgpack, hex('81 a9 5f5f70726f746f5f5f 81 a1 61 01')],
  ['msgpack: a million levels', flags.msgpack, Buffer.concat([Buffer.alloc(MiB, 0x91), hex('c0')])],
  ['msgpack: a million levels, compressed', flags.msgpack | flags.lz4, lz4.compress(Buffer.concat([Buffer.alloc(16 * MiB, 0x91), hex('c0')]))],
  ['pickle: os.system', flags.pickle, Buffer.from("cos\nsystem\n(S'false'\ntR.")],
  ['pickle: a million levels', flags.pickle, Buffer.concat([Buffer.alloc(MiB, '('), Buffer.from('.')])],
  ['json: cut off', flags.json, Buffer.from('{"a":[1,2')],
  ['json: half a million levels, no end', flags.json, Buffer.alloc(MiB / 2, '[')],
  ['json: sixty million levels, compressed', flags.json | flags.lz4, lz4.compress(Buffer.alloc(60_000_000, '['))],
  ['json: twenty million objects, compressed', flags.json | flags.lz4, lz4.compress(Buffer.from(`[${'{},'.repeat(20_000_000)}0]`))],
  ['json: no UTF-8', flags.json, hex('22ff22')],
  ['an integer of a million digits', flags.integer, Buffer.alloc(MiB, '9')],
  ['a long of a million digits, compressed', flags.long | flags.lz4, lz4.compress(Buffer.alloc(MiB, '9'))],
  ['lz4: 4 GiB from 26 bytes', flags.lz4, sized(2 ** 32 - 1, Buffer.alloc(22, 0x11))],
  ['lz4: 1 GiB from 5 MiB', flags.lz4, sized(2 ** 30, Buffer.alloc(5 * MiB, 0xff))],
  ['lz4: too short', flags.lz4, hex('010000')],
  ['deflate: 200 MiB from 200 KB', flags.deflate, deflateSync(Buffer.alloc(200 * MiB))],
  ['deflate: cut off', flags.deflate | flags.json, deflateSync(Buffer.from('{"a":1}')).subarray(0, 10)],
  ['deflate: none', flags.deflate, Buffer.from('text')],
  ['compressed in two ways', flags.deflate | flags.lz4 | flags.bytes, lz4.compress(deflateSync(Buffer.alloc(100)))],
]

void t.test('forged, cut off, nested without end: one call rejects', async (t) => {
  const { client, socket, plant } = await scene(t)
  const before = process.memoryUsage().rss
  let [most, slowest] = [0, 0]
  for (const [what, itemFlags, bytes] of REFUSED) {
    await plant('bad', itemFlags, bytes)
    const began = performance.now()
    const [error, good, multi] = await Promise.all([rejection(client.get('bad')), client.get('good'), rejection(client.getMulti(['good', 'bad']))])
    slowest = Math.max(slowest, performance.now() - began)
    t.ok(error instanceof MemcacheValueError && /"bad"/.test(error.message), `${what}: ${String(error).slice(0, 150)}`)
    t.ok(multi instanceof MemcacheValueError && multi.sent)
    t.equal(good, 'still here')
    await lives(t, client, socket, what)
    most = Math.max(most, process.memoryUsage().rss - before)
  }
  t.ok(most < 700 * MiB, `${Math.round(most / MiB)} MiB more at most`)
  t.ok(slowest < 10_000, `${Math.round(slowest)} ms at most`)
})

void t.test('elements far behind others in the formats of PHP and Ruby', async (t) => {
  const php = Buffer.from(`a:${LONELY}:{${Array.from({ length: LONELY }, (_, index) => `i:${index};a:1:{s:4:"1022";i:1;}`).join('')}}`)
  t.throws(() => compat.phpMemcached.decode(php, 4), { name: 'MemcacheValueError', message: /more than/ })
  const ruby = Buffer.concat([Buffer.from('\x04\b[\x03\xa0\x86\x01', 'latin1'), Buffer.from('{\x06:\t1022i\x06'), repeated(LONELY - 1, Buffer.from('{\x06;\0i\x06'))])
  t.throws(() => compat.dalli.decode(ruby, 1), { name: 'MemcacheValueError', message: /more than/ })
})

void t.test('what is not read for its elements is not stored either; all else with integers as names is', async (t) => {
  const far = (count: number): object[] => Array.from({ length: count }, () => ({ 1022: 1 }))
  const sparse = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [index * 997, index]))
  const dense = Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [index, index]))
  const ids = Array.from({ length: 20_000 }, (_, index) => ({ [index % 40]: 'x', 10: 1 }))
  for (const [name, { encode, decode }] of Object.entries({ v8: own(v8), msgpack: own(msgpack), pickle: own(pickle), dalli: own(compat.dalli) })) {
    t.throws(() => encode(far(11_000)), { name: 'MemcacheValueError' }, name)
    for (const value of [far(9000), sparse, dense, ids]) t.ok(isDeepStrictEqual(decode(encode(value)), value), name)
  }
  const holey = Object.assign(new Array<number>(60_000), { 59_999: 1 })
  t.strictSame(v8.deserialize(v8.serialize(holey)), holey)
  t.throws(() => v8.serialize([holey, [...holey], { a: holey.slice() }]), { message: 'V8 cannot keep an array of length 60000: too many elements are holes, which is at [2].a' })
})

/** A serializer or a format, by itself. */
function own(writer: Serializer | Format): { encode(value: unknown): Encoded; decode(encoded: Encoded): unknown } {
  if ('encode' in writer) return { encode: (value) => writer.encode(value), decode: ({ value, flags: itemFlags }) => writer.decode(value, itemFlags) }
  return { encode: (value) => ({ value: writer.serialize(value), flags: writer.flag }), decode: ({ value }) => writer.deserialize(value) }
}

void t.test('zstd too, which may not be there', async (t) => {
  const { client, socket, plant } = await scene(t)
  // A window of 2 GiB; a size of 2^63; a block that is cut off.
  for (const bytes of [hex('28b52ffd 00 a8 01 00 00'), hex('28b52ffd e0 ffffffffffffff7f 01 00 00'), hex('28b52ffd 20 05 29 00'), Buffer.from('text')]) {
    await plant('bad', flags.zstd, bytes)
    const error = await rejection(client.get('bad'))
    t.ok(isRefusal(error), String(error))
    await lives(t, client, socket, bytes.toString('hex'))
  }
})

/** Bytes that mean something under some flags. */
const PAYLOADS: readonly Buffer[] = [
  Buffer.alloc(0), Buffer.from('5'), Buffer.from('{"a":1}'), serialize({ a: 1 }), hex('81a16101'), Buffer.from('\x80\x02}q\x00.', 'latin1'),
  lz4.compress(Buffer.from('{"a":1}')), deflateSync(Buffer.from('{"a":1}')), sized(7, deflateSync(Buffer.from('{"a":1}'))), hex('ff00c328'), Buffer.from('a:1:{i:0;R:1;}'), Buffer.from('\x04\b[\x06i\x06', 'latin1'),
]

void t.test('all flags: every combination of the ten lowest bits, each bit, and any others', async (t) => {
  const random = fc.sample(fc.nat(0xffff_ffff), { numRuns: 100, seed: 7 })
  const single = Array.from({ length: 32 }, (_, bit) => 2 ** bit)
  const sets = [...new Set([...Array.from({ length: 1024 }, (_, low) => low), ...single, ...single.map((bit) => (bit | 40) >>> 0), ...random, 0xffff_ffff])]
  const { plant, clients } = await readers(t)
  for (const bytes of PAYLOADS) {
    await Promise.all(sets.map((itemFlags) => plant(`f${itemFlags}`, itemFlags, bytes)))
    for (const [name, { client, socket }] of clients) {
      const outcomes = await Promise.allSettled(sets.map((itemFlags) => client.get(`f${itemFlags}`)))
      const wrong = outcomes.findIndex((outcome) => outcome.status === 'rejected' && !isRefusal(outcome.reason))
      if (wrong >= 0) t.fail(`${name}, flags ${sets[wrong]}, ${bytes.toString('hex')}: ${String((outcomes[wrong] as PromiseRejectedResult).reason)}`)
      await lives(t, client, socket, name)
    }
  }
  t.pass(`${sets.length} flags, ${PAYLOADS.length} payloads, ${clients.size} readers`)
})

void t.test('noise under any flags', async (t) => {
  const { plant, clients } = await readers(t)
  const anyFlags = fc.oneof(fc.nat(1023), fc.nat(0xffff_ffff))
  const damaged = fc.tuple(fc.constantFrom(...PAYLOADS), fc.array(fc.tuple(fc.nat(30), fc.nat(255)), { maxLength: 3 })).map(([bytes, changes]) => {
    const copy = Buffer.from(bytes)
    for (const [place, byte] of changes) if (place < copy.length) copy[place] = byte
    return copy
  })
  const noise = fc.oneof(damaged, fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)))
  await fc.assert(fc.asyncProperty(fc.array(fc.tuple(anyFlags, noise), { minLength: 100, maxLength: 100 }), async (items) => {
    await Promise.all(items.map(([itemFlags, bytes], place) => plant(`n${place}`, itemFlags, bytes)))
    for (const [name, { client, socket }] of clients) {
      const outcomes = await Promise.allSettled(items.map((_, place) => client.get(`n${place}`)))
      for (const outcome of outcomes) if (outcome.status === 'rejected' && !isRefusal(outcome.reason)) throw new Error(`${name}: ${String(outcome.reason)}`)
      await lives(t, client, socket, name)
    }
  }), { numRuns: 20, seed: 3, endOnFailure: true })
  t.pass()
})

void t.test('whatever V8 makes of damaged bytes of its own', async (t) => {
  const original = serialize({ a: [1, 'two', { three: new Map([[3, new Set(['x'])]]) }], b: new Date(0), c: 5n ** 30n, d: Buffer.alloc(9), e: new Float64Array(2), f: /x/g, g: new RangeError('h') })
  let read = 0
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(original.length - 3), fc.nat(255)), { minLength: 1, maxLength: 4 }), (changes) => {
    const bytes = Buffer.from(original)
    for (const [place, byte] of changes) bytes[place + 2] = byte
    try {
      v8.deserialize(bytes)
      read += 1
    } catch (error) {
      if (!(error instanceof Error)) throw error
    }
  }), { numRuns: 5000, seed: 11 })
  t.ok(read > 0, `${read} of 5000 were values all the same`)
})

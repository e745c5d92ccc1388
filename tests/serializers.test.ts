import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect, isDeepStrictEqual } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { valueFormat, type FormatSettings, type ValueFormat } from '../lib/format.ts'
import {
  Client, compat, deflate, flags, json, jsonWith, lz4, MemcacheUnsupportedError, MemcacheValueError, pickle, raw, v8, zstd,
  type ClientOptions, type Compressor, type Format, type Serializer,
} from '../lib/index.ts'
import { readItem } from '../lib/codec.ts'
import { msgpack } from '../serializers/msgpack.ts'
import { root } from './support/pages.ts'

/** What each serializer keeps and refuses, and how serializers, compressors and formats are put together. */

function format(settings: Partial<FormatSettings> = {}): ValueFormat {
  return valueFormat({ serializer: json, compressor: undefined, minCompressLength: 0, maxValueLength: 1_000_000, ...settings }, 64 * 1024 * 1024)
}

/** What is stored of a value: its bytes and flags. */
function stored(value: unknown, settings?: Partial<FormatSettings>): { value: Buffer; flags: number } {
  const item = format(settings).encode({ value, flags: 0 }, 'set', undefined)
  return { value: item.value, flags: item.flags }
}

function read(bytes: Buffer | string, itemFlags: number, settings?: Partial<FormatSettings>): unknown {
  return format(settings).decode({ value: Buffer.from(bytes as string), flags: itemFlags }).value
}

/** A value, once it was stored and read again. */
function again(value: unknown, serializer: FormatSettings['serializer']): unknown {
  const item = stored(value, { serializer })
  return read(item.value, item.flags, { serializer })
}

const refused = (message: RegExp): { name: string; message: RegExp } => ({ name: 'MemcacheValueError', message })

class Point {
  readonly x = 1
}

class OwnArray extends Array<unknown> {
  override concat(): unknown[] { return [] }
}
class OwnObject {
  isPrototypeOf(): boolean { return false }
}
class OwnBuffer extends Uint8Array {
  static { Object.setPrototypeOf(this.prototype, Buffer.prototype) }
}
class Forged extends Error {
  static { Object.defineProperty(this.prototype, 'message', { value: 'always this' }) }
}
const itself = new Error('a')
itself.cause = itself
const inList = new Error('b')
inList.cause = [inList]
const around: { e?: Error } = {}
around.e = new Error('c', { cause: around })

/** A row of the table in docs/serializers.md: values, each of which is put into an object as its property `a`. */
interface Row {
  readonly values: readonly unknown[]
  /** What else may become of them than kept or refused. */
  readonly or?: readonly [word: string, is: (read: { readonly a?: unknown }) => boolean]
  /** Whether one is kept, where comparing deep does not say so. */
  readonly kept?: (read: { readonly a?: unknown }) => boolean
}

const twice = {}
const circle: { self?: unknown } = {}
circle.self = circle

const ROWS: { readonly [name: string]: Row } = {
  'string': { values: ['', 'text', 'CR\r\nLF\0NUL', '☃😀', '\ufffd', 'x'.repeat(100_000)] },
  'string with a lone surrogate': { values: ['\ud800', 'a\udfffb'] },
  'number': { values: [0, 1, -1, 1.5, 2 ** 31, 2 ** 32, -(2 ** 32) - 1, 2 ** 53 - 1, 2 ** 53, -(2 ** 53) - 2, 5e-324, 1.7976931348623157e308] },
  '`-0`': { values: [-0] },
  '`NaN`, `Infinity`': { values: [NaN, Infinity, -Infinity] },
  'boolean, `null`': { values: [true, false, null] },
  'bigint': { values: [0n, -1n, 2n ** 64n, -(2n ** 64n)] },
  'plain object, array': { values: [{}, [], { b: [{ constructor: 1, toString: 2, '': 3, 'a b': 4 }] }, [[[]]]] },
  'property `__proto__`': { values: [JSON.parse('{"__proto__":{"polluted":true}}')], kept: ({ a }) => JSON.stringify(a) === '{"__proto__":{"polluted":true}}' },
  'object without a prototype': { values: [Object.assign(Object.create(null), { b: 1 })], or: ['plain', ({ a }) => isDeepStrictEqual(a, { b: 1 })] },
  'property that is `undefined`': { values: [undefined], or: ['left out', (value) => !('a' in value)] },
  '`undefined` in an array': { values: [[undefined], [1, undefined]] },
  'array with holes': { values: [[1, , 3]] }, // eslint-disable-line no-sparse-arrays
  'array with named properties': { values: [Object.assign([1], { total: 5 })] },
  'circle': { values: [circle], kept: ({ a }) => (a as typeof circle).self === a },
  'one object or array in two places': { values: [[twice, twice]], kept: ({ a }) => (a as unknown[])[0] === (a as unknown[])[1], or: ['two', ({ a }) => isDeepStrictEqual(a, [{}, {}])] },
  'Date': { values: [new Date(0), new Date(-1), new Date(1_700_000_000_123)] },
  'invalid Date': { values: [new Date(NaN)], kept: ({ a }) => a instanceof Date && Number.isNaN(a.getTime()) },
  'Map': { values: [new Map(), new Map<unknown, unknown>([['k', 1], [2, { b: new Map() }]])] },
  'Set': { values: [new Set(), new Set<unknown>([1, 'a'])] },
  'Buffer': { values: [Buffer.alloc(0), Buffer.from([0, 255])] },
  'Uint8Array and other typed arrays, ArrayBuffer': { values: [new Uint8Array(2), new Float64Array([-0.5]), new BigInt64Array(1), new DataView(new ArrayBuffer(3)), new ArrayBuffer(5)] },
  'RegExp': { values: [/a+/giu] },
  'Error': { values: [new TypeError('wrong'), new Error('outer', { cause: new RangeError('inner') })] },
  'boxed string, number, boolean': { values: [Object('s'), Object(5), Object(true)] },
  'class instance': { values: [new Point(), new (class extends Map {})(), new (class extends Array {})(), new (class extends Date {})(), new URL('http://localhost'), new (class extends Error {})('mine')] },
  'function, symbol': { values: [() => 1, Point, Symbol('s'), Symbol.iterator] },
  'property named by a symbol': { values: [{ [Symbol('s')]: 1 }, Object.assign([], { [Symbol('s')]: 1 })] },
  'Promise, WeakMap, Proxy of a Map': { values: [Promise.resolve(), new WeakMap(), new Proxy(new Map(), {})] },
}

/** What becomes of a row's values, in a word. */
function outcome({ values, or, kept }: Row, serializer: Serializer): string {
  const words = values.map((value) => {
    const whole = { a: value }
    let got: { readonly a?: unknown }
    try {
      got = again(whole, serializer) as typeof whole
    } catch (error) {
      return error instanceof MemcacheValueError ? 'refused' : inspect(error)
    }
    if (kept === undefined ? isDeepStrictEqual(got, whole) : kept(got)) return 'kept'
    return or?.[1](got) === true ? or[0] : `changed to ${inspect(got)}`
  })
  return [...new Set(words)].join(', ')
}

/** The rows of the first table in a page whose first cell of the head is `head`. */
function table(page: string, head: string): string[][] {
  const lines = readFileSync(join(root, page), 'utf8').split('\n')
  const begin = lines.findIndex((line) => line.startsWith(`| ${head} |`))
  const length = lines.slice(begin).findIndex((line) => !line.startsWith('|'))
  const cells = lines.slice(begin, begin + length).map((line) => line.slice(1, -1).split('|').map((cell) => cell.trim()))
  return cells.filter((_, row) => row !== 1)
}

void t.test('the table in docs/serializers.md says what each one keeps', async (t) => {
  const [head = [], ...told] = table('docs/serializers.md', 'inside an object or array')
  const serializers: readonly Serializer[] = [json, v8, msgpack, pickle]
  t.strictSame(head.slice(1), ['`json`', '`v8`', '`msgpack`', '`pickle`'])
  const found = Object.entries(ROWS).map(([name, row]) => [name, ...serializers.map((serializer) => outcome(row, serializer))])
  t.strictSame(told, found)
})

void t.test('and the flags', async (t) => {
  const told = table('docs/serializers.md', 'flag').slice(1).map(([flag = '', name = '']) => [name.replaceAll('`', ''), Number(flag)])
  t.strictSame(Object.fromEntries(told), { ...flags })
})

void t.test('each error names the path to the culprit', async (t) => {
  const rows: readonly (readonly [value: unknown, message: RegExp, of: readonly Serializer[]])[] = [
    [{ a: { 'b c': [0, { d: () => 1 }] } }, /a function, which is at \.a\["b c"\]\[1\]\.d/, [json, v8, msgpack]],
    [[[new Point()]], /a Point instance, which is at \[0\]\[0\]/, [json, v8, msgpack]],
    [{ a: [Symbol('s')] }, /a symbol, which is at \.a\[0\]/, [json, v8, msgpack]],
    [{ a: { [Symbol('s')]: 1 } }, /a property named by a symbol, which is at \.a/, [json, v8, msgpack]],
    [{ a: [1, undefined] }, /undefined, which is at \.a\[1\]/, [json, msgpack]],
    [{ a: [circle] }, /a circle, which is at \.a\[0\]\.self/, [json, msgpack]],
    [{ a: 5n }, /a bigint, which is at \.a/, [json, msgpack]],
    [{ a: [-0] }, /-0, which is at \.a\[0\]/, [json, msgpack]],
    [{ a: { toJSON: () => 1 } }, /toJSON method, which is at \.a/, [json, msgpack]],
    [{ a: Object.defineProperty({}, 'toJSON', { value: () => 1 }) }, /toJSON method, which is at \.a/, [json, msgpack]],
    [{ a: Object.assign([], { b: 1 }) }, /named properties of an array, which is at \.a/, [json, msgpack]],
    [Object.create({ inherited: 1 }), /cannot keep a Object instance/, [json, v8, msgpack]],
    [{ a: ['\ud800'] }, /lone surrogate, which is at \.a\[0\]/, [msgpack]],
    [{ a: { '\ud800': 1 } }, /lone surrogate, which is at \.a\["\\ud800"\]/, [msgpack]],
    [{ a: `\ufeff${'b'.repeat(300)}` }, /U\+FEFF, which is at \.a/, [msgpack]],
    [{ a: new Uint8Array(1) }, /a Uint8Array instance, which is at \.a/, [json, msgpack]],
    [new Map<unknown, unknown>([['k', 1], ['l', { f: () => 1 }]]), /a function, which is at \.values\(\)\[1\]\.f/, [v8]],
    [new Map<unknown, unknown>([[{ f: () => 1 }, 1]]), /a function, which is at \.keys\(\)\[0\]\.f/, [v8]],
    [[new Set([1, Symbol('s')])], /a symbol, which is at \[0\]\.values\(\)\[1\]/, [v8]],
    [{ a: new Proxy({}, {}) }, /a Proxy, which is at \.a/, [v8]],
    [{ a: new SharedArrayBuffer(1) }, /SharedArrayBuffer.*, which is at \.a/, [v8]],
    [{ a: new Uint8Array(new SharedArrayBuffer(1)) }, /SharedArrayBuffer, which is at \.a/, [v8]],
    [{ a: Object.assign(new Map(), { b: 1 }) }, /named properties of a Map instance, which is at \.a/, [v8]],
    [{ a: Object.assign(Object('st'), { b: 1 }) }, /named properties of a String instance, which is at \.a/, [v8]],
    [{ a: Object.assign([], { b: () => 1 }) }, /a function, which is at \.a\.b/, [v8]],
    [{ a: Object.assign(new Error('x'), { code: 'E' }) }, /a property of an error, which is at \.a\.code/, [v8]],
    [{ a: new Error('x', { cause: () => 1 }) }, /a function, which is at \.a\.cause/, [v8]],
    [itself, /an error in its own cause, which is at \.cause$/, [v8]],
    [{ a: inList }, /an error in its own cause, which is at \.a\.cause\[0\]/, [v8]],
    [[around.e], /an error in its own cause, which is at \[0\]\.cause\.e/, [v8]],
    [new Map<unknown, unknown>([[1, around.e], [around, 2]]), /an error in its own cause/, [v8]],
    [{ a: Object.assign(new Error('x'), { message: 5 }) }, /a message that is no string, which is at \.a\.message/, [v8]],
    [{ a: new Forged('x') }, /a Forged instance, which is at \.a/, [v8]],
    [{ a: new OwnArray() }, /a OwnArray instance, which is at \.a/, [json, v8, msgpack, pickle]],
    [{ a: new OwnObject() }, /a OwnObject instance, which is at \.a/, [json, v8, msgpack, pickle]],
    [{ a: Object.setPrototypeOf([], null) }, /which is at \.a/, [json, v8, msgpack, pickle]],
    [{ a: Object.setPrototypeOf(Buffer.from('a'), OwnBuffer.prototype) }, /a OwnBuffer instance, which is at \.a/, [json, v8, msgpack, pickle]],
    [{ a: Object.assign(new Date(0), { zone: 'UTC' }) }, /a Date instance, which is at \.a/, [msgpack, pickle]],
    [{ a: Object.assign(new Date(0), { getTime: () => 5 }) }, /a Date instance, which is at \.a/, [msgpack, pickle]],
    [{ a: Object.assign(new Map(), { x: 1 }) }, /a Map instance, which is at \.a/, [pickle]],
    [{ a: Object.assign(new Set(), { x: 1 }) }, /a Set instance, which is at \.a/, [pickle]],
    [{ a: new AggregateError([]) }, /AggregateError instance, which is at \.a/, [v8]],
    [{ a: Object.assign([], { length: 1e9 }) }, /array of length 1000000000.*holes, which is at \.a/, [v8]],
  ]
  for (const [value, message, serializers] of rows) {
    for (const serializer of serializers) t.throws(() => stored(value, { serializer }), refused(message), `${serializer.flag}: ${message.source}`)
  }
})

void t.test('what is thrown may be anything; a compressor that is not there was sent for', async (t) => {
  const thrower = (error: unknown): Serializer => ({ flag: 1024, serialize: () => { throw error }, deserialize: () => { throw error } })
  for (const [error, message] of [[Object.create(null), 'a object'], ['text', 'text'], [undefined, 'undefined'], [{ toString: 5 }, 'a object']] as const) {
    const settings = { serializer: thrower(error) }
    t.throws(() => stored({}, settings), refused(new RegExp(`the serializer refuses the value: ${message}`)))
    t.throws(() => readItem(format(settings), { value: Buffer.alloc(1), flags: 1024 }, 'k'), refused(new RegExp(`cannot be decoded: ${message}`)))
  }
  const missing: Serializer = { ...thrower(undefined), deserialize: () => { throw new MemcacheUnsupportedError('no package') } }
  t.throws(() => readItem(format({ serializer: missing }), { value: Buffer.alloc(1), flags: 1024 }, 'k'), { name: 'MemcacheUnsupportedError', sent: true })
})

void t.test('jsonWith refuses options that it does not have', async (t) => {
  for (const options of [undefined, null, 5, [], { reviver: 5 }, { replacer: null }, { revive: () => 1 }]) {
    t.throws(() => jsonWith(options as never), { name: 'MemcacheValueError' }, inspect(options))
  }
  const digits = jsonWith({ reviver: (_key, value, context?: { source?: string }) => context?.source ?? value })
  t.ok(['1', 1].includes(digits.deserialize(Buffer.from('1')) as string), 'the digits where Node gives them')
})

void t.test('a format says how it writes pieces', async (t) => {
  const settings = { serializer: compat.memcached }
  const piece = format(settings).encode({ value: 'a\r\nb', flags: 0 }, 'append', undefined).value
  const { value, flags: itemFlags } = stored('x\n', settings)
  t.equal(read(Buffer.concat([value, piece]), itemFlags, settings), 'x\na\r\nb')
})

void t.test('what is nested deep is kept or refused, never half of it', async (t) => {
  for (const [name, serializer] of Object.entries({ json, v8, msgpack })) {
    for (const depth of [10, 990, 1000, 1010, 5_000, 100_000]) {
      for (const wrap of [(inner: unknown) => [inner], (inner: unknown) => ({ a: inner })]) {
        let value: unknown = 1
        for (let level = 0; level < depth; level += 1) value = wrap(value)
        let item: { value: Buffer; flags: number } | undefined
        try {
          item = stored(value, { serializer })
        } catch (error) {
          t.ok(error instanceof MemcacheValueError && depth > 990, `${name} refuses ${depth} levels`)
          continue
        }
        t.doesNotThrow(() => read(item.value, item.flags, { serializer }), `${name} reads ${depth} levels`)
      }
    }
  }
})

void t.test('what has too many parts is refused, written or read', async (t) => {
  const [arrays, bigints] = [Array.from({ length: 2_000_000 }, () => []), Array.from({ length: 2_000_000 }, () => 0n)]
  for (const [serializer, many] of [[json, arrays], [msgpack, arrays], [v8, bigints]] as const) {
    t.throws(() => stored(many, { serializer, maxValueLength: 10_000_000 }), refused(/more than 2000000 objects/))
    const wide = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`"[{:\\${index}`, { a: [[], index] }]))
    t.ok(isDeepStrictEqual(again(wide, serializer), wide))
  }
  const text = '[{":\\'.repeat(600_000)
  t.ok(isDeepStrictEqual(read(stored([text], { maxValueLength: 10_000_000 }).value, flags.json), [text]), 'what is in strings does not count')
  for (const [bytes, itemFlags] of [['[[],'.repeat(1_000_001), flags.json], ['{"":'.repeat(1_000_001), flags.json]] as const) t.throws(() => read(bytes, itemFlags), refused(/more than 2000000/))
})

void t.test('json: what it reads and writes', async (t) => {
  for (const value of [null, true, false, -0, 1.5, 2 ** 53, 1e300, [], {}, { a: [1, { b: null }] }]) {
    const item = stored(value)
    t.equal(item.flags, flags.json)
    const got = read(item.value, item.flags)
    t.ok(isDeepStrictEqual(got, value), inspect(value))
  }
  t.throws(() => read(Buffer.from([0x22, 0xff, 0x22]), flags.json), refused(/UTF-8/), 'no replacement characters')
  t.equal(read('"\ufffd"', flags.json), '\ufffd')
  t.throws(() => stored({ get a() { throw new RangeError('mine') } }), refused(/mine/))
  const other = runInNewContext('({ a: [1, { b: 2 }] })') as unknown
  t.same(again(other, json), { a: [1, { b: 2 }] }, 'plain objects of another realm are plain')
  t.same(again(other, v8), { a: [1, { b: 2 }] })
  t.same(again(runInNewContext('new Map([[1, new Date(0)]])'), v8), new Map([[1, new Date(0)]]))
  t.throws(() => stored(runInNewContext('new (class Point {})()')), refused(/Point/))
})

void t.test('json in a process whose Object.prototype somebody has added to', async (t) => {
  const prototype = Object.prototype as { added?: unknown; toJSON?: unknown }
  t.teardown(() => {
    delete prototype.added
    delete prototype.toJSON
  })
  prototype.added = () => 1
  for (const serializer of [json, msgpack, v8]) t.ok(isDeepStrictEqual(again({ a: { b: [1.5] } }, serializer), { a: { b: [1.5] } }), 'what is inherited is no property')
  prototype.toJSON = () => 'other'
  const error = (() => {
    try {
      return stored({ a: 1 })
    } catch (thrown) {
      return thrown as Error
    }
  })()
  delete prototype.toJSON
  t.match(error, refused(/toJSON/))
})

void t.test('json with a replacer and a reviver', async (t) => {
  const dated = jsonWith({
    replacer: (_, value) => (value instanceof Date ? { $date: value.getTime() } : value instanceof Map ? { $map: [...value] } : typeof value === 'bigint' ? { $bigint: String(value) } : value),
    reviver: (_, value) => {
      const { $date, $map, $bigint } = (value ?? {}) as { $date?: number; $map?: [unknown, unknown][]; $bigint?: string }
      return $date !== undefined ? new Date($date) : $map !== undefined ? new Map($map) : $bigint !== undefined ? BigInt($bigint) : value
    },
  })
  for (const value of [new Date(5), { a: [new Date(5), new Map([[{ at: new Date(6) }, 5n]])] }, { __proto__: null, a: 1.5 }, null, 1.5]) {
    t.strictSame(JSON.stringify(again(value, dated), (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each)), JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each)))
  }
  t.strictSame(again({ a: [new Date(5), new Map([[{ at: new Date(6) }, 5n]])] }, dated), { a: [new Date(5), new Map([[{ at: new Date(6) }, 5n]])] })
  t.ok(Object.hasOwn(again(JSON.parse('{"__proto__":1,"a":{"b":null}}'), dated) as object, '__proto__'))
  t.throws(() => stored({ a: { b: [1, new Set()] } }, { serializer: dated }), refused(/a Set instance, which is at \.a\.b\[1\]/), 'its output is checked')
  t.throws(() => stored({ a: [1] }, { serializer: jsonWith({ replacer: (key, value) => (key === '0' ? undefined : value) }) }), refused(/undefined, which is at \.a\[0\]/))
  t.throws(() => stored({ a: circle }, { serializer: dated }), refused(/circle, which is at \.a\.self/))
  t.throws(() => stored({ a: Object.assign([1], { total: 1 }) }, { serializer: dated }), refused(/named properties/))
  t.throws(() => stored(1.5, { serializer: jsonWith({ replacer: () => undefined }) }), refused(/undefined/))
  t.throws(() => stored({ a: 1 }, { serializer: jsonWith({ replacer: () => { throw new TypeError('mine') } }) }), refused(/mine/))
  const seen: unknown[] = []
  stored({ a: [true] }, { serializer: jsonWith({ replacer(this: unknown, key, value) { seen.push([key, (this as { [name: string]: unknown })[key] === value]); return value } }) })
  t.strictSame(seen, [['', true], ['a', true], ['0', true]], 'called as JSON.stringify calls it')
  t.strictSame(again({ a: 1, b: 2 }, jsonWith({ replacer: (key, value) => (key === 'b' ? undefined : value) })), { a: 1 })
  t.strictSame(again({ a: [1, , 3] }, jsonWith({ replacer: (_, value) => value ?? null })), { a: [1, null, 3] }) // eslint-disable-line no-sparse-arrays
})

void t.test('v8: views have their own memory, and what is the same stays the same', async (t) => {
  const floats = new Float32Array(new ArrayBuffer(100), 8, 3).fill(1.5)
  const got = again({ floats, nested: [Buffer.from('abc')] }, v8) as { floats: Float32Array; nested: [Buffer] }
  t.strictSame([...got.floats], [1.5, 1.5, 1.5])
  t.equal(got.floats.buffer.byteLength, 12, 'not that of all the item')
  t.ok(Buffer.isBuffer(got.nested[0]))
  const item = stored([Buffer.from('abc')], { serializer: v8 })
  const [bytes] = format({ serializer: v8 }).decode(item).value as [Buffer]
  item.value.fill(0)
  t.equal(bytes.toString(), 'abc')
  const shared = { date: new Date(1) }
  const map = new Map<unknown, unknown>([[shared, shared], ['self', null]]).set('self', shared)
  const copy = again(map, v8) as Map<{ date: Date }, unknown>
  const [key] = copy.keys()
  t.equal(copy.get(key as { date: Date }), key)
  const error = again(Object.assign(new SyntaxError('wrong'), { stack: 'at home' }), v8) as Error
  t.strictSame([error.name, error.message, error.stack, error instanceof SyntaxError], ['SyntaxError', 'wrong', 'at home', true])
})

void t.test('v8: nothing is refused that v8.serialize writes', async (t) => {
  const anything = fc.anything({
    withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, withSparseArray: true, withBoxedValues: true,
    withObjectString: true, withUnicodeString: true, withNullPrototype: false, maxDepth: 4,
  })
  fc.assert(fc.property(anything, (value) => {
    let item: { value: Buffer; flags: number }
    try {
      item = stored([value], { serializer: v8 })
    } catch (error) {
      return error instanceof MemcacheValueError && /holes/.test(error.message)
    }
    return isDeepStrictEqual(read(item.value, item.flags, { serializer: v8 }), deserialize(serialize([value])))
  }), { numRuns: 500, seed: 4 })
  t.pass()
})

void t.test('msgpack: what others write', async (t) => {
  const settings = { serializer: msgpack }
  const rows: readonly (readonly [hex: string, value: unknown])[] = [
    ['c0', null], ['c2', false], ['05', 5], ['ff', -1], ['ca3fc00000', 1.5], ['a161', 'a'], ['d90161', 'a'], ['c40101', Buffer.from([1])],
    ['cf0000000000000005', 5], ['cf0020000000000001', 2n ** 53n + 1n], ['d3ffdfffffffffffff', -(2n ** 53n) - 1n], ['cfffffffffffffffff', 2n ** 64n - 1n],
    ['8101a161', { 1: 'a' }], ['82a16101a16102', { a: 2 }], ['d6ff00000005', new Date(5000)], ['92c40101cf0000000000000001', [Buffer.from([1]), 1]],
    ['d7ff0000000400000005', new Date(5000)], ['81a161cf0020000000000000', { a: 2n ** 53n }],
  ]
  for (const [hex, value] of rows) t.strictSame(read(Buffer.from(hex, 'hex'), flags.msgpack, settings), value, hex)
  const wrong: readonly (readonly [hex: string, message: RegExp])[] = [
    ['', /cut off/], ['c1', /0xc1/], ['a1ff', /UTF-8/], ['a1', /cut off/], ['c403', /cut off/], ['9201', /cut off/], ['81a161', /cut off/], ['0505', /1 bytes behind/],
    ['a3efbbbf', /FEFF/], ['d40501', /extension of type 5/], ['d4ff01', /extension of type -1/], ['c70c0100', /extension of type 1/], ['81c001', /key/], ['81a95f5f70726f746f5f5f01', /__proto__/],
    [`c70cff00000000${'7f'.repeat(8)}`, /range of a Date/], ['81a1ff01', /UTF-8/],
  ]
  for (const [hex, message] of wrong) t.throws(() => read(Buffer.from(hex, 'hex'), flags.msgpack, settings), { message }, hex)
})

void t.test('raw: strings and Buffers', async (t) => {
  for (const value of ['', 'text', '5', Buffer.alloc(0), Buffer.from([0, 255])]) t.strictSame(again(value, raw), value)
  for (const value of [0, 5, 1.5, 5n, true, null, {}, [], new Uint8Array(1), new Date()]) t.throws(() => stored(value, { serializer: raw }), refused(/raw takes a string or a Buffer/), inspect(value))
  t.throws(() => stored('\ud800', { serializer: raw }), refused(/surrogate/))
  t.throws(() => stored(undefined, { serializer: raw }), refused(/undefined/))
  const settings = { serializer: raw }
  t.equal(read('5  ', flags.integer, settings), 5, 'a counter')
  t.equal(read('5', flags.long, settings), 5n)
  t.strictSame(read('{"a":1}', flags.json, settings), Buffer.from('{"a":1}'))
  t.strictSame(read(lz4.compress(Buffer.from('{"a":1}')), flags.json | flags.lz4, settings), Buffer.from('{"a":1}'))
  t.equal(format(settings).encode({ value: 5, flags: 0 }, 'append', undefined).value.toString(), '5', 'bytes to put behind others')
  const squeezed = stored('la '.repeat(100), { serializer: { ...raw, compressors: [deflate] }, minCompressLength: 1 })
  t.equal(squeezed.flags, flags.deflate)
})

void t.test('of a list the first one writes and all of them read', async (t) => {
  const value = { a: 1.5 }
  const old = [json, v8, msgpack, pickle].map((serializer) => stored(value, { serializer }))
  const lists: readonly (readonly Serializer[])[] = [[v8, json], [v8], [json, v8, msgpack, pickle], [pickle, msgpack, v8]]
  for (const serializer of lists) {
    t.equal(stored(value, { serializer }).flags, serializer[0]?.flag)
    for (const item of old) {
      const known = item.flags === flags.json || serializer.some(({ flag }) => flag === item.flags)
      const got = read(item.value, item.flags, { serializer })
      if (known) t.strictSame(got, value)
      else t.strictSame(got, item.value, 'a serializer that is not asked for: its bytes')
    }
  }
  const text = 'la '.repeat(100)
  const compressor = [deflate, lz4]
  const both = { compressor, minCompressLength: 1 }
  t.equal(stored(text, both).flags, flags.deflate)
  for (const each of [lz4, deflate]) {
    const item = stored(text, { compressor: each, minCompressLength: 1 })
    t.equal(item.flags, each.flag)
    t.equal(read(item.value, item.flags, both), text)
    t.equal(read(item.value, item.flags), text, 'those that are built in are always read')
  }
  const mutable = [json]
  const settings = { serializer: mutable }
  const codec = format(settings)
  mutable.pop()
  t.equal(codec.encode({ value: null, flags: 0 }, 'set', undefined).flags, flags.json, 'what happens to the list later does not matter')
})

void t.test('flags must tell serializers and compressors apart', async (t) => {
  const mine = { serialize: () => Buffer.alloc(0), deserialize: () => 0 }
  const squash = { compress: (bytes: Buffer) => bytes, decompress: (bytes: Buffer) => bytes }
  const wrong: readonly ClientOptions[] = [
    { serializer: { ...mine, flag: 0 } }, { serializer: { ...mine, flag: 2 } }, { serializer: { ...mine, flag: 4 } }, { serializer: { ...mine, flag: 16 } }, { serializer: { ...mine, flag: 48 } },
    { serializer: { ...mine, flag: 8 } }, { serializer: [json, { ...mine, flag: 32 }] }, { serializer: [] }, { serializer: [json, undefined as unknown as Serializer] },
    { serializer: 'json' as unknown as Serializer }, { compressor: 'lz4' as unknown as Compressor }, { serializer: null as unknown as Serializer }, { compressor: [null as unknown as Compressor] },
    { compressor: { ...squash, flag: 0 } }, { compressor: { ...squash, flag: 2 } }, { compressor: { ...squash, flag: 32 } }, { compressor: { ...squash, flag: 3072 } }, { compressor: [] }, { compressor: [lz4, lz4] },
    { serializer: { ...mine, flag: 1024 }, compressor: { ...squash, flag: 1024 } },
    { serializer: { encode: () => 0 } as unknown as Format }, { serializer: { ...raw, compressors: undefined } as unknown as Format }, { serializer: { ...raw, compressors: [{}] } as unknown as Format },
    { serializer: { ...raw, counterFlags: '0 0 1\r\n' as unknown as number } }, { serializer: raw, compressor: lz4 }, { serializer: [raw] as unknown as Serializer },
  ]
  for (const options of wrong) t.throws(() => new Client(options), { name: 'MemcacheValueError' }, inspect(options, { depth: 0, breakLength: Infinity }))
  const right: readonly ClientOptions[] = [
    { serializer: { ...mine, flag: 2 ** 31 }, compressor: { ...squash, flag: 2 ** 30 } }, { serializer: { ...mine, flag: 32 } }, { serializer: { ...mine, flag: 256 } },
    { compressor: { ...squash, flag: 8 } }, { compressor: { ...squash, flag: 512 } }, { serializer: [{ ...mine, flag: 8 }], compressor: deflate }, { serializer: [json], compressor: [zstd, lz4] }, { serializer: raw },
  ]
  for (const options of right) t.doesNotThrow(() => new Client(options), inspect(options, { depth: 0, breakLength: Infinity }))
})

void t.test('the highest bits', async (t) => {
  const serializer: Serializer = { flag: 2 ** 31, serialize: (value) => Buffer.from(String(value).repeat(100)), deserialize: (bytes) => bytes.length / 100 }
  const compressor: Compressor = { flag: 2 ** 30, compress: (bytes) => deflateRawSync(bytes), decompress: (bytes, maxOutputLength) => inflateRawSync(bytes, { maxOutputLength }) }
  const settings = { serializer, compressor, minCompressLength: 1 }
  const item = stored(1.5, settings)
  t.equal(item.flags, 2 ** 31 + 2 ** 30)
  t.equal(read(item.value, item.flags, settings), 3)
  const swapped = { serializer: { ...serializer, flag: 2 ** 30 }, compressor: { ...compressor, flag: 2 ** 31 }, minCompressLength: 1 }
  const other = stored(1.5, swapped)
  t.equal(other.flags, 2 ** 31 + 2 ** 30)
  t.equal(read(other.value, other.flags, swapped), 3)
})

void t.test('a whole format of the user\'s own', async (t) => {
  const loud: Format = {
    name: 'loud',
    compressors: [{ ...deflate, flag: 0x30 }, { ...lz4, flag: 0x50 }],
    encode: (value) => ({ value: Buffer.from(String(value).toUpperCase()), flags: 7 }),
    decode: (bytes, itemFlags) => {
      if ((itemFlags & 0x10) !== 0) throw new MemcacheValueError('compressed in a way that is unknown')
      return `${bytes.toString()} ${itemFlags}`
    },
    knows: (itemFlags) => itemFlags < 0x100,
  }
  const settings = { serializer: loud, minCompressLength: 100 }
  t.strictSame(stored('abc', settings), { value: Buffer.from('ABC'), flags: 7 })
  t.strictSame(stored(5, settings), { value: Buffer.from('5'), flags: 7 }, 'all values are its affair')
  t.equal(read('ABC', 7, settings), 'ABC 7')
  const long = stored('la '.repeat(100), settings)
  t.equal(long.flags, 0x37, 'its own compressors, whose marks are several bits')
  t.equal(read(long.value, long.flags, settings), `${'LA '.repeat(100)} 7`)
  t.equal(read(lz4.compress(Buffer.from('ABC')), 0x57, settings), 'ABC 7')
  t.throws(() => read('ABC', 0x17, settings), { message: /unknown/ }, 'half a mark is none: the format decides')
  t.throws(() => read('ABC', 0x77, settings), { name: 'MemcacheValueError', message: /more than one way/ })
  t.strictSame(read('ABC', 0x137, settings), Buffer.from('ABC'), 'what it does not know is not touched')
  t.equal(format(settings).encode({ value: 'abc', flags: 0 }, 'append', undefined).value.toString(), 'abc', 'append puts bytes together, whatever the format')
  t.throws(() => format(settings).encode({ value: {}, flags: 0 }, 'append', undefined), { name: 'MemcacheValueError' })
  const broken: readonly (readonly [unknown, RegExp])[] = [
    [undefined, /undefined|refuses/], [{ value: 'text', flags: 0 }, /not a Buffer/], [{ value: Buffer.alloc(1), flags: '0 0 1\r\n' }, /flags/], [{ value: Buffer.alloc(1), flags: 2 ** 32 }, /flags/],
    [{ value: Buffer.alloc(1), flags: -1 }, /flags/], [{ value: Buffer.alloc(1), flags: NaN }, /flags/], [{ value: Buffer.alloc(1), flags: 0x31 }, /would mark it as compressed/],
  ]
  for (const [encoded, message] of broken) t.throws(() => stored('x', { serializer: { ...loud, encode: () => encoded as { value: Buffer; flags: number } } }), refused(message))
  t.throws(() => stored('x', { serializer: { ...loud, encode: () => { throw new TypeError('mine') } } }), refused(/mine/))
  const bare: Format = { name: 'bare', compressors: [], encode: (value) => ({ value: value as Buffer, flags: 0xffff_ffff }), decode: (bytes, itemFlags) => [bytes.length, itemFlags] }
  t.strictSame(again(Buffer.alloc(3), bare), [3, 0xffff_ffff])
  t.equal(stored(Buffer.alloc(1000), { serializer: bare, minCompressLength: 1 }).value.length, 1000, 'without compressors nothing is compressed')
})

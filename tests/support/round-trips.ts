import { Buffer } from 'node:buffer'
import { inspect, isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { Client, deflate, json, lz4, pickle, raw, v8, zstd, type Compressor, type Format, type Serializer } from '../../lib/index.ts'
import { msgpack } from '../../serializers/msgpack.ts'

/** Any values, through a serializer, a compressor, a real server, and back. */

/** What a serializer keeps: the leaves and the names of properties that are in its objects and arrays. */
interface Kept {
  readonly leaf: fc.Arbitrary<unknown>
  readonly key: fc.Arbitrary<string>
}

const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary-ascii' }), fc.constantFrom('', 'CR\r\nLF\0', '__proto__', 'constructor', 'END\r\n', '\ufffd'))
const surrogates = fc.array(fc.nat(0xffff), { maxLength: 8 }).map((units) => String.fromCharCode(...units))
const bytes = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array))
const long = fc.tuple(fc.string({ minLength: 1 }), fc.integer({ min: 50, max: 500 })).map(([piece, times]) => piece.repeat(times))
const integer = fc.oneof(fc.integer(), fc.maxSafeInteger(), fc.constantFrom(0, 2 ** 31, 2 ** 32, -(2 ** 31) - 1, 2 ** 53 - 1, -(2 ** 53) + 1))
const float = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(2 ** 53, -(2 ** 53), 1e300, 5e-324))
const positive = float.map((number) => (Object.is(number, -0) ? 0.5 : number))
const bigint = fc.oneof(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), fc.constantFrom(0n, -1n, 2n ** 53n, 2n ** 64n))
const date = fc.date({ noInvalidDate: true })
const word = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom('id', '__proto__', 'constructor', 'toString', '', '0', 'a b'))
const json0 = fc.oneof(text, integer, positive, fc.boolean(), fc.constant(null))

const KEPT = {
  json: { leaf: fc.oneof(json0, surrogates), key: fc.oneof(word, surrogates) },
  v8: { leaf: fc.oneof(json0, surrogates, float, fc.constantFrom(NaN, Infinity, undefined), bigint, date, bytes, fc.uint8Array(), fc.float64Array({ maxLength: 5 })), key: fc.oneof(word, surrogates) },
  msgpack: { leaf: fc.oneof(json0, fc.constantFrom(NaN, -Infinity), date, bytes), key: word.filter((key) => key !== '__proto__') },
  pickle: { leaf: fc.oneof(json0, float, fc.constantFrom(NaN, Infinity), bigint.filter((big) => !Number.isSafeInteger(Number(big))), bytes), key: word },
} satisfies { readonly [name: string]: Kept }

/** Plain objects and arrays of what is kept; of v8, Map and Set too. */
function tree({ leaf, key }: Kept, collections: boolean): fc.Arbitrary<unknown> {
  const size = { maxLength: 4, depthIdentifier: 'tree' }
  return fc.letrec((tie) => ({
    value: fc.oneof({ depthSize: 'small', depthIdentifier: 'tree', withCrossShrink: true }, leaf, tie('array'), tie('object'), ...(collections ? [tie('map'), tie('set')] : [])),
    array: fc.array(tie('value'), size),
    object: fc.array(fc.tuple(key, tie('value')), size).map((entries) => Object.fromEntries(entries)),
    map: fc.array(fc.tuple(tie('value'), tie('value')), size).map((entries) => new Map(entries)),
    set: fc.array(tie('value'), size).map((values) => new Set(values)),
  })).value
}

const plain = fc.oneof(text, long, bytes, integer, bigint)

/** By itself a value is not undefined, and a string is what UTF-8 can say. */
function any(kept: Kept, collections = false): fc.Arbitrary<unknown> {
  return fc.oneof({ arbitrary: tree(kept, collections), weight: 3 }, plain).filter((value) => value !== undefined && !(typeof value === 'string' && !value.isWellFormed()))
}

/** Each serializer, and any value that it keeps. */
export const SERIALIZERS: { readonly [name: string]: { readonly serializer: Serializer | Format; readonly values: fc.Arbitrary<unknown> } } = {
  json: { serializer: json, values: any(KEPT.json) },
  v8: { serializer: v8, values: any(KEPT.v8, true) },
  msgpack: { serializer: msgpack, values: any(KEPT.msgpack) },
  pickle: { serializer: pickle, values: any(KEPT.pickle) },
  raw: { serializer: raw, values: fc.oneof(text, long, bytes) },
}

/** Each compressor, or none. */
export const COMPRESSORS: { readonly [name: string]: Compressor | undefined } = { none: undefined, lz4, deflate, zstd }

/** Where to, with what, how many at least, and which ones. */
export interface RoundTrips {
  readonly port: number
  readonly serializer: string
  readonly compressor: string
  readonly count: number
  readonly seed: number
}

/** Stores values and reads them; gives how many there were. Throws for the first that comes back as another one. */
export async function roundTrips({ port, serializer: name, compressor: squeeze, count, seed }: RoundTrips): Promise<number> {
  const { serializer, values } = SERIALIZERS[name] as (typeof SERIALIZERS)[string]
  const compressor = COMPRESSORS[squeeze]
  const own = serializer === raw && compressor !== undefined ? { serializer: { ...raw, compressors: [compressor] } } : { serializer, compressor }
  await using client = new Client({ port, timeout: 20_000, minCompressLength: compressor === undefined ? 0 : 1, ...own })
  let done = 0
  const batch = fc.array(values, { minLength: 200, maxLength: 200 })
  await fc.assert(fc.asyncProperty(batch, async (list) => {
    const keys = list.map((_, index) => `${name}:${squeeze}:${index}`)
    await client.setMulti(list.map((value, index) => [keys[index] as string, value]))
    const read = await client.getMulti(keys)
    const wrong = list.findIndex((value, index) => !isDeepStrictEqual(read.get(keys[index] as string), value))
    if (wrong >= 0) throw new Error(`${inspect(list[wrong], { depth: 9 })} came back as ${inspect(read.get(keys[wrong] as string), { depth: 9 })}`)
    done += list.length
  }), { numRuns: Math.ceil(count / 200), seed, endOnFailure: true })
  return done
}

/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import type { Compressor } from '../lib/compression.ts'
import { ownFormat, type Format } from '../lib/serialization.ts'
import { bytes, escaped, escapedBytes, escapedJson, escapedText, float, int64, integer, jsonText, largeInteger, long } from './compat-codings.ts'
import { marshalled, marshalledOrJson, number, phpBoolean, phpSerialized, pickled, text, unreadable, type Coding } from './compat-codings.ts'
import { gzip, sizedFastlz, sizedZlib, zlib, zlibOrGzip } from './compat-compressors.ts'
import { javaBoolean, javaByte, javaDate, javaDouble, javaFloat, javaInteger, javaLong } from './compat-java.ts'
import { describe, refuse } from './flaws.ts'
import { json } from './json.ts'
import { lz4 } from './lz4.ts'
import { kindOf, type Kind } from './plain-data.ts'

/**
 * One kind of item: its flags, the kinds of values that are written so, and how they become bytes. `int32` are the integers
 * of 32 bits; `rest` is all that has no row of its own.
 */
type Row = readonly [flags: number, writes: readonly (Kind | 'int32' | 'rest')[], coding: Coding]

/** What is not the same for all clients. */
interface Peculiarities {
  /** The bits that the rows are about; the others are for the client's users. Default: all. */
  readonly mask?: number
  /** See {@link Format.counterFlags}. */
  readonly counterFlags?: number
}

function format(name: string, compressors: readonly Compressor[], rows: readonly Row[], { mask = 0xffff_ffff, counterFlags = 2 }: Peculiarities = {}): Format {
  const writers = new Map(rows.flatMap((row) => row[1].map((kind) => [kind, row] as const)))
  const rowOf = (flags: number): Row | undefined => rows.find(([known]) => known === (flags & mask) >>> 0)
  return {
    name,
    compressors,
    counterFlags,
    encode(value) {
      const kind = kindOf(value)
      const int32 = kind === 'integer' && value === ((value as number) | 0) ? writers.get('int32') : undefined
      const row = int32 ?? (kind === undefined ? undefined : writers.get(kind)) ?? writers.get('rest')
      if (row === undefined) refuse(name, { what: describe(value), path: [] })
      const [flags, , coding] = row
      return { value: coding.encode(value), flags }
    },
    decode(value: Buffer, flags) {
      const row = rowOf(flags)
      return row === undefined ? value : row[2].decode(value)
    },
    knows: (flags) => rowOf(flags) !== undefined,
  }
}

/** python-memcached has begun it, others have followed. */
const PYTHON: readonly Row[] = [
  [16, ['string'], text],
  [0, ['bytes'], bytes],
  [2, ['integer'], integer],
  [4, ['bigint'], long],
  [1, ['rest'], pickled],
]

/** What dalli reads, however it was told to write. */
const DALLI: readonly Row[] = [
  [0, [], text], // with `raw`
  [4, [], text], // with `string_fastpath`
]

/** The topmost of the bits that a user of php-memcached may set: the string is bytes. */
const PHP_BYTES = 0x8000_0000
const PHP_TYPE = 0xf

const formats = {
  pyermc: format('pyermc', [lz4], [
    [0, ['string'], text],
    [2, ['integer'], integer],
    [4, ['bigint'], long],
    [1, ['rest'], pickled], // bytes too: Python 2 gets a str
  ]),
  pythonMemcached: format('python-memcached', [zlib(8)], PYTHON),
  pymemcache: format('pymemcache', [zlib(8)], PYTHON),
  pylibmc: format('pylibmc', [zlib(8)], [
    [16, ['string'], text],
    [0, ['bytes'], bytes],
    [4, ['integer'], integer],
    [4, ['bigint'], largeInteger],
    [2, [], integer], // a bool, which pylibmc too reads as an integer; from Python 2 an int
    [1, ['rest'], pickled],
  ], { counterFlags: 4 }),
  dalli: format('dalli', [zlibOrGzip(2)], [[1, ['rest'], marshalled], ...DALLI], { counterFlags: 0 }),
  dalliJson: format('dalli', [zlibOrGzip(2)], [[1, ['rest'], marshalledOrJson], ...DALLI], { counterFlags: 0 }),
  phpMemcached: format('php-memcached', [sizedZlib(0x30), sizedFastlz(0x50)], [
    [0, ['string'], text],
    [PHP_BYTES, ['bytes'], bytes],
    [1, ['integer'], integer],
    [1, ['bigint'], int64],
    [2, ['float'], float],
    [3, ['boolean'], phpBoolean],
    [4, ['rest'], phpSerialized],
    [5, [], unreadable('in the format of igbinary')],
    [6, [], jsonText],
    [7, [], unreadable('in the msgpack of PHP')],
  ], { mask: PHP_BYTES + PHP_TYPE, counterFlags: 1 }),
  spymemcached: format('spymemcached', [gzip(2)], [
    [0, ['string'], text],
    [0x100, ['boolean'], javaBoolean],
    [0x200, ['int32'], javaInteger],
    [0x300, ['integer', 'bigint'], javaLong],
    [0x400, ['date'], javaDate],
    [0x500, [], javaByte],
    [0x600, [], javaFloat],
    [0x700, ['float'], javaDouble],
    [0x800, ['bytes'], bytes],
    [1, [], unreadable('a serialized Java object')],
  ], { counterFlags: 0 }),
  // To memjs all is bytes: it sees the text of numbers and JSON, and sets no flags, which is read as text.
  memjs: { ...ownFormat([json], []), name: 'memjs' },
  memcached: { ...format('memcached', [], [
    [0, ['string'], escapedText],
    [4, ['bytes'], escapedBytes],
    [8, ['integer', 'float'], number],
    [2, ['rest'], escapedJson],
  ], { counterFlags: 8 }), piece: escaped },
} as const

/** Those that compat.ts has, by their names there: tables of what each client writes. */
export function compatFormat(name: keyof typeof formats): Format {
  return formats[name]
}

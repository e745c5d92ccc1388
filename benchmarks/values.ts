import { Buffer } from 'node:buffer'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Compressor, Serializer } from '../lib/index.ts'

/**
 * What it costs to make bytes of values, and fewer bytes of those: sizes, and the time of the fastest of many rounds, as
 * Markdown. `npm run bench:values -- --help` says how to use it.
 */
const { values: options } = parseArgs({
  options: { milliseconds: { type: 'string', default: '300' }, help: { type: 'boolean', default: false } },
})

if (options.help) {
  console.log(`npm run bench:values -- [--milliseconds 300]

Prints what each serializer makes of JSON documents, and each compressor of JSON documents, HTML and random bytes, of 1, 10
and 100 KB. --milliseconds is how long each number is measured. zstd takes part where Node has it.`)
  process.exit(0)
}
if (!existsSync(join(import.meta.dirname, '../dist/esm/lib/index.js'))) throw new Error('build first: npm run build')

const { deflate, json, lz4, pickle, v8, zstd } = (await import('../dist/esm/lib/index.js' as string)) as typeof import('../lib/index.ts')
const { msgpack } = (await import('../dist/esm/serializers/msgpack.js' as string)) as typeof import('../serializers/msgpack.ts')

const SIZES = [1_000, 10_000, 100_000]
const LARGEST = 64 * 1024 * 1024

/** Numbers that are as good as random, and the same in every run: xorshift. */
function* numbers(): Generator<number, never> {
  for (let state = 0x9e3779b9; ; ) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    yield state >>> 0
  }
}

const random = numbers()
const pick = <T>(list: readonly T[]): T => list[random.next().value % list.length] as T
const upTo = (most: number): number => random.next().value % most
const WORDS = 'a able about account address agree along always amount answer area around ask author away back balance bank because before began book both bring build business call carry cause center certain change city clear close cold come company course cover create cross dark decide describe early earth east enough even example face family field figure final follow force form free friend full game general give good great green group grow half happen head heart help high hold home house idea inch keep kind king land large last late learn leave letter life light line list live long look love main make mark matter mean might mind mount move music name near night north note notice number'.split(' ')
const words = (count: number): string => Array.from({ length: count }, () => pick(WORDS)).join(' ')

function row(): object {
  return {
    id: upTo(1e9), uuid: [8, 4, 4, 12].map((length) => random.next().value.toString(16).padStart(length, '0').slice(0, length)).join('-'),
    name: `${words(1)} ${words(1)}`, email: `${words(1)}.${words(1)}@example.com`, active: upTo(2) === 1, balance: upTo(1e6) / 100,
    createdAt: new Date(1.6e12 + upTo(1e9) * 100).toISOString(), tags: [words(1), words(1)], manager: null, address: { street: `${words(2)} ${upTo(200)}`, zip: String(upTo(1e5)) },
  }
}

/** A list of rows that is about so long as JSON. */
function documentOf(length: number): { total: number; rows: object[] } {
  const made = { total: 0, rows: [] as object[] }
  while (JSON.stringify(made).length < length * 0.9) made.total = made.rows.push(row())
  return made
}

function htmlOf(length: number): string {
  let html = '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Orders</title></head>\n<body>\n<table class="table table-striped">\n'
  while (html.length < length) html += `  <tr class="row" id="order-${upTo(1e6)}">\n    <td class="cell name"><a href="/customers/${upTo(1e6)}">${words(2)}</a></td>\n    <td class="cell note">${words(6)}</td>\n  </tr>\n`
  return html.slice(0, length)
}

function noise(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, () => upTo(256)))
}

/** Microseconds of one call: the fastest of the rounds for which there is time. */
function time(work: () => unknown): number {
  let [calls, best] = [1, Infinity]
  for (const end = performance.now() + Number(options.milliseconds); performance.now() < end; ) {
    const began = performance.now()
    for (let call = 0; call < calls; call += 1) work()
    const took = performance.now() - began
    if (took < 2) calls *= 2 // a round of less is too short for the clock
    else best = Math.min(best, (took * 1000) / calls)
  }
  return best
}

function print(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const show = (cell: string | number): string => (typeof cell === 'string' ? cell : cell < 10 ? cell.toFixed(1) : cell.toFixed(0))
  for (const cells of [head, head.map((_, column) => (column < 2 ? '---' : '---:')), ...rows]) console.log(`| ${cells.map(show).join(' | ')} |`)
  console.log()
}

function serializers(): void {
  const subjects: readonly (readonly [name: string, subject: Serializer])[] = [
    ['`JSON.stringify`', { flag: 0, serialize: (value) => Buffer.from(JSON.stringify(value)), deserialize: (bytes) => JSON.parse(bytes.toString()) as unknown }],
    ...Object.entries({ json, v8, msgpack, pickle }).map(([name, subject]) => [`\`${name}\``, subject] as const),
  ]
  const rows = SIZES.flatMap((size) => {
    const value = documentOf(size)
    return subjects.map(([name, subject]) => {
      const bytes = subject.serialize(value)
      return [`${size / 1000} KB`, name, String(bytes.length), time(() => subject.serialize(value)), time(() => subject.deserialize(bytes))]
    })
  })
  print(['document', 'serializer', 'bytes', 'serialize, µs', 'deserialize, µs'], rows)
}

function compressors(): void {
  const subjects: { readonly [name: string]: Compressor } = { lz4, deflate, ...('zstd' in process.versions ? { zstd } : {}) }
  const kinds: { readonly [name: string]: (length: number) => Buffer } = {
    JSON: (length) => json.serialize(documentOf(length)),
    HTML: (length) => Buffer.from(htmlOf(length)),
    random: noise,
  }
  const rows = Object.entries(kinds).flatMap(([kind, make]) => SIZES.flatMap((size) => {
    const bytes = make(size)
    return Object.entries(subjects).map(([name, subject]) => {
      const fewer = subject.compress(bytes)
      const share = `${Math.round((100 * fewer.length) / bytes.length)} %`
      return [`${kind}, ${size / 1000} KB`, `\`${name}\``, share, time(() => subject.compress(bytes)), time(() => subject.decompress(fewer, LARGEST))]
    })
  }))
  print(['value', 'compressor', 'size', 'compress, µs', 'decompress, µs'], rows)
}

console.log(`Node ${process.versions.node}\n`)
serializers()
compressors()

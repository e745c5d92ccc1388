import { Buffer } from 'node:buffer'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Client, compat, meta, pickle, type Format } from '../lib/index.ts'
import { describe, likeHere, type Description } from './support/descriptions.ts'
import { pythonWith, startForeign, startMemjs, startNpmMemcached, succeeds, type ForeignClient, type NodeClient } from './support/foreign-clients.ts'
import { outsideTap } from './support/outside-tap.ts'
import { root } from './support/pages.ts'
import { bentPickles } from './support/recorded-pickles.ts'
import { startMemcached, withoutMemcached } from './support/servers.ts'
import { trees } from './support/trees.ts'

/** Values on a real memcached that other clients have written, and what those clients make of ours. */

/** A value as the other client has it, and as we have it. Both directions, unless it says that only one is true. */
type Row = readonly [theirs: Description, ours: unknown, direction?: 'read' | 'written']

const float = (value: number): Description => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return ['float', bytes.toString('hex')]
}
const text = (value: string): Description => ['text', value]
const int = (value: number | bigint): Description => ['int', String(value)]
const bytes = (value: Buffer): Description => ['bytes', value.toString('hex')]
const BINARY = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))

const STRINGS: readonly Row[] = ['', 'plain', '12', 'é € 😀', ' \r\n\t\0', 'two\r\nlines\\\n', 'x'.repeat(10_000), 'ünïcode '.repeat(1000)].map((value) => [text(value), value])
const INTEGERS: readonly Row[] = [0, 1, -1, 255, -256, 2 ** 31, 2 ** 32, -(2 ** 32) - 1, 2 ** 40, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER].map((value) => [int(value), value])
const LARGE: readonly Row[] = [2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)].map((value) => [int(value), value])
const LARGER: readonly Row[] = [2n ** 63n, 2n ** 64n, -(2n ** 70n), 2n ** 200n].map((value) => [int(value), value])
const FLOATS: readonly Row[] = [1.5, -1.5, 0.1, -0, 5e-324, 1.7976931348623157e308, 1e22].map((value) => [float(value), value])
const NO_NUMBERS: readonly Row[] = [NaN, Infinity, -Infinity].map((value) => [float(value), value])
const CONSTANTS: readonly Row[] = [[['none'], null], [['bool', true], true], [['bool', false], false]]
const BUFFERS: readonly Row[] = [Buffer.alloc(0), BINARY, Buffer.from('text'), Buffer.alloc(10_000, 0xfe)].map((value) => [bytes(value), value])
const NESTED: readonly Row[] = [
  [['list', []], []],
  [['list', [int(1), text('two'), ['none'], ['list', [['bool', true]]]]], [1, 'two', null, [true]]],
  [['dict', [[text('a'), int(1)], [text('__proto__'), ['list', [float(0.5)]]]]], JSON.parse('{"a":1,"__proto__":[0.5]}')],
  [['dict', [[text('rows'), ['list', Array.from({ length: 200 }, (_, id) => ['dict', [[text('id'), int(id)], [text('name'), text('Zoë')]]])]]]],
    { rows: Array.from({ length: 200 }, (_, id) => ({ id, name: 'Zoë' })) }],
]
const EMPTY_OBJECT: Row = [['dict', []], {}]
const KEYED: Row = [['dict', [[int(5), text('five')], [text('five'), int(5)]]], new Map<unknown, unknown>([[5, 'five'], ['five', 5]])]

const PYTHON: readonly Row[] = [
  ...STRINGS, ...INTEGERS, ...LARGE, ...LARGER, ...FLOATS, ...NO_NUMBERS, ...CONSTANTS, ...NESTED, EMPTY_OBJECT, KEYED,
  [['tuple', [int(1), text('a')]], [1, 'a'], 'read'],
  [['set', [int(1), int(2)]], new Set([1, 2])],
  [['datetime', '2024-02-29T23:59:58.123000', null, 0], new Date('2024-02-29T23:59:58.123Z')],
  [['dict', [[text('bytes'), bytes(BINARY)]]], { bytes: BINARY }],
]
const RUBY: readonly Row[] = [
  ...STRINGS, ...INTEGERS, ...LARGE, ...LARGER, ...FLOATS, ...NO_NUMBERS, ...CONSTANTS, ...BUFFERS, ...NESTED, EMPTY_OBJECT, KEYED,
  [['symbol', 'é'], 'é', 'read'],
  [['dict', [[['symbol', 'name'], text('Ada')], [['symbol', 'born'], ['symbol', 'name']]]], { name: 'Ada', born: 'name' }, 'read'],
  [['list', [text('same'), float(1.5), int(2n ** 70n), bytes(BINARY), ['list', [text('same')]]]], ['same', 1.5, 2n ** 70n, BINARY, ['same']]],
]
const PHP: readonly Row[] = [...STRINGS, ...INTEGERS, ...LARGE, ...FLOATS, ...NO_NUMBERS, ...CONSTANTS, [bytes(BINARY), BINARY], [text('a'), Buffer.from('a'), 'written'], ...NESTED, KEYED]
const JSON_VALUES: readonly Row[] = [...STRINGS, ...INTEGERS, ...FLOATS.filter(([, value]) => !Object.is(value, -0)), ...CONSTANTS, ...NESTED, EMPTY_OBJECT]

/** Stores each value with the one and reads it with the other, in both directions. */
async function share(t: Test, format: Format, start: (port: string) => ForeignClient, rows: readonly Row[], more?: (t: Test, ours: Client, theirs: ForeignClient) => Promise<void>): Promise<void> {
  const server = await startMemcached()
  const theirs = start(String(server.port))
  const ours = new Client({ port: server.port, serializer: format, minCompressLength: 1000, timeout: 20_000 })
  t.teardown(async () => {
    await Promise.all([theirs.close(), ours.close()])
    await server.stop()
  })
  for (const [index, [value, here, direction]] of rows.entries()) {
    const name = `${index}: ${JSON.stringify(value).slice(0, 60)}`
    if (direction !== 'written') {
      await theirs.set('theirs', value)
      t.strictSame(describe(await ours.get('theirs')), describe(here), `read ${name}`)
    }
    if (direction !== 'read') {
      await ours.set('ours', here)
      t.strictSame(likeHere(await theirs.get('ours')), likeHere(value), `written ${name}`)
      t.strictSame((await theirs.get('ours'))[0], value[0], 'and of their type')
      t.strictSame(await ours.get('ours'), here, 'and comes back')
    }
  }
  const [longest] = STRINGS.map(([, value]) => String(value)).sort((a, b) => b.length - a.length)
  await theirs.set('theirs', text(longest as string))
  await ours.set('ours', longest)
  const sizes = new Client({ port: server.port, driver: meta, serializer: format })
  t.teardown(() => sizes.close())
  for (const key of ['theirs', 'ours']) {
    const length = (await sizes.metaGet(key))?.size ?? Infinity
    t.ok(length < 1000, `${key} is compressed: ${length} bytes`)
  }
  t.equal(await ours.incr('counter', 1, { initial: 41 }), 41)
  t.equal(await ours.incr('counter'), 42)
  const [kind, digits] = await theirs.get('counter')
  t.match(kind === 'bytes' ? Buffer.from(String(digits), 'hex').toString() : digits, '42', 'they read a counter of ours')
  await more?.(t, ours, theirs)
}

/** Any nested data, in both directions. */
async function shareTrees(t: Test, ours: Client, theirs: ForeignClient): Promise<void> {
  for (const value of fc.sample(trees, { numRuns: 100, seed: 4 })) {
    await ours.set('ours', [value])
    const described = await theirs.get('ours')
    t.strictSame(likeHere(described), describe([value]), 'written')
    await theirs.set('theirs', described)
    t.strictSame(describe(await ours.get('theirs')), describe([value]), 'read')
  }
}

const python = pythonWith('pymemcache, pylibmc, memcache, lz4.block')
const withoutPython = withoutMemcached || (python === undefined ? 'the memcached clients of Python 3 are not installed' : false)
const withoutRuby = withoutMemcached || (succeeds('ruby', ['-e', "require 'dalli'"]) ? false : 'ruby and its dalli are not installed')
const withoutPhp = withoutMemcached || (succeeds('php', ['-r', 'exit(class_exists("Memcached") ? 0 : 1);']) ? false : 'php and its memcached are not installed')
const startPython = (name: string) => (port: string) => startForeign(python ?? 'python3', 'clients.py', name, port)

void t.test('pymemcache', { skip: withoutPython }, (t) => share(t, compat.pymemcache, startPython('pymemcache'), [...PYTHON, ...BUFFERS], shareTrees))

void t.test('python-memcached', { skip: withoutPython }, (t) => share(t, compat.pythonMemcached, startPython('python-memcached'), [...PYTHON, ...BUFFERS], shareTrees))

void t.test('pylibmc', { skip: withoutPython }, (t) => {
  const rows = [...PYTHON.filter(([kind]) => kind[0] !== 'bool'), ...BUFFERS]
  return share(t, compat.pylibmc, startPython('pylibmc'), [...rows, [['bool', true], 1, 'read'], [['bool', false], 0, 'read'], [['bool', true], true, 'written'], [['bool', false], false, 'written']], shareTrees)
})

void t.test('pyermc', { skip: withoutPython }, (t) => {
  const rows = PYTHON.filter(([kind]) => kind[0] !== 'bool' && kind[0] !== 'text')
  const strings = STRINGS.map(([, value]): Row => [bytes(Buffer.from(value as string)), value])
  return share(t, compat.pyermc, startPython('pyermc'), [
    ...rows, ...strings.map(([theirs, ours]): Row => [theirs, ours, 'written']), ...STRINGS.map(([theirs, ours]): Row => [theirs, ours, 'read']),
    [bytes(Buffer.from('text')), 'text', 'read'], [bytes(BINARY), BINARY], [['bool', true], 1, 'read'], [['bool', true], true, 'written'],
  ])
})

void t.test('dalli', { skip: withoutRuby }, (t) =>
  share(t, compat.dalli, (port) => startForeign('ruby', 'dalli.rb', 'marshal', port), RUBY, async (t, ours, theirs) => {
    await shareTrees(t, ours, theirs)
    await theirs.set('k', text('raw é'), { raw: true })
    t.equal(await ours.get('k'), 'raw é')
    await theirs.set('k', ['time', 5])
    await t.rejects(ours.get('k'), { name: 'MemcacheValueError', message: /"Time"/ })
    const shared = { a: ['b'] }
    await ours.set('k', [shared, shared, 1.5, 'é', shared.a])
    t.strictSame(likeHere(await theirs.get('k')), describe([shared, shared, 1.5, 'é', shared.a]))
  }))

void t.test('dalli with JSON', { skip: withoutRuby }, (t) => share(t, compat.dalliJson, (port) => startForeign('ruby', 'dalli.rb', 'json', port), JSON_VALUES))

for (const settings of ['php,fastlz', 'php,zlib', 'json,fastlz']) {
  const rows = settings.startsWith('json') ? PHP.filter((row) => row !== KEYED) : PHP
  void t.test(`php-memcached with ${settings}`, { skip: withoutPhp }, (t) =>
    share(t, compat.phpMemcached, (port) => startForeign('php', 'memcached.php', settings, port), rows, async (t, ours, theirs) => {
      if (settings.startsWith('php')) await shareTrees(t, ours, theirs) // JSON.parse rounds integers past 2^53
      const long = Array.from({ length: 40_000 }, (_, index) => `${index % 977} ${index % 13}`).join()
      await theirs.set('k', text(long)) // FastLZ has a second level for what is long
      t.equal(await ours.get('k'), long)
      await theirs.set('k', ['object', [[text('a'), int(1)]]])
      if (settings.startsWith('php')) await t.rejects(ours.get('k'), { name: 'MemcacheValueError', message: /"stdClass"/ })
      else t.strictSame(await ours.get('k'), { a: 1 })
    }))
}

void t.test('php-memcached with igbinary', { skip: withoutPhp }, async (t) => {
  const server = await startMemcached()
  const theirs = startForeign('php', 'memcached.php', 'igbinary,fastlz', String(server.port))
  const ours = new Client({ port: server.port, serializer: compat.phpMemcached })
  await theirs.set('k', ['list', [int(1)]])
  await t.rejects(ours.get('k'), { name: 'MemcacheValueError', message: /igbinary/ })
  await ours.set('k', [1])
  t.strictSame(await theirs.get('k'), ['list', [int(1)]], 'but what is written is read')
  await Promise.all([theirs.close(), ours.close()])
  await server.stop()
})

async function shareNode(t: Test, format: Format, start: (port: number) => NodeClient, rows: readonly (readonly [theirs: unknown, ours: unknown, direction?: 'read' | 'written'])[]): Promise<void> {
  const server = await startMemcached()
  const theirs = start(server.port)
  const ours = new Client({ port: server.port, serializer: format, minCompressLength: 1000 })
  for (const [value, here, direction] of rows) {
    if (direction !== 'written') {
      await theirs.set('theirs', value)
      t.strictSame(await ours.get('theirs'), here)
    }
    if (direction !== 'read') {
      await ours.set('ours', here)
      t.strictSame(await theirs.get('ours'), value)
      t.strictSame(await ours.get('ours'), here)
    }
  }
  theirs.close()
  await ours.close()
  await server.stop()
}

void t.test('memjs', { skip: withoutMemcached }, async (t) => {
  const strings = STRINGS.map(([, value]) => value as string)
  await shareNode(t, compat.memjs, startMemjs, [
    ...strings.map((value) => [value, value, 'read'] as const),
    ...strings.map((value) => [Buffer.from(value), value, 'written'] as const),
    [BINARY, BINARY], [Buffer.from('text'), Buffer.from('text'), 'written'], [Buffer.from('5'), 5, 'written'], [Buffer.from('{"a":[1]}'), { a: [1] }, 'written'],
  ])
})

void t.test('memcached for Node', { skip: withoutMemcached }, async (t) => {
  const values = [
    ...STRINGS.map(([, value]) => value), ...INTEGERS.map(([, value]) => value), ...FLOATS.map(([, value]) => value).filter((value) => !Object.is(value, -0)),
    NaN, Infinity, null, true, [], {}, [1, 'two\r\n', { a: [null] }], BINARY, Buffer.alloc(0), Buffer.from('é\r\n\\\n'),
  ]
  await shareNode(t, compat.memcached, startNpmMemcached, [...values.map((value) => [value, value] as const), [-0, -0, 'written']])
})

const anyPython = pythonWith('pickle')
const withoutAnyPython = anyPython === undefined ? 'python3 is not installed' : false

/** The lines that tests/interop/pickles.py prints. */
function pickles(command: string, input: readonly Buffer[] = []): string[] {
  const [program, args] = outsideTap(anyPython ?? 'python3', ['-W', 'ignore', join(root, 'tests/interop/pickles.py'), command])
  const { stdout } = spawnSync(program, args, { input: input.map((bytes) => `${bytes.toString('base64')}\n`).join(''), encoding: 'utf8', maxBuffer: 2 ** 28 })
  return stdout.trim().split('\n')
}

void t.test('Python makes nothing else of bent pickles', { skip: withoutAnyPython }, async (t) => {
  const bent = fc.sample(bentPickles, { numRuns: 10_000, seed: 4 })
  const theirs = pickles('read', bent).map((line) => JSON.parse(line) as Description)
  t.equal(theirs.length, bent.length)
  let both = 0
  for (const [index, bytes] of bent.entries()) {
    const [kind] = theirs[index] as Description
    const ours = readable(bytes)
    if (kind === 'error' || ours === undefined) continue // each is stricter than the other somewhere
    both += 1
    const same = JSON.stringify(describe(ours.value)) === JSON.stringify(likeHere(theirs[index] as Description))
    if (!same) t.fail(bytes.toString('latin1'))
  }
  t.ok(both > 400, `${both} were read by both`)
})

function readable(bytes: Buffer): { value: unknown } | undefined {
  try {
    return { value: pickle.deserialize(bytes) }
  } catch {
    return undefined
  }
}

void t.test('this Python pickles, and reads what is pickled here', { skip: withoutAnyPython }, async (t) => {
  const made = pickles('make').map((line) => JSON.parse(line) as { by: string; protocol: number; pickle: string; value: Description })
  t.ok(made.length > 500)
  const values = made.map(({ pickle: encoded }) => pickle.deserialize(Buffer.from(encoded, 'base64')))
  const wrong = made.filter(({ value }, index) => JSON.stringify(describe(values[index])) !== JSON.stringify(likeHere(value)))
  t.same(wrong.map(({ by, protocol, value }) => `${by}, protocol ${protocol}: ${JSON.stringify(value).slice(0, 100)}`), [])
  const again = pickles('read', values.map((value) => pickle.serialize(value))).map((line) => JSON.parse(line) as Description)
  t.equal(again.length, made.length)
  const changed = made.filter(({ value }, index) => JSON.stringify(likeHere(again[index] as Description)) !== JSON.stringify(likeHere(value)))
  t.same(changed.map(({ by, protocol, value }) => `${by}, protocol ${protocol}: ${JSON.stringify(value).slice(0, 100)}`), [])
})

import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { MemcacheValueError } from '../lib/errors.ts'
import { pickle, pickleWith } from '../serializers/pickle.ts'
import { PythonDate, PythonDateTime, PythonTime, PythonTimeDelta } from '../serializers/pickle-times.ts'
import { describe, likeHere, type Description } from './support/descriptions.ts'
import { root } from './support/pages.ts'
import { ANY_PYTHON, PYTHON_3 } from './support/pickled-values.ts'
import { bentPickles, recorded } from './support/recorded-pickles.ts'

/** Python's pickles: what Python wrote is read, what is written is what Python reads, and nothing else gets in or out. */

/** A line of tests/fixtures/written-pickles.jsonl, which tests/interop/record-written.ts makes. */
interface Written {
  readonly pickle: string
  /** What it is, by the version of Python that has read it. */
  readonly read: { readonly [version: string]: Description }
}

function read(bytes: string | Buffer): unknown {
  return pickle.deserialize(Buffer.from(bytes as string, 'latin1'))
}

/** The value, or the message of the MemcacheValueError; anything else that is thrown fails the test. */
function attempt(bytes: Buffer): unknown {
  try {
    return pickle.deserialize(bytes)
  } catch (error) {
    if (error instanceof MemcacheValueError) return error
    throw new Error(`${bytes.toString('hex').slice(0, 200)}: ${String(error)}`, { cause: error })
  }
}

void t.test('what Python 2 and 3 have written is read, whatever the protocol', async (t) => {
  t.same([...new Set(recorded.map(({ by, protocol }) => `${by}, ${protocol}`))].sort(), [
    ...[0, 1, 2].flatMap((protocol) => [`cPickle of 2.7, ${protocol}`, `pickle of 2.7, ${protocol}`]),
    ...[0, 1, 2, 3, 4, 5].map((protocol) => `pickle of 3.13, ${protocol}`),
  ].sort())
  for (const line of recorded) {
    const value = read(Buffer.from(line.pickle, 'base64'))
    t.strictSame(describe(value), likeHere(line.value), `${line.by}, protocol ${line.protocol}`)
  }
})

void t.test('each of Python\'s types has one in JavaScript', async (t) => {
  const rows: readonly (readonly [string, unknown])[] = [
    ['N.', null], ['I01\n.', true], ['\x80\x02\x89.', false],
    ['K\x05.', 5], ['I-7\n.', -7], ['L9007199254740991L\n.', Number.MAX_SAFE_INTEGER], ['L9007199254740992L\n.', 2n ** 53n],
    ['\x8a\x01\xff.', -1], ['\x8a\x00.', 0], ['\x8a\x07\0\0\0\0\0\0\x20.', 2n ** 53n], ['\x8b\x01\0\0\0\x05.', 5n],
    ['F-0.0\n.', -0], ['G?\xf8\0\0\0\0\0\0.', 1.5], ['Fnan\n.', NaN], ['F-inf\n.', -Infinity],
    ["S'caf\\xc3\\xa9'\n.", 'café'], ["S'\\xff'\n.", Buffer.from([255])], ['V\\u20ac \\U0001f600\n.', '€ 😀'], ['C\x01a.', Buffer.from('a')],
    ['(lp0\n(I1\nI2\ntp1\na.', [[1, 2]]],
    ['}(U\x01aK\x01U\x09__proto__K\x02u.', JSON.parse('{"a":1,"__proto__":2}')],
    ['}(K\x01U\x01aU\x01bK\x02u.', new Map<unknown, unknown>([[1, 'a'], ['b', 2]])],
    ['}(NNK\x01K\x01u.', new Map<unknown, unknown>([[null, null], [1, 1]])],
    ['ccollections\nOrderedDict\n)R(U\x01bK\x01U\x01aK\x02u.', new Map([['b', 1], ['a', 2]])], ['ccollections\nOrderedDict\n](](U\x01bK\x01ee\x85R.', new Map([['b', 1]])],
    ['c__builtin__\nset\n](K\x01K\x02e\x85R.', new Set([1, 2])], ['\x8f(K\x01\x90.', new Set([1])], ['(K\x01\x91.', new Set([1])],
    ['c_codecs\nencode\nX\x03\0\0\0a\xc3\xbfX\x06\0\0\0latin1\x86R.', Buffer.from([97, 255])],
    ['cdatetime\ndatetime\nC\x0a\x07\xe8\x02\x1d\x17\x3b\x3a\x01\xe0\x78\x85R.', new Date('2024-02-29T23:59:58.123Z')],
    ['cdatetime\ndatetime\nC\x0a\x07\xe8\x02\x1d\x17\x3b\x3a\x01\xe2\x40\x85R.', new PythonDateTime(Date.UTC(2024, 1, 29, 23, 59, 58, 123), 456)],
    ['cdatetime\ndatetime\nC\x0a\x07\xe8\x02\x1d\x17\x3b\x3a\0\0\0cpytz\n_UTC\n)R\x86R.', new PythonDateTime(Date.UTC(2024, 1, 29, 23, 59, 58), 0, { offset: 0 })],
    ['cdatetime\ndate\nC\x04\x07\xe8\x02\x1d\x85R.', new PythonDate(2024, 2, 29)],
    ['cdatetime\ntime\nC\x06\x17\x3b\x3a\0\0\x01\x85R.', new PythonTime(23, 59, 58, 1)],
    ['cdatetime\ntimedelta\nJ\xff\xff\xff\xffK\x01K\x02\x87R.', new PythonTimeDelta(-1, 1, 2)],
  ]
  for (const [text, expected] of rows) {
    const value = read(text)
    t.strictSame(value, expected, JSON.stringify(text))
    t.equal(Object.is(value, -0), Object.is(expected, -0))
  }
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
  t.type(read('cdatetime\ndatetime\nC\x0a\x07\xe8\x02\x1d\x17\x3b\x3a\x01\xe2\x40\x85R.'), Date)
})

void t.test('what is shared stays shared, and a circle a circle', async (t) => {
  const [first, second] = read('(lp0\n(lp1\nag1\na.') as [unknown[], unknown[]]
  t.equal(first, second)
  const circle = read('}q\0K\x01h\0s.') as Map<number, unknown>
  t.equal(circle.get(1), circle, 'a dict that becomes a Map only after it was put into something')
  let bomb: unknown = read(`]${'q\x000(h\0h\0l'.repeat(10_000)}.`)
  for (let depth = 0; depth < 10_000; depth += 1) {
    const [left, right] = bomb as [unknown, unknown]
    if (left !== right) t.fail('it was copied')
    bomb = left
  }
  t.strictSame(bomb, [])
})

void t.test('the str of Python 2 is text or bytes, as one says', async (t) => {
  const strings = pickleWith({ strings: 'bytes' })
  const given = Buffer.from("(dS'k'\nU\x01vsX\x01\0\0\0uT\x02\0\0\0\xc3\xa9s.", 'latin1')
  t.strictSame(pickle.deserialize(given), { k: 'v', u: 'é' })
  t.strictSame([...(strings.deserialize(given) as Map<unknown, unknown>)], [[Buffer.from('k'), Buffer.from('v')], ['u', Buffer.from('é')]])
  t.strictSame(pickleWith({ strings: undefined }).deserialize(given), { k: 'v', u: 'é' })
  for (const line of recorded) t.not(strings.deserialize(Buffer.from(line.pickle, 'base64')), undefined) // also what is made of a str: datetimes, bytes
  t.throws(() => pickleWith({ strings: 'latin1' as never }), { name: 'MemcacheValueError', message: /"strings" is "text" or "bytes", not "latin1"/ })
  t.throws(() => pickleWith({ encoding: 'text' } as never), { name: 'MemcacheValueError', message: /no option "encoding"/ })
})

void t.test('nothing that is named is built or called; the message says its name', async (t) => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ["cos\nsystem\n(S'true'\ntR.", /"os\.system"/], ["\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", /"os\.system"/],
    ['cposix\nsystem\n.', /"posix\.system"/], ['c__builtin__\neval\n(S"1"\ntR.', /"__builtin__\.eval"/], ['cbuiltins\ngetattr\n.', /"builtins\.getattr"/],
    ['cbuiltins\nset.__class__\n.', /"builtins\.set\.__class__"/], ['cBuiltins\nset\n.', /"Builtins\.set"/], ['c\nset\n.', /"\.set"/],
    ['cbuiltins.set\n\n.', /"builtins\.set\."/], ['c__proto__\nconstructor\n.', /"__proto__\.constructor"/],
    ['ccopy_reg\n_reconstructor\n(c__main__\nPoint\nc__builtin__\nobject\nNtR.', /"__main__\.Point"/], ['(iapp.models\nUser\n.', /"app\.models\.User"/],
    ['cdecimal\nDecimal\n(S"1"\ntR.', /"decimal\.Decimal"/], ['ccollections\ndefaultdict\n)R.', /"collections\.defaultdict"/], ['c__builtin__\ncomplex\n.', /complex/],
    ['(i__builtin__\nset\n.', /an instance of builtins\.set/], ['(c__builtin__\nset\no.', /an instance/], ['c__builtin__\nset\n)\x81.', /an instance/],
    ['c__builtin__\nset\n)}\x92.', /an instance/], ['}}b.', /state/], ['\x82\x05.', /extension 5/], ['\x83\x05\x01.', /extension 261/], ['\x84\x05\0\0\0.', /extension 5/],
    ['P1\n.', /outside/], ['NQ.', /outside/], ['\x97.', /buffer/], ['C\x01a\x98.', /buffer/],
    ['c__builtin__\nset\n.', /builtins\.set by itself/], ['](c__builtin__\nset\nNe.', /builtins\.set by itself/], ['}K\x01c_codecs\nencode\ns.', /_codecs\.encode by itself/],
    ['}c_codecs\nencode\nNs.', /_codecs\.encode by itself/], ['\x8f(cpytz\n_UTC\n)R\x90.', /datetime\.timezone by itself/],
    ['ccopyreg\n_reconstructor\n(NNNtR.', /_reconstructor/], ['c__builtin__\nset\nc__builtin__\nset\nR.', /cannot be called/], ['N)R.', /cannot be called/],
    ['\x8cos\x93.', /follow/], ['NN\x93.', /no string/],
  ]
  for (const [text, message] of rows) t.throws(() => read(text), { name: 'MemcacheValueError', message }, JSON.stringify(text))
})

void t.test('what Python does not write is refused', async (t) => {
  const date = (state: string): string => `cdatetime\ndate\nC${String.fromCharCode(state.length)}${state}\x85R.`
  const rows: readonly (readonly [string, RegExp])[] = [
    ['', /bytes follow/], ['.', /stack/], ['NN.', /middle/], ['(N.', /middle/], ['N.N', /behind the end/], ['\x80\x06N.', /protocol 6/], ['\xffN.', /0xff/],
    ['a.', /stack/], ['(a.', /stack/], ['N(a.', /stack/], ['Na.', /stack/], ['NNa.', /no list/], ['N(e.', /no list/], ['](0a.', /stack/], ['l.', /mark/], ['1.', /mark/], ['0.', /stack/],
    ['2.', /stack/], ['q\0.', /stack/], ['h\0.', /refers to its value 0/], ['gx\n.', /no number/], ['g12345678901\n.', /no number/], ['\x94.', /stack/], ['R.', /stack/], ['NR.', /stack/],
    ['}(Nu.', /without a value/], ['(Nd.', /without a value/], ['](NNu.', /no dict/], ['](N\x90.', /no set/], ['}NNs', /follow/], ['}}Ns.', /dict as a key/],
    ['\x8f(}\x90.', /dict as a key or in a set/],
    ['I1x\n.', /none/], ['I\n.', /none/], ['I 1\n.', /none/], ['I1 \n.', /none/], ['I+1\n.', /none/], ['I057\n.', /none/], ['I-0\n.', /none/], ['I1', /too early/], ['Lx\n.', /none/], [`I${'9'.repeat(10_001)}\n.`, /bytes long/], ['F1e\n.', /none/], ['F\n.', /none/], ['F0x10\n.', /none/],
    ['F1_0\n.', /none/], ["S'a\n.", /quotes/], ['Sa\n.', /quotes/], ["S'\n.", /quotes/], ["S'\\q'\n.", /\\\\q/], ["S'\\x1'\n.", /Python does not write/], ["S'\\'\n.", /Python does not write/],
    ['Va\\b\n.', /Python does not write/], ['V\\U00110000\n.', /Python does not write/], ['V\\ud800\n.', /surrogate/], ['X\x03\0\0\0\xed\xa0\x80.', /surrogate/], ['\x8c\x01\xff.', /UTF-8/],
    ['c_codecs\nencode\nNX\x06\0\0\0latin1\x86R.', /bytes/], ['c_codecs\nencode\nX\x01\0\0\0aX\x05\0\0\0utf-8\x86R.', /bytes/], ['c_codecs\nencode\nX\x02\0\0\0\xc4\x80X\x06\0\0\0latin1\x86R.', /bytes/],
    ['c__builtin__\nbytes\nK\x05\x85R.', /bytes/], ['c__builtin__\nbytearray\nK\x05\x85R.', /bytes/], ['c__builtin__\nset\nK\x05\x85R.', /set/], ['c__builtin__\nset\n]]\x86R.', /set/], ['ccollections\nOrderedDict\nK\x01\x85R.', /OrderedDict/], ['ccollections\nOrderedDict\n](]e\x85R.', /OrderedDict/],
    [date('\x07\xe8\x02\x1e'), /day/], [date('\x07\xe7\x02\x1d'), /day/], [date('\x07\xe8\x0d\x01'), /month/], [date('\0\0\x01\x01'), /year/], [date('\x27\x10\x01\x01'), /year/], [date('abc'), /3 bytes/],
    ['cdatetime\ndate\n)R.', /date or time/], ['cdatetime\ntime\nC\x06\x18\0\0\0\0\0\x85R.', /hour/], ['cdatetime\ntime\nC\x06\x01\0\0\x0f\x42\x40\x85R.', /microsecond/],
    ['cdatetime\ntime\nC\x06\0\0\0\0\0\0N\x86R.', /datetime/], ['cdatetime\ntimedelta\nNNN\x87R.', /days/],
    ['cdatetime\ntimezone\nK\x01\x85R.', /timezone/], ['cdatetime\ntime\nC\x06\0\0\0\0\0\0cdatetime\ntimezone\ncdatetime\ntimedelta\nK\x01K\0K\0\x87R\x85R\x86R.', /offset/],
  ]
  for (const [text, message] of rows) t.throws(() => read(text), { name: 'MemcacheValueError', message }, JSON.stringify(text.slice(0, 60)))
})

void t.test('lengths are believed as far as there are bytes', async (t) => {
  const claims = [
    'X\xff\xff\xff\xff', 'B\xff\xff\xff\xff', 'T\xff\xff\xff\x7f', 'T\xff\xff\xff\xff', '\x8b\xff\xff\xff\x7f', '\x8b\0\0\0\x80', '\x8b\xff\xff\xff\xff', '\x8a\xff', 'U\xff', 'C\xff', '\x8c\xff',
    ...['\x8d', '\x8e', '\x96', '\x95'].flatMap((code) => [`${code}\xff\xff\xff\xff\xff\xff\xff\xff`, `${code}\0\0\0\0\x01\0\0\0`, `${code}\0\0\0\0\0\0\0\x80`]),
  ]
  for (const claim of claims) t.throws(() => read(`${claim}abc.`), { name: 'MemcacheValueError', message: /follow|length/ }, JSON.stringify(claim))
})

void t.test('a pickle that is cut anywhere is refused', async (t) => {
  const read: string[] = []
  for (const line of recorded) {
    const bytes = Buffer.from(line.pickle, 'base64')
    for (let length = 0; length < bytes.length; length += 1) {
      if (!(attempt(bytes.subarray(0, length)) instanceof MemcacheValueError)) read.push(`${line.by}, protocol ${line.protocol}, cut at ${length}`)
    }
  }
  t.same(read, [])
  for (let code = 0; code < 256; code += 1) {
    const text = String.fromCharCode(code)
    for (const bytes of [text, `(${text}`, `N${text}`, `(N${text}`, `](N${text}`]) attempt(Buffer.from(bytes, 'latin1'))
  }
})

void t.test('what is bent is read as something or refused', async (t) => {
  let refused = 0
  fc.assert(fc.property(bentPickles, (bytes) => void (refused += Number(attempt(bytes) instanceof MemcacheValueError))), { numRuns: 20_000, seed: 4 })
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void attempt(Buffer.from(bytes))), { numRuns: 20_000, seed: 4 })
  t.ok(refused > 15_000 && refused < 20_000, `${refused} of 20,000 were refused`)
})

void t.test('hostile pickles take no more time and memory than long ones', async (t) => {
  const many = 300_000
  const codes = (text: string): Buffer => Buffer.from(text, 'latin1')
  const scattered = (count: number): Buffer => {
    const puts = Buffer.alloc(5 * count, 'r')
    for (let index = 0; index < count; index += 1) puts.writeUInt32LE((index * 2_654_435_761) % 2 ** 32, 5 * index + 1)
    return Buffer.concat([codes('N'), puts, codes('.')])
  }
  const nested = attempt(codes(`${']'.repeat(many)}${'a'.repeat(many - 1)}.`))
  let depth = 0
  for (let level: unknown = nested; Array.isArray(level); level = level[0]) depth += 1
  t.equal(depth, many, 'deeper than any stack')
  const hostile: readonly (readonly [string, Buffer, RegExp | undefined])[] = [
    ['tuples in tuples', codes(`)${'\x85'.repeat(many)}.`), undefined],
    ['dicts in dicts', codes(`${'}K\x01'.repeat(many)}N${'s'.repeat(many)}.`), undefined],
    ['marks', codes(`${'('.repeat(many)}`), /follow/],
    ['empty sets', codes(`(${'\x8f'.repeat(many)}l.`), undefined],
    ['the same again and again', codes(`(${'N\x94'.repeat(many)}l.`), undefined],
    ['too many objects', codes(`(${']'.repeat(2_100_000)}l.`), /more than 2000000 objects/],
    ['too many marks', codes('('.repeat(2_100_000)), /more than 2000000 marks/],
    ['too much to remember', codes(`N${'\x94'.repeat(4_100_000)}.`), /more than 4000000 values/],
    ['what is remembered here and there', scattered(300_000), undefined],
    ['one list made into many sets', codes(`c__builtin__\nset\nq\0](${'K\x01'.repeat(100_000)}eq\x010(${'h\0h\x01\x85R'.repeat(100_000)}l.`), /can be in it/],
    ['one text made into much', codes(`c_codecs\nencode\nq\0X\xa0\x86\x01\0${'a'.repeat(100_000)}q\x01X\x06\0\0\0latin1q\x02(${'h\0h\x01h\x02\x86R'.repeat(100_000)}l.`), /can be in it/],
    ['one bytearray made into many', codes(`c__builtin__\nbytearray\nq\0B\xa0\x86\x01\0${'a'.repeat(100_000)}q\x01(${'h\0h\x01\x85R'.repeat(100_000)}l.`), /can be in it/],
    ['a long integer', Buffer.concat([codes('\x8b\x80\x96\x98\0'), Buffer.alloc(10_000_000, 0x7f), codes('.')]), undefined],
    ['many digits', codes(`L${'9'.repeat(1_000_000)}L\n.`), /bytes long/],
    ['a line without an end', codes(`I${'9'.repeat(1_000_000)}`), /too early/],
    ['one escape after the other', codes(`V${'\\u0041'.repeat(200_000)}\n.`), undefined],
  ]
  for (const [what, bytes, message] of hostile) {
    const before = process.memoryUsage().rss
    const began = performance.now()
    const outcome = attempt(bytes)
    const [took, more] = [performance.now() - began, process.memoryUsage().rss - before]
    if (message !== undefined) t.match(outcome, { name: 'MemcacheValueError', message }, what)
    else t.notOk(outcome instanceof MemcacheValueError, what)
    t.ok(took < 10_000, `${what}: ${Math.round(took)} ms`)
    t.ok(more < 1.5e9, `${what}: ${Math.round(more / 1e6)} MB`)
  }
})

void t.test('what is written comes back as it was', async (t) => {
  const shared = { again: [1] }
  for (const value of [...ANY_PYTHON, ...PYTHON_3, 'x'.repeat(1_000_000), Buffer.alloc(1_000_000, 0xfe), [1n << 100_000n]]) {
    const back = pickle.deserialize(pickle.serialize(value))
    t.strictSame(back, value)
    t.equal(Object.is(back, -0), Object.is(value, -0))
    t.strictSame(describe(back), describe(value))
  }
  const [first, second] = pickle.deserialize(pickle.serialize([shared, shared])) as [unknown, unknown]
  t.equal(first, second)
  const circle: Record<string, unknown> = {}
  circle['self'] = [circle, new Map([[1, circle]])]
  const back = pickle.deserialize(pickle.serialize(circle)) as { self: [unknown, Map<number, unknown>] }
  t.equal(back.self[0], back)
  t.equal(back.self[1].get(1), back)
  t.strictSame(pickle.deserialize(pickle.serialize({ a: 1, b: undefined })), { a: 1 }, 'a property that is undefined is none')
})

void t.test('Python 2.7 and 3 read what is written', async (t) => {
  const lines = readFileSync(join(root, 'tests/fixtures/written-pickles.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Written)
  const values = [...ANY_PYTHON, ...PYTHON_3]
  t.equal(lines.length, values.length)
  for (const [index, value] of values.entries()) {
    const { pickle: recorded, read } = lines[index] as Written
    t.equal(pickle.serialize(value).toString('base64'), recorded, 'as it was when Python read it; tests/interop/record-written.ts asks Python anew')
    const expected = index < ANY_PYTHON.length ? ['2.7', '3.13'] : ['3.13']
    t.same(Object.keys(read), expected)
    for (const version of expected) {
      const bytes = JSON.stringify(read[version]).replaceAll('["str",', '["bytes",') // in Python 2: all text is unicode there
      t.strictSame(likeHere(JSON.parse(bytes) as Description), describe(value), `Python ${version}`)
    }
  }
})

void t.test('anything that is written comes back as it was', async (t) => {
  const key = fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.double({ noInteger: true, noNaN: true }), fc.constant(null))
  const leaf = fc.oneof(
    key, fc.boolean(), fc.double(), fc.bigInt(), fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }), fc.maxSafeInteger(),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)), fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }), fc.constant('__proto__'),
  )
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4, withCrossShrink: true }, leaf, tie('array'), tie('object'), tie('map'), tie('set')),
    array: fc.array(tie('value'), { maxLength: 5 }),
    object: fc.dictionary(fc.oneof(fc.string(), fc.constant('__proto__')), tie('value'), { maxKeys: 5, noNullPrototype: true }),
    map: fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map((entries) => new Map(entries)),
    set: fc.array(fc.oneof(key, fc.array(key, { maxLength: 2 })), { maxLength: 5 }).map((items) => new Set(distinct(items))),
  }))
  let count = 0
  fc.assert(
    fc.property(value, (given) => {
      count += 1
      const back = pickle.deserialize(pickle.serialize(given))
      return JSON.stringify(describe(back)) === JSON.stringify(describe(given))
    }),
    { numRuns: 10_000, seed: 4 },
  )
  t.equal(count, 10_000)
})

/** Without arrays that are equal. */
function distinct(items: readonly unknown[]): unknown[] {
  return [...new Map(items.map((item) => [JSON.stringify(describe(item)), item])).values()]
}

void t.test('what would come back changed is refused, with the path to it', async (t) => {
  class Point { x = 1 }
  class Day extends Date {}
  const sparse = [1, , 3] // eslint-disable-line no-sparse-arrays
  const circle: unknown[] = []
  circle.push(circle)
  let deep: unknown = 1
  for (let depth = 0; depth < 200_000; depth += 1) deep = [deep]
  const rows: readonly (readonly [unknown, RegExp])[] = [
    [{ a: [1, { b: new Point() }] }, /pickle cannot keep a Point instance, which is at \.a\[1\]\.b/], [[undefined], /undefined, which is at \[0\]/], [sparse, /undefined.*\[1\]/],
    [() => 1, /a function$/], [Symbol('s'), /a symbol/], [/x/, /RegExp/], [new Uint8Array(1), /Uint8Array/], [Object(1n), /BigInt/], [new Error('x'), /Error/], [new Day(), /Day/],
    [{ [Symbol('s')]: 1 }, /symbol/], [Object.assign([1], { extra: 2 }), /named properties/], [{ 'not a name': new WeakMap() }, /WeakMap.*\["not a name"\]/],
    ['\ud800', /surrogate/], [{ '\udc00': 1 }, /surrogate/], [[{ a: 'x\ud800' }], /surrogate.*\[0\]\.a/], [new Date(NaN), /invalid Date/], [new Date(8.64e15), /year/], [new Date('-000001-01-01'), /year/],
    [new Map([[{ a: 1 }, 1]]), /Object instance as a key/], [new Set([new Map([[1, 2]])]), /Map instance as a key or in a Set/],
    [new Map<unknown, unknown>([[1, 1], [true, 2]]), /equal in Python/], [new Set([1, 1n]), /equal in Python/], [new Set([0, false]), /equal in Python/], [new Set([2 ** 53, 2n ** 53n]), /equal in Python/],
    [new Set([[1, 2], [1, 2]]), /equal in Python/], [new Set([new Set([1, 'a']), new Set(['a', 1])]), /equal in Python/], [new Set([new Date(5), new Date(5)]), /equal in Python/],
    [new Set(['a', Buffer.from('a')]), /equal in Python/], [{ x: new Set([[[1]], [[true]]]) }, /equal in Python.*\.x/], [new Set([new PythonDate(1, 2, 3), new PythonDate(1, 2, 3)]), /equal in Python/],
    [new Set([circle]), /500 levels/], [deep, /500 levels deep/],
  ]
  for (const [value, message] of rows) t.throws(() => pickle.serialize(value), { name: 'MemcacheValueError', message }, message.source)
  t.doesNotThrow(() => pickle.serialize(new Set(['é', Buffer.from('é'), new PythonDateTime(5, 1), new PythonDateTime(5), new PythonDateTime(5, 0, { offset: 0 }), NaN, null, 'null'])))
  let twice: unknown = [1]
  for (let depth = 0; depth < 400; depth += 1) twice = [twice, twice]
  t.ok(pickle.serialize([twice, new Set([twice])]).length < 20_000, 'what is used twice is written once')
})

import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { memjs } from '../drivers/memjs.ts'
import { metaProtocol } from '../drivers/meta.ts'
import type { Protocol } from '../lib/driver.ts'
import { Client, MemcacheAuthError, MemcacheDriverError, MemcacheError, MemcacheSocketError } from '../lib/index.ts'
import type { Request } from '../lib/commands.ts'
import { DIALECTS, echoed, type Answer, type Asked, type Dialect } from './support/dialects.ts'
import { encoded, MODES, multi, plain, replyIn, requests as SINGLE, store, waiting } from './support/exchanges.ts'
import { outcome, Opened, random, SLACK, unhandled } from './support/outcomes.ts'
import { show } from './support/replay.ts'
import { below, mutated, oneOf, pieces, type Random } from './fuzz/mutation.ts'
import { corpus, corpusLine, flaws, FUZZED, offspring, seeds, type Input } from './fuzz/trial.ts'

/**
 * Replies that no server gives. A bounded run with the same numbers each time; `npm run fuzz -- --minutes 10` goes further,
 * guided by what code its inputs reach.
 */

t.setTimeout(180_000)

/** Another one by hand: `FUZZ_SEED=5 npx tap tests/fuzz.test.ts`. */
const SEED = Number(process.env['FUZZ_SEED'] ?? 1)
t.comment(`seed ${SEED}`)

const unexpected = unhandled()
const opened = new Opened()
t.teardown(() => opened.close())

for (const subject of FUZZED) {
  const { name } = subject

  t.test(`${name}: the corpus`, async (t) => {
    const inputs = corpus(subject)
    t.ok(inputs.length > 0, `${inputs.length} inputs`)
    for (const input of inputs) {
      for (let round = 0; round < 3; round += 1) t.strictSame(flaws(subject, input, random(SEED + round)), [], corpusLine(subject, input).slice(0, 300))
    }
  })

  t.test(`${name}: mutated replies are read alike in any pieces, or refused; nothing is reserved, nothing loops`, async (t) => {
    const next = random(SEED)
    const pool = seeds(subject)
    const rounds = 8000
    const failures: string[] = []
    for (let round = 0; round < rounds && failures.length < 5; round += 1) {
      const input = offspring(pool, next)
      const wrong = flaws(subject, input, next)
      if (wrong.length > 0) failures.push(`${wrong.join('\n')}\n${corpusLine(subject, input).slice(0, 2000)}`)
    }
    t.strictSame(failures, [])
  })
}

t.test('a line is as long as it is, whether or not its end comes with it', async (t) => {
  const [text, meta, binary] = FUZZED
  const get: readonly Request[] = [SINGLE.get]
  const flagged = ' f0'.repeat(30_000)
  const cases: readonly (readonly [typeof text, string])[] = [
    [text, `SERVER_ERROR ${'x'.repeat(70_000)}\r\n`], [text, `VALUE k 0 1 ${'1'.repeat(70_000)}\r\nx\r\nEND\r\n`], [text, `END${' '.repeat(70_000)}\r\n`],
    [meta, `EN O1${flagged}\r\n`], [meta, `VA 1 O1${flagged}\r\nx\r\n`], [meta, `EN ${'x'.repeat(70_000)}\r\n`], [binary, `ERROR ${'x'.repeat(70_000)}\r\n`],
  ]
  for (const [subject, response] of cases) t.strictSame(flaws(subject!, { requests: get, response }, random(SEED)), [], response.slice(0, 20))
})

t.test('the fuzzer sees a protocol go wrong', async (t) => {
  const subject = FUZZED.find(({ name }) => name === 'meta')!
  const input: Input = { requests: [SINGLE.get], response: 'VA 1 O1 f0\r\nx\r\n' }
  const broken: { readonly [what: string]: Partial<Protocol<unknown>> } = {
    'an error of another kind': { frame: () => JSON.parse('{') as unknown },
    'memory for what is only announced': { frame: (reader) => reader.need(2 ** 31) },
    'a frame of nothing': { frame: (reader) => reader.advance(reader.start) },
    'what comes at once is read otherwise than what comes in pieces': { frame: (reader, most) => (reader.end < 15 && reader.end > 3 ? reader.advance(reader.end) : (metaProtocol.frame(reader, most) as unknown)) },
  }
  t.strictSame(flaws(subject, input, random(1)), [])
  for (const [what, wrong] of Object.entries(broken)) {
    const found = [1, 2, 3, 4, 5].flatMap((seed) => flaws({ ...subject, protocol: { ...subject.protocol, ...wrong } }, input, random(seed)))
    t.not(found.length, 0, what)
  }
})

/** What a server may answer to this request, as a choice of a few things. */
function answerTo({ op, keys }: Asked, random: Random, request: Request): Answer {
  const value = (): string => oneOf(random, ['', 'x', '\r\nEND\r\n', 'VALUE a 0 1', '\x81\0', 'é', '0'.repeat(below(random, 5000))])
  const found = (): { value: string; flags: number; cas: bigint } => ({ value: value(), flags: oneOf(random, [0, 1, 2 ** 31, 2 ** 32 - 1]), cas: oneOf(random, [1n, 2n ** 64n - 1n]) })
  if (random() < 0.1) return { trouble: 'out of memory' }
  switch (op) {
    case 'get':
    case 'getMulti':
      return keys.map(() => (random() < 0.3 ? undefined : found()))
    case 'store':
      // A binary reply that says stored has a new cas id, of which the others know nothing.
      return oneOf(random, 'mode' in request && request.mode === 'cas' ? (['exists', 'not-found'] as const) : (['stored', 'not-stored'] as const))
    case 'delete':
      return oneOf(random, ['deleted', 'not-found'] as const)
    case 'touch':
      return oneOf(random, ['touched', 'not-found'] as const)
    case 'count':
      return random() < 0.2 ? 'not-found' : oneOf(random, [0n, 1n, 2n ** 53n, 2n ** 64n - 1n])
    case 'stats':
      return new Map(Array.from({ length: below(random, 5) }, (_, place) => [`name${place}`, oneOf(random, ['', '1', 'two words'])]))
    case 'version':
      return { version: oneOf(random, ['1.6.18', '', 'x'.repeat(300)]) }
    default:
      return 'ok'
  }
}

t.test('the same answer in text, meta and binary is the same reply', async (t) => {
  const next = random(SEED)
  const asked: readonly Request[] = [...Object.values(SINGLE), multi('a'), multi('a', 'b', 'c'), { ...multi('a', 'b'), cas: true } as Request, ...MODES.map((mode) => store(mode, 'v', { cas: 7n }))]
  let replies = 0
  for (let round = 0; round < 300; round += 1) {
    for (const request of asked) {
      const seed = below(next, 1e9)
      const told = DIALECTS.map((dialect) => {
        const protocol = FUZZED.find(({ name }) => name === dialect.name)!.protocol
        const bytes = encoded(protocol, request, 1)
        const said = Buffer.from(dialect.said(bytes, answerTo(dialect.asked(bytes), random(seed), request)), 'latin1')
        try {
          const reply = replyIn(protocol, request, pieces(said, next), 1)
          return reply === waiting ? 'no whole reply' : show(plain(reply))
        } catch (error) {
          // Each protocol has words and statuses of its own.
          return error instanceof MemcacheDriverError ? error.name : String(error)
        }
      })
      replies += 1
      if (told.some((each) => each !== told[0])) t.strictSame(told, told.map(() => told[0]), `${request.op}, seed ${seed}`)
    }
  }
  t.ok(replies > 1000)
})

/** Commands whose results say whose they are: each value begins with its key. */
const CALLS: readonly ((client: Client, key: string) => Promise<unknown>)[] = [
  ...Array<(client: Client, key: string) => Promise<unknown>>(6).fill((client, key) => client.get(key)),
  (client, key) => client.gets(key),
  (client, key) => client.getMulti([key, `${key}b`]),
  (client, key) => client.set(key, 'v'),
  (client, key) => client.delete(key),
  (client, key) => client.incr(key),
  (client, key) => client.touch(key, 1),
  (client) => client.stats(),
  (client) => client.version(),
]

/** A value that names its key, in a way that no change of its bytes would. */
function valueOf(key: string): string {
  return `of ${key} ${createHash('sha1').update(key).digest('hex').slice(0, 8)}`
}

/** The values in a result that belong to a call of another key than this. */
function foreign(result: unknown, key: string): string[] {
  const values = result instanceof Map ? [...(result as Map<string, unknown>).values()] : [(result as { value?: unknown } | undefined)?.value ?? result]
  return values.flatMap((value) => {
    const named = typeof value === 'string' ? /^of (key-\d{4}b?) /.exec(value)?.[1] : undefined
    return named !== undefined && value === valueOf(named) && !named.startsWith(key) ? [`${named} for ${key}`] : []
  })
}

/**
 * What comes in place of a reply: its bytes changed, or whole replies too many, too few, or another's. Not one with the value
 * of another: nothing in any protocol would tell.
 */
function misled(reply: string, before: string, random: Random): string {
  if (random() < 0.5) return mutated(reply, random, '').slice(0, 3000)
  return oneOf(random, [reply + reply, before + reply, reply + before, before, ''])
}

const CLIENTS: readonly (readonly [string, Dialect, Dialect['driver']])[] = [...DIALECTS.map((dialect) => [dialect.name, dialect, dialect.driver] as const), ['memjs', DIALECTS[1]!, memjs]]

for (const [name, dialect, driver] of CLIENTS) {
  t.test(`${name}: a client whose server answers so: every call settles, with nothing of another's, and the next works`, async (t) => {
    const next = random(SEED)
    const answer = (asked: Asked): Answer => (/^(?:get|getMulti)$/.test(asked.op) ? asked.keys.map((key) => ({ value: valueOf(key) })) : echoed(asked))
    const server = await opened.scripted(async (peer) => {
      for (let before = ''; ; ) {
        const request = await peer.request()
        const asked = dialect.asked(request)
        const reply = dialect.said(request, answer(asked))
        peer.send(asked.keys.includes('good') || next() < 0.9 ? reply : misled(reply, before, next))
        before = reply
      }
    })
    const client = opened.client(server, { driver, timeout: 60 })
    const good = (): Promise<unknown> => client.get('good', { timeout: 10_000 })
    const wrong: unknown[] = []
    let [settled, failed] = [0, 0]
    for (let round = 0; round < 150; round += 1) {
      const calls = Array.from({ length: 8 }, async (_, place) => {
        const key = `key-${String(round * 8 + place).padStart(4, '0')}` // none begins with another: to a text get that would be a name of it
        const { value, error, took } = await outcome(oneOf(next, CALLS)(client, key))
        settled += 1
        if (error !== undefined) failed += 1
        if (error !== undefined && !(error instanceof MemcacheError)) wrong.push(error)
        if (took > 60 + SLACK) wrong.push({ took })
        wrong.push(...foreign(value, key))
      })
      await Promise.all(calls)
      // Of an answer that was one too many it can only be known when it is there, which may be after the next call was written.
      let last = await outcome(good())
      for (let again = 0; last.error instanceof MemcacheSocketError && again < 3; again += 1) last = await outcome(good())
      // A server that wants credentials is not asked again at once.
      for (let again = 0; last.error instanceof MemcacheAuthError && again < 100; again += 1) last = await sleep(10).then(() => outcome(good()))
      if (last.value !== valueOf('good')) wrong.push({ round, ...last })
    }
    t.strictSame(wrong, [])
    t.equal(settled, 1200)
    t.ok(failed > 50 && failed < 900 && server.peers.length > 20, `${failed} failed, ${server.peers.length} connections`)
    await client.close()
    await server.close()
  })
}

t.test('nothing was left unhandled, nothing was warned of', async (t) => t.same(unexpected, []))

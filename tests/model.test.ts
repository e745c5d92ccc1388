import { Buffer } from 'node:buffer'
import { inspect, isDeepStrictEqual } from 'node:util'
import fc, { type Arbitrary } from 'fast-check'
import t from 'tap'
import { binary } from '../drivers/binary.ts'
import { memjs } from '../drivers/memjs.ts'
import { meta } from '../drivers/meta.ts'
import { noop } from '../drivers/noop.ts'
import { text } from '../drivers/text.ts'
import { Client } from '../lib/client.ts'
import type { DriverFactory } from '../lib/driver.ts'
import type { ClientOptions } from '../lib/options.ts'
import type { Format } from '../lib/serialization.ts'
import { startServer } from '../lib/testing/index.ts'
import { nameOf } from './model/arguments.ts'
import { Model, type Abilities } from './model/model.ts'
import { play, type Player, type Stage, type Tally } from './model/play.ts'
import { PLAIN_KEYS, programs, type Turn } from './model/programs.ts'
import { LIMITS } from './model/values.ts'
import { startMemcached, withoutMemcached } from './support/servers.ts'

/**
 * Random programs on every driver, on the embedded server and on a real memcached: each outcome has to be one that the model
 * in tests/model allows, and the drivers have to leave the same bytes behind.
 *
 *     MODEL_SEED=7 npx tap tests/model.test.ts                    other programs; a failure says which seed made it
 *     MODEL_RUNS=20 npx tap --timeout=600 tests/model.test.ts     twenty times as many
 */

const SEED = Number(process.env['MODEL_SEED'] ?? 42)
const RUNS = Number(process.env['MODEL_RUNS'] ?? 1)
/** Milliseconds for one property. A failure is made smaller no longer than this, so that it is reported before tap gives up. */
const TIME_LIMIT = 40_000 * RUNS
/** Milliseconds. */
const TIMEOUT = 10_000

interface DriverRow extends Abilities {
  readonly name: string
  readonly driver: DriverFactory
}

const DRIVERS: readonly DriverRow[] = [
  { name: 'text', driver: text, binaryKeys: false, lacks: ['metaGet'] },
  { name: 'binary', driver: binary, binaryKeys: true, lacks: ['metaGet', 'verbosity'] },
  { name: 'meta', driver: meta, binaryKeys: true, lacks: [] },
  { name: 'memjs', driver: memjs, binaryKeys: true, lacks: ['metaGet', 'verbosity'] },
]

interface Running extends Stage {
  readonly options: ClientOptions
  /** Begins anew: nothing is stored, and it is now. */
  fresh(): void
  stop(): Promise<void>
}

const SERVERS: readonly { readonly name: string; readonly skip: string | false; start(): Promise<Running> }[] = [
  { name: 'the embedded server', skip: false, start: embedded },
  { name: 'memcached', skip: withoutMemcached, start: real },
]

async function embedded(): Promise<Running> {
  let clock = Date.now()
  const server = await startServer({ itemSizeMax: LIMITS.server, slabChunkMax: LIMITS.server, now: () => clock })
  return {
    options: { host: server.host, port: server.port },
    exact: true,
    advance: (seconds) => void (clock += 1000 * seconds),
    fresh: () => {
      server.clear()
      clock = Date.now()
    },
    stop: () => server.close(),
  }
}

/** Its items stay from run to run, so that each has keys of its own. */
async function real(): Promise<Running> {
  const { host, port, stop } = await startMemcached(['-I', String(LIMITS.server), '-m', '1024'])
  return { options: { host, port }, exact: false, fresh: () => {}, stop: () => stop() }
}

const tally: Tally = new Map()
let runs = 0

for (const { name, skip, start } of SERVERS) {
  void t.test(`on ${name}`, { skip }, async (t) => {
    const running = await start()
    t.teardown(() => running.stop())
    const clock = running.advance !== undefined

    const onEachDriver = async (program: readonly Turn[]): Promise<void> => {
      let left: { readonly name: string; readonly items: Leftovers } | undefined
      for (const driver of DRIVERS) {
        const items = await playOn(running, program, driver)
        left ??= { name: driver.name, items }
        const differing = [...left.items].find(([key, item]) => items.has(key) && !isDeepStrictEqual(items.get(key), item))
        if (differing !== undefined) throw new Error(`${driver.name} left ${inspect(items)}, ${left.name} left ${inspect(left.items)}`)
      }
    }

    await t.test('every driver, one call after the other', async (t) => {
      await holds(t, programs({ turns: 40, calls: 1, clock, binaryKeys: false }), onEachDriver, 60)
    })

    await t.test('every driver, many calls in one turn', async (t) => {
      await holds(t, programs({ turns: 4, calls: 40, clock, binaryKeys: false }), onEachDriver, 40)
    })

    await t.test('clients of all drivers, which read what the others wrote', async (t) => {
      const together = async (program: readonly Turn[]): Promise<void> => {
        running.fresh()
        const options = { ...running.options, keyPrefix: newPrefix() }
        await playWith(DRIVERS.map((driver) => player(driver, options)), program, new Model(), running)
      }
      await holds(t, programs({ turns: 40, calls: 4, clock, binaryKeys: true }), together, 60)
    })
  })
}

void t.test('noop, which takes everything and keeps nothing', async (t) => {
  const row: DriverRow = { name: 'noop', driver: noop, binaryKeys: true, lacks: [], forgets: true }
  for (const calls of [1, 40]) {
    const property = (program: readonly Turn[]): Promise<void> => playWith([player(row, {})], program, new Model(), { exact: true })
    await holds(t, programs({ turns: 10, calls, clock: false, binaryKeys: true }), property, 20)
  }
})

void t.test('the programs have been everywhere', { skip: withoutMemcached }, async (t) => {
  const steps = [...tally.values()].reduce((sum, count) => sum + count, 0)
  t.ok(steps >= 20_000 * RUNS, `${steps} steps`)
  t.strictSame(EVERYWHERE.filter((outcome) => !tally.has(outcome)), [])
})

/** What has to have come of commands, beside errors of keys: programs of nothing but misses would tell little. */
const EVERYWHERE = [
  ...['get', 'gets', 'metaGet', 'gat', 'gats', 'getMulti', 'getsMulti'].flatMap((command) => [`${command}: object`, `${command}: MemcacheValueError`]),
  ...['get: undefined', 'get: string', 'get: number', 'get: bigint', 'metaGet: MemcacheUnsupportedError'],
  ...['set', 'add', 'replace', 'append', 'prepend'].flatMap((command) => [`${command}: true`, `${command}: MemcacheValueError`, `${command}: MemcacheServerError`]),
  ...['add', 'replace', 'append', 'prepend', 'cas', 'delete', 'touch'].map((command) => `${command}: false`),
  ...['cas', 'delete', 'touch', 'flushAll', 'verbosity'].map((command) => `${command}: true`),
  ...['incr', 'decr'].flatMap((command) => ['number', 'bigint', 'undefined', 'MemcacheClientError', 'MemcacheValueError'].map((kind) => `${command}: ${kind}`)),
  ...['setMulti: object', 'setMulti: MemcacheServerError', 'deleteMulti: object', 'version: string'],
]

/** Whether a property holds for many of these. */
async function holds<T>(t: Tap, arbitrary: Arbitrary<T>, property: (each: T) => Promise<void>, numRuns: number): Promise<void> {
  const limits = { interruptAfterTimeLimit: TIME_LIMIT, markInterruptAsFailure: true }
  await fc.assert(fc.asyncProperty(arbitrary, property), { seed: SEED, numRuns: numRuns * RUNS, ...limits })
  t.pass(`${numRuns * RUNS} runs`)
}

type Tap = Pick<typeof t, 'pass'>

function newPrefix(): string {
  return `${(runs += 1)}:`
}

function player({ driver, ...abilities }: DriverRow, options: ClientOptions): Player {
  const { binaryKeys } = abilities
  const client = new Client({ ...options, driver, binaryKeys, cacheCas: true, maxValueLength: LIMITS.client, timeout: TIMEOUT })
  return { ...abilities, client }
}

async function playWith(players: readonly Player[], program: readonly Turn[], model: Model, stage: Stage): Promise<void> {
  try {
    await play(program, players, model, stage, tally)
  } finally {
    await Promise.all(players.map(({ client }) => client.close()))
  }
}

/** Items as they are stored, by key. */
type Leftovers = Map<string, unknown>

const asStored: Format = {
  name: 'as stored',
  compressors: [],
  encode: () => ({ value: Buffer.alloc(0), flags: 0 }),
  decode: (bytes, flags) => ({ flags, bytes: Buffer.from(bytes) }),
}

/** Plays a program on one driver; gives what it left, as far as the server had no choice in it, in the words of the text protocol. */
async function playOn(running: Running, program: readonly Turn[], driver: DriverRow): Promise<Leftovers> {
  running.fresh()
  const model = new Model()
  const options = { ...running.options, keyPrefix: newPrefix() }
  await playWith([player(driver, options)], program, model, running)
  await using reader = new Client({ ...options, driver: text, serializer: asStored })
  const items = await reader.getMulti(PLAIN_KEYS)
  return new Map(PLAIN_KEYS.filter((key) => model.isCertain(key)).map((key) => [nameOf(key), items.get(nameOf(key))]))
}

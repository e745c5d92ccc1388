import { deepEqual, equal, fail } from 'node:assert/strict'
import { inspect, isDeepStrictEqual } from 'node:util'
import type { Client } from '../../index.ts'
import type { Command } from './calls.ts'
import { clause, type Clause } from './clause.ts'
import { Model } from './model.ts'

/** The same numbers in every run, so that what fails once fails again. */
const SEED = 20
const ROUNDS = 25
const MOVES = 40

/** A command that was called, and what the model says of it. */
interface Move {
  readonly said: string
  readonly key: string
  readonly outcome: Promise<unknown>
  readonly expected: unknown
}

/** What the moves of one game share. */
interface Game {
  readonly client: Client
  readonly model: Model
  /** Texts under some keys, counters under others. */
  readonly texts: readonly string[]
  readonly counters: readonly string[]
  /** A whole number below this one. */
  readonly random: (below: number) => number
  /** The cas ids that gets has given, with the model's version of the item then. */
  readonly seen: { readonly key: string; readonly cas: bigint; readonly version: number | undefined }[]
}

/** Many commands of all kinds at once: each gets the reply to itself, and they take effect in the order of the calls. */
export const pipelining: readonly Clause[] = [
  clause('commands that are called in one turn take effect in their order', ['memory', 'set', 'get', 'delete', 'add'], async ({ client, key }) => {
    const k = key()
    const results = await Promise.all([
      client.get(k), client.set(k, 1), client.get(k), client.add(k, 2), client.delete(k), client.get(k), client.delete(k), client.add(k, 3), client.get(k),
    ])
    deepEqual(results, [undefined, true, 1, false, true, undefined, false, true, 3])
  }),

  clause('long and short values in one turn do not mix', ['memory', 'set', 'get'], async ({ client, key }) => {
    const lengths = [0, 100_000, 1, 2048, 300_000, 2049, 65_536, 10]
    const names = lengths.map((length) => key(String(length)))
    const stored = names.map((name, index) => client.set(name, `${index}`.repeat(lengths[index] as number)))
    const read = [...names, ...names].map((name) => client.get<string>(name))
    deepEqual(await Promise.all(stored), lengths.map(() => true))
    for (const [place, value] of (await Promise.all(read)).entries()) {
      const index = place % lengths.length
      equal(value === `${index}`.repeat(lengths[index] as number), true, `the value of ${lengths[index]} bytes`)
    }
  }),

  clause('what is called behind a setMulti is done behind all of it', ['memory', 'setMulti', 'get', 'delete'], async ({ client, key }) => {
    const base = key()
    const stored = client.setMulti(Array.from({ length: 1000 }, (_, index): [string, number] => [`${base}:${index}`, index]))
    const last = client.get(`${base}:999`)
    const gone = client.delete(`${base}:998`)
    equal((await stored).size, 1000)
    deepEqual([await last, await gone, await client.get(`${base}:998`)], [999, true, undefined])
  }),

  clause('any sequence of commands gives what a model of memcached gives', ['memory', 'set', 'get', 'delete'], async ({ client, key, has }) => {
    const texts = [key('text'), key('text'), key('text')]
    const game: Game = { client, model: new Model(), texts, counters: [key('counter'), key('counter')], random: randomNumbers(SEED), seen: [] }
    const possible = (Object.keys(MOVERS) as (keyof typeof MOVERS)[]).filter((command) => has(command))
    const history: string[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      const moves = Array.from({ length: MOVES }, () => MOVERS[possible[game.random(possible.length)] as keyof typeof MOVERS](game))
      for (const { said, key, outcome, expected } of moves) {
        const actual = await outcome.catch((error: unknown) => (error as Error).name)
        if (!isDeepStrictEqual(actual, expected)) {
          const before = history.filter((line) => line.includes(key)).slice(-5)
          fail(`${said} gave ${inspect(actual)}, not ${inspect(expected)}, after\n${before.join('\n')}`)
        }
        history.push(`${said}: ${inspect(actual)}`)
      }
    }
  }),
]

/** For each command a call with random arguments, and what the model makes of it. */
const MOVERS = {
  get: (game) => reading(game, 'get', (client, key) => client.get(key)),
  gat: (game) => reading(game, 'gat', (client, key) => client.gat(key, 60)),
  gets: (game) => reading(game, 'gets', (client, key) => versioned(game, key, client.gets<string | number>(key))),
  gats: (game) => reading(game, 'gats', (client, key) => versioned(game, key, client.gats<string | number>(key, 60))),
  getMulti(game) {
    const keys = [...game.texts, ...game.counters].filter(() => game.random(2) === 0)
    const expected = new Map(keys.filter((key) => game.model.has(key)).map((key) => [key, game.model.get(key)]))
    return { said: `getMulti ${keys.join(' ')}`, key: keys[0] ?? '', outcome: game.client.getMulti(keys), expected }
  },
  touch: (game) => simple(game, 'touch', (client, key) => client.touch(key, 60), (model, key) => model.has(key)),
  delete: (game) => simple(game, 'delete', (client, key) => client.delete(key), (model, key) => model.delete(key)),
  set: (game) => storing(game, 'set'),
  add: (game) => storing(game, 'add'),
  replace: (game) => storing(game, 'replace'),
  append: (game) => joining(game, 'append'),
  prepend: (game) => joining(game, 'prepend'),
  incr: (game) => counting(game, 'incr', 1),
  decr: (game) => counting(game, 'decr', -1),
  cas(game) {
    const old = game.seen[game.random(game.seen.length)]
    if (old === undefined) return storing(game, 'set')
    const value = anyValue(game, old.key)
    const outcome = game.client.cas(old.key, value, { cas: old.cas })
    return { said: `cas ${old.key} ${inspect(value)} ${old.cas}`, key: old.key, outcome, expected: game.model.cas(old.key, value, old.version) }
  },
} satisfies { readonly [command in Command]?: (game: Game) => Move }

function reading(game: Game, command: string, call: (client: Client, key: string) => Promise<unknown>): Move {
  return simple(game, command, call, (model, key) => model.get(key))
}

/** What gets gives, without the id, which is kept for a later cas. */
async function versioned({ model, seen }: Game, key: string, call: ReturnType<Client['gets']>): Promise<unknown> {
  const version = model.version(key)
  const item = await call
  if (item !== undefined) seen.push({ key, cas: item.cas, version })
  return item?.value
}

function simple(game: Game, command: string, call: (client: Client, key: string) => Promise<unknown>, expect: (model: Model, key: string) => unknown): Move {
  const key = anyKey(game)
  return { said: `${command} ${key}`, key, outcome: call(game.client, key), expected: expect(game.model, key) }
}

function storing(game: Game, command: 'set' | 'add' | 'replace'): Move {
  const key = anyKey(game)
  const value = anyValue(game, key)
  return { said: `${command} ${key} ${inspect(value)}`, key, outcome: game.client[command](key, value), expected: game.model[command](key, value) }
}

/** Only texts: digits that are put together are another number. */
function joining(game: Game, command: 'append' | 'prepend'): Move {
  const key = game.texts[game.random(game.texts.length)] as string
  const text = 'xyz'.slice(game.random(3))
  return { said: `${command} ${key} ${text}`, key, outcome: game.client[command](key, text), expected: game.model[command](key, text) }
}

function counting(game: Game, command: 'incr' | 'decr', sign: 1 | -1): Move {
  const key = anyKey(game)
  const delta = game.random(2000) - 500
  return { said: `${command} ${key} ${delta}`, key, outcome: game.client[command](key, delta), expected: game.model.count(key, sign * delta) }
}

function anyKey({ texts, counters, random }: Game): string {
  const keys = random(2) === 0 ? texts : counters
  return keys[random(keys.length)] as string
}

function anyValue({ texts, random }: Game, key: string): string | number {
  return texts.includes(key) ? `text ${random(100)}${'.\r\n'.repeat(random(5))}` : random(2000)
}

/** mulberry32. */
function randomNumbers(seed: number): Game['random'] {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

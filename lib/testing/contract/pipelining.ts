import { deepEqual, equal, fail } from 'node:assert/strict'
import { inspect, isDeepStrictEqual } from 'node:util'
import { clause, type Clause } from './clause.ts'
import { Game } from './game.ts'
import { later } from './rejection.ts'

/** The same game in every run, so that what fails once fails again. */
const SEED = 20
const ROUNDS = 25
const MOVES_A_ROUND = 40

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
    const read = later(Promise.all([...names, ...names].map((name) => client.get<string>(name))))
    deepEqual(await Promise.all(stored), lengths.map(() => true))
    for (const [place, value] of (await read).entries()) {
      const index = place % lengths.length
      equal(value === `${index}`.repeat(lengths[index] as number), true, `the value of ${lengths[index]} bytes`)
    }
  }),

  clause('what is called behind a setMulti is done behind all of it', ['memory', 'setMulti', 'get', 'delete'], async ({ client, key }) => {
    const base = key()
    const [stored, last, gone] = await Promise.all([
      client.setMulti(Array.from({ length: 1000 }, (_, index): [string, number] => [`${base}:${index}`, index])),
      client.get(`${base}:999`),
      client.delete(`${base}:998`),
    ])
    deepEqual([stored.size, last, gone, await client.get(`${base}:998`)], [1000, 999, true, undefined])
  }),

  clause('any sequence of commands gives what a model of memcached gives', ['memory', 'set', 'get', 'delete'], async ({ client, key, has }) => {
    const game = new Game(client, SEED, key, has)
    const history: string[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      const moves = Array.from({ length: MOVES_A_ROUND }, () => game.move())
      for (const { said, outcome, expected } of moves) {
        const actual = await outcome
        history.push(`${said}: ${inspect(actual)}`)
        if (!isDeepStrictEqual(actual, expected)) fail(`${said} gave ${inspect(actual)}, not ${inspect(expected)}; the last calls were\n${history.slice(-20).join('\n')}`)
      }
    }
  }),
]

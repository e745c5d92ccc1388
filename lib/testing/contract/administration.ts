import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { CALLS, COMMANDS, MISSES, SEEKING, type Command } from './calls.ts'
import { clause, type Clause } from './clause.ts'
import { later, rejects, REFUSED } from './rejection.ts'

/** What drivers give that remember nothing, where it is not a miss. */
const ACCEPTED: { readonly [command in Command]?: (key: string) => unknown } = {
  set: () => true, add: () => true, replace: () => true, append: () => true, prepend: () => true, cas: () => true,
  setMulti: (key) => new Map([[key, true]]), flushAll: () => true, verbosity: () => true,
}

/** Not every protocol has all of them, nor has every server. */
const SECTIONS = ['slabs', 'sizes', 'conns', 'cachedump 1 10', 'detail dump']
/** Those that change what the server counts. */
const SWITCHES = ['detail on', 'detail dump', 'detail off', 'sizes_enable', 'sizes_disable', 'reset']
const NO_SECTION = [...REFUSED, 'MemcacheUnsupportedError']

/** What is asked of the server itself, and what every driver gives, whether or not there is one. */
export const administration: readonly Clause[] = [
  clause('what was never stored is a miss', [], async ({ client, key, has }) => {
    for (const command of SEEKING.filter((each) => has(each))) {
      const missing = key(command)
      deepEqual(await CALLS[command](client, missing), MISSES[command](missing), command)
    }
  }),

  clause('every command is accepted, and nothing is there afterwards', ['forgetting'], async ({ client, key, has }) => {
    const k = key()
    for (const command of COMMANDS.filter((each) => has(each) && each !== 'version' && each !== 'stats')) {
      deepEqual(await CALLS[command](client, k), (ACCEPTED[command] ?? MISSES[command])(k), command)
    }
    if (has('incr', 'add')) equal(await client.incr(k, 5, { initial: 7 }), 7)
    if (has('decr', 'add')) equal(await client.decr(k, 5n, { initial: 7 }), 7n)
    if (has('setMulti')) equal((await client.setMulti(Array.from({ length: 1000 }, (_, index) => [`${k}:${index}`, index]))).size, 1000)
    if (has('getMulti')) equal((await client.getMulti(Array.from({ length: 1000 }, (_, index) => `${k}:${index}`))).size, 0)
  }),

  clause('version is text, and stats a Map of texts', ['version', 'stats'], async ({ client }) => {
    match(await client.version(), /^[\x20-\x7e]+$/)
    const stats = await client.stats()
    ok(stats instanceof Map)
    for (const [name, value] of stats) deepEqual([typeof name, typeof value], ['string', 'string'], name)
  }),

  clause('version is the one that stats have', ['server', 'version', 'stats'], async ({ client }) => {
    equal((await client.stats()).get('version'), await client.version())
  }),

  clause('stats count what was done', ['memory', 'server', 'stats', 'get', 'set'], async ({ client, key, has }) => {
    const k = key()
    const counted = async (): Promise<number[]> => {
      const stats = await client.stats()
      return ['cmd_set', 'cmd_get', 'get_hits'].map((name) => Number(stats.get(name)))
    }
    const before = await counted()
    await client.set(k, 1)
    await client.get(k)
    await client.get(`${k}:missing`)
    const added = (await counted()).map((count, place) => count - (before[place] as number))
    if (has('own server')) deepEqual(added, [1, 2, 1])
    else ok((added[0] as number) >= 1 && (added[1] as number) >= 2 && (added[2] as number) >= 1, `counted: ${added.join(', ')}`)
  }),

  clause('stats have sections', ['memory', 'server', 'stats', 'set'], async ({ client, key }) => {
    await client.set(key(), 'v')
    match((await client.stats('settings')).get('maxbytes') ?? '', /^\d+$/)
    const items = await client.stats('items')
    ok([...items.keys()].some((name) => /^items:\d+:number$/.test(name)), `there is no number of items in ${[...items.keys()].join()}`)
  }),

  clause('every section is a Map or is refused, and the next replies are right', ['server', 'stats'], async ({ client, key, has }) => {
    for (const section of ['no-such-section', 'two words', ...SECTIONS, ...(has('own server') ? SWITCHES : [])]) {
      const stored = later(has('set') ? client.set(key(), 1) : Promise.resolve(false))
      const outcome = await client.stats(section).catch((error: unknown) => rejects(Promise.reject(error), { name: NO_SECTION, command: 'stats' }, section))
      ok(outcome instanceof Map || outcome instanceof Error)
      equal(await stored, has('set'), section)
      ok((await client.stats()).size > 0, `the general statistics after ${section}`)
    }
  }),

  clause('verbosity is set', ['server', 'own server', 'verbosity'], async ({ client }) => {
    equal(await client.verbosity(1), true)
    equal(await client.verbosity(0), true)
  }),
]

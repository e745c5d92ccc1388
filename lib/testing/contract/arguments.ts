import { equal } from 'node:assert/strict'
import type { Client } from '../../index.ts'
import type { Command } from './calls.ts'
import { clause, type Clause } from './clause.ts'
import { misbehaviours } from './faulty-server.ts'
import { rejects } from './rejection.ts'

const VALUE = 'MemcacheValueError'
const KEY = 'MemcacheKeyError'

/** Calls with an argument that cannot be right, and the error for it. */
const WRONG: { readonly [command in Command]?: readonly (readonly [error: string, call: (client: Client) => Promise<unknown>])[] } = {
  get: [[KEY, (client) => client.get('')], [KEY, (client) => client.get('a\r\nflush_all')], [VALUE, (client) => client.get('k', { timeout: 0 })]],
  getMulti: [[KEY, (client) => client.getMulti(['a', 'a\nb'])]],
  gets: [[KEY, (client) => client.gets('\ud800')]],
  gat: [[VALUE, (client) => client.gat('k', NaN)], [VALUE, (client) => client.gat('k', '60' as unknown as number)]],
  gats: [[VALUE, (client) => client.gats('k', 0.5)]],
  touch: [[VALUE, (client) => client.touch('k', new Date(NaN))], [VALUE, (client) => client.touch('k', Infinity)]],
  set: [[KEY, (client) => client.set('\0', 1)], [VALUE, (client) => client.set('k', undefined)], [VALUE, (client) => client.set('k', 1, { ttl: NaN })], [VALUE, (client) => client.set('k', Buffer.alloc(1_000_001))]],
  add: [[VALUE, (client) => client.add('k', new Map())]],
  replace: [[VALUE, (client) => client.replace('k', 1, { ttl: new Date('2100-01-01') })]],
  append: [[VALUE, (client) => client.append('k', {} as string)]],
  prepend: [[VALUE, (client) => client.prepend('k', 1.5)]],
  cas: [[VALUE, (client) => client.cas('k', 1)], [VALUE, (client) => client.cas('k', 1, { cas: 2n ** 64n })], [VALUE, (client) => client.cas('k', 1, { cas: -1n })]],
  setMulti: [[VALUE, (client) => client.setMulti([['a', 1], ['b', undefined]])], [KEY, (client) => client.setMulti({ '': 1 })]],
  delete: [[KEY, (client) => client.delete('a\tb\r\n')]],
  deleteMulti: [[KEY, (client) => client.deleteMulti([''])]],
  incr: [[VALUE, (client) => client.incr('k', 0.5)], [VALUE, (client) => client.incr('k', 2n ** 64n)], [VALUE, (client) => client.incr('k', 1, { initial: -1 })], [VALUE, (client) => client.incr('k', 1, { initial: 2n ** 60n })]],
  decr: [[VALUE, (client) => client.decr('k', 2 ** 53)], [VALUE, (client) => client.decr('k', -(2n ** 64n))]],
  flushAll: [[VALUE, (client) => client.flushAll(-1)], [VALUE, (client) => client.flushAll(0.5)], [VALUE, (client) => client.flushAll(2 ** 31)]],
  stats: [[VALUE, (client) => client.stats('two\r\nlines')], [VALUE, (client) => client.stats(' ')]],
  verbosity: [[VALUE, (client) => client.verbosity(-1)], [VALUE, (client) => client.verbosity(NaN)]],
}

/** What cannot be right is refused before anything is sent. */
export const refusedArguments: readonly Clause[] = [
  clause('arguments that cannot be right are refused, and nothing is sent', [], async ({ client, make, has, faulty }) => {
    const server = has('server') ? await faulty(misbehaviours.silent) : undefined
    const watched = server === undefined ? client : make(server.address)
    for (const [command, calls] of Object.entries(WRONG)) {
      if (!has(command as Command)) continue
      for (const [name, call] of calls) await rejects(call(watched), { name, command, sent: false }, String(call))
    }
    await watched.close()
    await server?.left()
    equal(server?.received ?? 0, 0, 'bytes were sent')
  }),
]

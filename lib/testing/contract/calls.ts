import type { Client } from '../../index.ts'

/** One call of each command, with arguments that are right. */
export const CALLS = {
  get: (client, key) => client.get(key),
  getMulti: (client, key) => client.getMulti([key]),
  metaGet: (client, key) => client.metaGet(key),
  gets: (client, key) => client.gets(key),
  getsMulti: (client, key) => client.getsMulti([key]),
  gat: (client, key) => client.gat(key, 60),
  gats: (client, key) => client.gats(key, 60),
  touch: (client, key) => client.touch(key, 60),
  set: (client, key) => client.set(key, 'v'),
  add: (client, key) => client.add(key, 'v'),
  replace: (client, key) => client.replace(key, 'v'),
  append: (client, key) => client.append(key, 'v'),
  prepend: (client, key) => client.prepend(key, 'v'),
  cas: (client, key) => client.cas(key, 'v', { cas: 1n }),
  setMulti: (client, key) => client.setMulti([[key, 'v']]),
  delete: (client, key) => client.delete(key),
  deleteMulti: (client, key) => client.deleteMulti([key]),
  incr: (client, key) => client.incr(key),
  decr: (client, key) => client.decr(key),
  flushAll: (client) => client.flushAll(),
  stats: (client) => client.stats(),
  version: (client) => client.version(),
  verbosity: (client) => client.verbosity(0),
} satisfies { readonly [command: string]: (client: Client, key: string) => Promise<unknown> }

/** A command of a client. */
export type Command = keyof typeof CALLS

/** The names of all commands. */
export const COMMANDS = Object.keys(CALLS) as readonly Command[]

/** What each command gives that finds nothing, or does nothing. */
export const MISSES: { readonly [command in Command]: (key: string) => unknown } = {
  get: () => undefined,
  getMulti: () => new Map(),
  metaGet: () => undefined,
  gets: () => undefined,
  getsMulti: () => new Map(),
  gat: () => undefined,
  gats: () => undefined,
  touch: () => false,
  set: () => false,
  add: () => false,
  replace: () => false,
  append: () => false,
  prepend: () => false,
  cas: () => false,
  setMulti: (key) => new Map([[key, false]]),
  delete: () => false,
  deleteMulti: (key) => new Map([[key, false]]),
  incr: () => undefined,
  decr: () => undefined,
  flushAll: () => false,
  stats: () => new Map(),
  version: () => '',
  verbosity: () => false,
}

/** Those that read or count what is there, or take it away: on a key that is not there each gives its miss. */
export const SEEKING = [
  'get', 'getMulti', 'metaGet', 'gets', 'getsMulti', 'gat', 'gats', 'touch', 'delete', 'deleteMulti', 'incr', 'decr',
] as const satisfies readonly Command[]

/** Those that others who use the server notice. */
export const CONCERNS_ALL: readonly Command[] = ['flushAll', 'verbosity']

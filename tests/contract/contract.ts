import type { Test } from 'tap'
import { Client } from '../../lib/client.ts'
import { MemcacheUnsupportedError } from '../../lib/errors.ts'
import type { ClientOptions } from '../../lib/options.ts'
import { administration } from './administration.ts'
import { clientOptions } from './client-options.ts'
import { counting } from './counting.ts'
import { expiring } from './expiring.ts'
import { reading } from './reading.ts'
import { rejection } from './rejection.ts'
import { storing } from './storing.ts'
import { values } from './values.ts'

/** Every command of a client, by the arguments of a call that is right. */
export const CALLS = {
  get: (client) => client.get('unsupported'),
  getMulti: (client) => client.getMulti(['unsupported']),
  gets: (client) => client.gets('unsupported'),
  getsMulti: (client) => client.getsMulti(['unsupported']),
  gat: (client) => client.gat('unsupported', 60),
  gats: (client) => client.gats('unsupported', 60),
  touch: (client) => client.touch('unsupported', 60),
  set: (client) => client.set('unsupported', 'v'),
  add: (client) => client.add('unsupported', 'v'),
  replace: (client) => client.replace('unsupported', 'v'),
  append: (client) => client.append('unsupported', 'v'),
  prepend: (client) => client.prepend('unsupported', 'v'),
  cas: (client) => client.cas('unsupported', 'v', { cas: 1n }),
  setMulti: (client) => client.setMulti([['unsupported', 'v']]),
  delete: (client) => client.delete('unsupported'),
  deleteMulti: (client) => client.deleteMulti(['unsupported']),
  incr: (client) => client.incr('unsupported'),
  decr: (client) => client.decr('unsupported'),
  flushAll: (client) => client.flushAll(),
  stats: (client) => client.stats(),
  version: (client) => client.version(),
  verbosity: (client) => client.verbosity(0),
} satisfies { readonly [command: string]: (client: Client) => Promise<unknown> }

export type Command = keyof typeof CALLS

/** A server that is up for one run of the contract. */
export interface Running {
  /** How to reach it, the driver included. */
  readonly options: ClientOptions
  /** Moves the server's clock, where it is ours to move. */
  readonly advance?: (seconds: number) => void
  /** The server's own word for when an item expires, in seconds from now; -1 = never. Where it can be asked. */
  readonly secondsLeft?: (key: string) => Promise<number>
  stop(): Promise<void>
}

/** One row of the table: a driver on a server, reached in one way. */
export interface Subject {
  readonly name: string
  /** Why it cannot run here. */
  readonly skip: string | false
  /** What this driver cannot do: the contract then asks for MemcacheUnsupportedError. */
  readonly unsupported: readonly Command[]
  start(): Promise<Running>
}

/** What a part of the contract is given. */
export interface Scene extends Running {
  /** A client of the server, for all that needs no options of its own. */
  readonly client: Client
  /** Another one, with these options; it is closed when the part is over. */
  make(options?: ClientOptions): Client
  /** The commands that the driver has. */
  readonly supported: readonly Command[]
  /** A key that no other part uses. */
  key(name?: string): string
}

/** Declares a part of the contract; it is left out for a driver that has not all of the commands that it needs. */
export type Feature = (name: string, needs: readonly Command[], body: (t: Test, scene: Scene) => Promise<void>) => void

/** Runs the whole contract of a client on one server. */
export function contract(t: Test, subject: Subject): void {
  void t.test(subject.name, { skip: subject.skip }, async (t) => {
    const running = await subject.start()
    const client = new Client(running.options)
    t.teardown(async () => {
      await client.close()
      await running.stop()
    })

    const supported = (Object.keys(CALLS) as Command[]).filter((command) => !subject.unsupported.includes(command))
    if (supported.includes('flushAll')) await client.flushAll()

    let parts = 0
    const feature: Feature = (name, needs, body) => {
      if (!needs.every((command) => supported.includes(command))) return
      const part = (parts += 1)
      void t.test(name, async (t) => {
        let keys = 0
        const make = (options: ClientOptions = {}): Client => {
          const other = new Client({ ...running.options, ...options })
          t.teardown(() => other.close())
          return other
        }
        await body(t, { ...running, client, make, supported, key: (name = 'key') => `${part}:${(keys += 1)}:${name}` })
      })
    }

    for (const command of subject.unsupported) {
      feature(`${command} rejects with MemcacheUnsupportedError`, [], async (t, { client }) => {
        const error = await rejection(CALLS[command](client))
        t.ok(error instanceof MemcacheUnsupportedError)
        t.match(error, { command, sent: false, code: 'ERR_MEMCACHE_UNSUPPORTED' })
      })
    }
    for (const section of [reading, storing, counting, values, clientOptions, administration, expiring]) section(feature)
  })
}

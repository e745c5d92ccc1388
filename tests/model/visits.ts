import type { Client } from '../../lib/client.ts'
import type { CallOptions } from '../../lib/commands.ts'
import { Count, Register, type Fate } from './register.ts'

/** The calls that a crowd makes, and which results are right. */

/** How many keys there are, and counters. */
export const KEYS = 4
/** Counter n counts from n times this. */
const APART = 1_000_000

/** What is known of the items of one run, by the calls of one client. */
export class Knowledge {
  readonly #prefix: string
  readonly #registers = Array.from({ length: KEYS }, () => new Register())
  readonly #counts = Array.from({ length: KEYS }, (_, counter) => new Count(counter * APART))
  readonly #ids = new Map<bigint, unknown>()
  readonly #lastIds = new Map<number, bigint>()
  #restarted = false
  #nonce = 0

  /** No other run has keys with this prefix. */
  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** The key that is the base of a run's items, and none of them. */
  key(key: number): string {
    return `${this.#prefix}-key-${key}`
  }

  /** A key under which there is never anything. */
  none(key: number): string {
    return `${this.#prefix}-none-${key}`
  }

  counter(counter: number): string {
    return `${this.#prefix}-counter-${counter}`
  }

  firstCount(counter: number): number {
    return counter * APART
  }

  register(key: number): Register {
    return this.#registers[key] as Register
  }

  count(counter: number): Count {
    return this.#counts[counter] as Count
  }

  /** The server has lost all that it had: what it has from now on it numbers anew. */
  restarted(): void {
    this.#restarted = true
    for (const register of this.#registers) register.mayLeave(undefined)
  }

  isCount(counter: number, count: unknown): boolean {
    return this.count(counter).isCount(count) || (this.#restarted && count === undefined)
  }

  /** A value that says its key, and that no other call stores. */
  value(key: number, length: number): string {
    return `${this.key(key)} ${(this.#nonce += 1)} ${'.'.repeat(length)}`
  }

  /** Whether this can be found under a key, with an id that no other value has. */
  isVersion(key: number, found: unknown): boolean {
    if (found === undefined) return this.register(key).isFound(undefined)
    const { value, cas } = found as { readonly value: unknown; readonly cas: bigint }
    const known = (this.#restarted ? undefined : this.#ids.get(cas)) ?? value
    this.#ids.set(cas, value)
    this.#lastIds.set(key, cas)
    return this.register(key).isFound(value) && known === value
  }

  /** The id of a version that was seen, or of none. */
  lastId(key: number): bigint {
    return this.#lastIds.get(key) ?? 1n
  }
}

/** Who calls, what of, and how. */
export interface Visitor {
  readonly client: Client
  readonly known: Knowledge
  /** Which of the keys. */
  readonly key: number
  /** Of what is stored. */
  readonly length: number
  readonly options: CallOptions
}

/** A call, and whether what became of it can be: asked in the order of the calls, when all of them are over. */
export interface Visited {
  readonly called: Promise<unknown>
  readonly follow: (fate: Fate) => boolean
}

/** A call that changes nothing. */
function reading(called: Promise<unknown>, isRight: (result: unknown) => boolean): Visited {
  return { called, follow: (fate) => typeof fate === 'string' || isRight(fate.result) }
}

/** A call that changes something, even if nobody hears of it. */
function writing(called: Promise<unknown>, isRight: (result: unknown) => boolean, unheard: () => boolean): Visited {
  return { called, follow: (fate) => (fate === 'undone' ? true : fate === 'unknown' ? unheard() : isRight(fate.result)) }
}

/** Stores something, or does not where something is there, or nothing. */
function storing(called: Promise<unknown>, register: Register, content: string | undefined, where: 'always' | 'something' | 'nothing'): Visited {
  const isRight = (stored: unknown): boolean => {
    if (where === 'always') return stored === true && register.leaves(content)
    return typeof stored === 'boolean' && register.isThere(stored === (where === 'something')) && (!stored || register.leaves(content))
  }
  return writing(called, isRight, () => register.mayLeave(content))
}

/** Each kind of call. */
export const VISITS = {
  get: ({ client, known, key, options }) => reading(client.get(known.key(key), options), (found) => known.register(key).isFound(found)),
  gets: ({ client, known, key, options }) => reading(client.gets(known.key(key), options), (found) => known.isVersion(key, found)),
  gat: ({ client, known, key, options }) => reading(client.gat(known.key(key), 0, options), (found) => known.register(key).isFound(found)),
  getMulti: ({ client, known, key, options }) => {
    const keys = [key, (key + 1) % KEYS]
    return reading(client.getMulti([known.key(key), known.none(key), ...keys.map((each) => known.key(each))], options), (found) => {
      const hits = found as Map<string, unknown>
      return keys.every((each) => known.register(each).isFound(hits.get(known.key(each)))) && !hits.has(known.none(key))
    })
  },
  getsMulti: ({ client, known, key, options }) =>
    reading(client.getsMulti([known.none(key), known.key(key)], options), (found) => {
      const hits = found as Map<string, unknown>
      return known.isVersion(key, hits.get(known.key(key))) && !hits.has(known.none(key))
    }),
  getNone: ({ client, known, key, options }) => reading(client.get(known.none(key), options), (found) => found === undefined),
  touch: ({ client, known, key, options }) => reading(client.touch(known.key(key), 0, options), (there) => known.register(key).isThere(there)),
  set: ({ client, known, key, length, options }) => {
    const value = known.value(key, length)
    return storing(client.set(known.key(key), value, options), known.register(key), value, 'always')
  },
  setExpired: ({ client, known, key, length, options }) =>
    storing(client.set(known.key(key), known.value(key, length), { ...options, ttl: -1 }), known.register(key), undefined, 'always'),
  setMulti: ({ client, known, key, length, options }) => {
    const value = known.value(key, length)
    return storing(client.setMulti([[known.key(key), value]], options).then((map) => map.get(known.key(key))), known.register(key), value, 'always')
  },
  add: ({ client, known, key, length, options }) => {
    const value = known.value(key, length)
    return storing(client.add(known.key(key), value, options), known.register(key), value, 'nothing')
  },
  replace: ({ client, known, key, length, options }) => {
    const value = known.value(key, length)
    return storing(client.replace(known.key(key), value, options), known.register(key), value, 'something')
  },
  cas: ({ client, known, key, length, options }) => {
    const value = known.value(key, length)
    const register = known.register(key)
    const isRight = (stored: unknown): boolean => stored === false || (stored === true && register.isThere(true) && register.leaves(value))
    return writing(client.cas(known.key(key), value, { ...options, cas: known.lastId(key) }), isRight, () => register.mayLeave(value))
  },
  delete: ({ client, known, key, options }) => storing(client.delete(known.key(key), options), known.register(key), undefined, 'something'),
  incr: ({ client, known, key, options }) =>
    writing(client.incr(known.counter(key), 1, options), (count) => known.isCount(key, count), () => known.count(key).mayCount()),
  incrNone: ({ client, known, key, options }) => reading(client.incr(known.none(key), 1n, options), (count) => count === undefined),
  version: ({ client, options }) => reading(client.version(options), (version) => /^\d+\.\d+\.\d+$/.test(String(version))),
} satisfies { readonly [kind: string]: (visitor: Visitor) => Visited }

/** A kind of call. */
export type Kind = keyof typeof VISITS

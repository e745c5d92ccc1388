import { inspect } from 'node:util'
import type { Client } from '../../index.ts'
import type { Command } from './calls.ts'
import { Model } from './model.ts'

/** A command that was called, and what has to come of it. */
export interface Move {
  /** The call, in words. */
  readonly said: string
  /** What it gives, or the name of the error that it rejects with. */
  readonly outcome: Promise<unknown>
  /** What the model says. */
  readonly expected: unknown
}

/** A cas id that gets has given, and the model's version of the item then. */
interface Seen {
  readonly key: string
  readonly cas: bigint
  readonly version: number | undefined
}

/** How many of the last cas ids are used again: older ones are all out of date. */
const RECENT = 6

/** Calls random commands on a few keys, on a client and on a model alike. */
export class Game {
  readonly #client: Client
  readonly #model = new Model()
  readonly #texts: readonly string[]
  readonly #counters: readonly string[]
  readonly #seen: Seen[] = []
  readonly #moves: readonly (() => Move)[]
  #random: number

  /** `seed`: the same one plays the same game. `has`: whether there is such a command. */
  constructor(client: Client, seed: number, key: () => string, has: (command: Command) => boolean) {
    this.#client = client
    this.#random = seed
    this.#texts = [key(), key(), key()]
    this.#counters = [key(), key()]
    const moves: { readonly [command in Command]?: () => Move } = {
      get: () => this.#reading('get', (each) => client.get(each)),
      gat: () => this.#reading('gat', (each) => client.gat(each, 60)),
      gets: () => this.#reading('gets', (each) => this.#noting(each, client.gets(each))),
      gats: () => this.#reading('gats', (each) => this.#noting(each, client.gats(each, 60))),
      getMulti: () => this.#readingMany(),
      touch: () => this.#touching(),
      set: () => this.#storing('set'),
      add: () => this.#storing('add'),
      replace: () => this.#storing('replace'),
      append: () => this.#joining('append'),
      prepend: () => this.#joining('prepend'),
      cas: () => this.#comparing(),
      incr: () => this.#counting('incr', 1),
      decr: () => this.#counting('decr', -1),
      delete: () => this.#deleting(),
    }
    this.#moves = Object.entries(moves).flatMap(([command, move]) => (has(command as Command) ? move : []))
  }

  /** Calls the next command, in this turn. */
  move(): Move {
    return this.#pick(this.#moves)()
  }

  #reading(command: string, read: (key: string) => Promise<unknown>): Move {
    const key = this.#key()
    return { said: `${command} ${key}`, outcome: outcomeOf(read(key)), expected: this.#model.get(key) }
  }

  /** The value alone; its id is kept for a later cas. */
  async #noting(key: string, call: ReturnType<Client['gets']>): Promise<unknown> {
    const version = this.#model.version(key)
    const item = await call
    if (item !== undefined) this.#seen.push({ key, cas: item.cas, version })
    return item?.value
  }

  #readingMany(): Move {
    const keys = [...this.#texts, ...this.#counters].filter(() => this.#below(2) === 0)
    const hits = keys.filter((key) => this.#model.has(key))
    const expected = new Map(hits.map((key) => [key, this.#model.get(key)]))
    return { said: `getMulti ${keys.join(' ')}`, outcome: outcomeOf(this.#client.getMulti(keys)), expected }
  }

  #touching(): Move {
    const key = this.#key()
    return { said: `touch ${key}`, outcome: outcomeOf(this.#client.touch(key, 60)), expected: this.#model.has(key) }
  }

  #deleting(): Move {
    const key = this.#key()
    return { said: `delete ${key}`, outcome: outcomeOf(this.#client.delete(key)), expected: this.#model.delete(key) }
  }

  #storing(command: 'set' | 'add' | 'replace'): Move {
    const key = this.#key()
    const value = this.#value(key)
    const outcome = outcomeOf(this.#client[command](key, value))
    return { said: `${command} ${key} ${inspect(value)}`, outcome, expected: this.#model[command](key, value) }
  }

  /** Texts alone: digits that are put together would be another number. */
  #joining(command: 'append' | 'prepend'): Move {
    const key = this.#pick(this.#texts)
    const text = 'xyz'.slice(this.#below(3))
    return { said: `${command} ${key} ${text}`, outcome: outcomeOf(this.#client[command](key, text)), expected: this.#model[command](key, text) }
  }

  #comparing(): Move {
    const seen = this.#seen.slice(-RECENT)
    if (seen.length === 0) return this.#storing('set')
    const { key, cas, version } = this.#pick(seen)
    const value = this.#value(key)
    const outcome = outcomeOf(this.#client.cas(key, value, { cas }))
    return { said: `cas ${key} ${inspect(value)} ${cas}`, outcome, expected: this.#model.cas(key, value, version) }
  }

  #counting(command: 'incr' | 'decr', sign: 1 | -1): Move {
    const key = this.#key()
    const delta = this.#below(2000) - 500
    const outcome = outcomeOf(this.#client[command](key, delta))
    return { said: `${command} ${key} ${delta}`, outcome, expected: this.#model.count(key, sign * delta) }
  }

  #key(): string {
    return this.#pick(this.#below(2) === 0 ? this.#texts : this.#counters)
  }

  #value(key: string): string | number {
    return this.#counters.includes(key) ? this.#below(2000) : `text ${this.#below(100)}${'.\r\n'.repeat(this.#below(5))}`
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)] as T
  }

  /** A whole number below this one: mulberry32. */
  #below(end: number): number {
    this.#random = (this.#random + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#random ^ (this.#random >>> 15), 1 | this.#random)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end
  }
}

function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  return call.catch((error: unknown) => (error instanceof Object && 'name' in error ? error.name : error))
}

/// <reference types="node" preserve="true" />
import { casId } from './arguments.ts'
import { lifetime, type CasOptions, type CountOptions } from './call-options.ts'
import type { CasIds } from './cas-ids.ts'
import type { Item, Key, Reply, Request, StoreMode } from './commands.ts'
import { initialCount, step } from './counter.ts'
import type { CounterStart } from './counting.ts'
import type { ValueFormat } from './format.ts'
import { nameKeys, wireKey, type KeyLike, type KeyRules, type NamedKeys } from './key.ts'

/** What a client's requests are made by. */
export interface RequestRules {
  readonly keys: KeyRules
  readonly values: ValueFormat
  /** Whether the driver takes short values as latin1 text. */
  readonly latin1: boolean
  /** The cas ids that the client has seen, if it remembers them. */
  readonly casIds: CasIds | undefined
}

/** Makes requests of what callers pass: keys checked and prefixed, values encoded, numbers in range. What cannot be right throws. */
export class Requests {
  readonly #rules: RequestRules

  constructor(rules: RequestRules) {
    this.#rules = rules
  }

  /** @throws MemcacheKeyError */
  key(key: KeyLike): Key {
    return wireKey(key, this.#rules.keys)
  }

  /** The different ones among these keys. @throws MemcacheKeyError */
  named(keys: readonly KeyLike[]): NamedKeys {
    return nameKeys(keys, this.#rules.keys)
  }

  /** @throws MemcacheKeyError */
  get(key: KeyLike, cas: boolean, touch?: number): Request<'get'> {
    return { op: 'get', key: this.key(key), cas, touch }
  }

  /** @throws MemcacheKeyError, MemcacheValueError */
  store(mode: StoreMode, key: KeyLike, value: unknown, options: CasOptions | undefined): Request<'store'> {
    const { values, latin1, casIds } = this.#rules
    const wire = this.key(key)
    const cas = mode === 'cas' ? casId(options?.cas === undefined ? casIds?.get(wire) : options.cas) : undefined
    const item = values.item(value, cas, mode, options, latin1) as Item // text, too, for the driver that takes it
    return { op: 'store', mode, key: wire, item, expires: lifetime(options) }
  }

  /** @throws MemcacheKeyError, MemcacheValueError */
  count(key: KeyLike, delta: number | bigint, down: boolean): Request<'count'> {
    return { op: 'count', key: this.key(key), ...step(delta, down) }
  }

  /** How a counter begins that does not exist. @throws MemcacheValueError */
  counterStart(initial: number | bigint, delta: number | bigint, options: CountOptions | undefined): CounterStart {
    return { initial: initialCount(initial, delta), flags: this.#rules.values.counterFlags, expires: lifetime(options) }
  }
}

/** The hits among the items of a multi-key request, by the keys' names. */
export function hitsOf<R>(items: Reply<'getMulti'>, { wires, names, results }: NamedKeys, result: (item: Item, request: { readonly key: Key }) => R): Map<string, R> {
  const request = { key: '' }
  for (let place = 0; place < names.length; place += 1) {
    const item = items[place]
    const name = names[place] as string
    if (item === undefined) {
      results.delete(name)
      continue
    }
    request.key = wires[place] as Key
    results.set(name, result(item, request))
  }
  return results as Map<string, R>
}

import { inspect, isDeepStrictEqual } from 'node:util'
import { MemcacheError, MemcacheUnsupportedError } from '../../lib/errors.ts'
import type { KeyLike } from '../../lib/key.ts'
import { faultsOf, nameOf, partsOf, wireKey } from './arguments.ts'
import { showCall, type Call, type Command, type KeyCommand, type Outcome } from './calls.ts'
import { endings, endingsWithout, refusal, value, type Answer, type Ending, type ErrorClass, type Item } from './item.ts'

/** What a driver can do of all that the model knows. */
export interface Abilities {
  /** Whether keys can have any bytes. */
  readonly binaryKeys: boolean
  /** The commands that are Unsupported. */
  readonly lacks: readonly Command[]
  /** Whether nothing is kept of what is stored. */
  readonly forgets?: boolean
}

/** How a call was made. */
interface Setting extends Abilities {
  readonly exact: boolean
}

/** An outcome that the model does not allow. */
export class Contradiction extends Error {}

/** Seconds: how far a time that has been left on a real server may be from the model's, on a busy machine. */
const TOLERANCE = 90

/**
 * A memcached as the users of one or more clients see it. It is given the calls in the order in which the server runs them,
 * each with its outcome, and contradicts an outcome that cannot be.
 *
 * Where more than one thing can be, as after a refused store, which in some protocols removes what was there, it goes on
 * with all of them until an outcome tells.
 */
export class Model {
  /** By key, all that can be there. */
  readonly #items = new Map<string, readonly (Item | undefined)[]>()
  /** Keys of which it was ever left to the server what became of them. */
  readonly #leftOpen = new Set<string>()
  readonly #ids = new Map<number, bigint>()
  readonly #versions = new Map<bigint, number>()
  #now = 0
  #changes = 0
  /** The second in which all is dropped that was stored up to then. */
  #flushAt = Infinity

  /** Moves the server's clock. */
  advance(seconds: number): void {
    this.#now += seconds
  }

  /** Whether the server had no choice in what is stored under this key. */
  isCertain(key: KeyLike): boolean {
    return !this.#leftOpen.has(wireKey(key))
  }

  /**
   * Follows the next call. `exact`: the server had no choice in how it counts. `cas` without an id has to be given here
   * with the one that the client remembers. @throws Contradiction
   */
  follow(call: Call, outcome: Outcome, abilities: Abilities, exact: boolean): void {
    if ('error' in outcome && !(outcome.error instanceof MemcacheError && outcome.error.command === call.command)) {
      throw new Contradiction(`${told(call, outcome)}, which names no command or another one`)
    }
    const faults = faultsOf(call, abilities.binaryKeys)
    const parts = partsOf(call)
    if (faults.length > 0) this.#expect(call, outcome, refusal(faults, false))
    else if (abilities.lacks.includes(call.command)) this.#expect(call, outcome, refusal([MemcacheUnsupportedError], false))
    else if (parts === undefined) this.#followOne(call, outcome, { ...abilities, exact })
    else if ('error' in outcome) this.#followFailed(call, parts, outcome, { ...abilities, exact })
    else this.#followAll(call, parts, outcome.value, { ...abilities, exact })
  }

  #followOne(call: Call, outcome: Outcome, setting: Setting): void {
    switch (call.command) {
      case 'flushAll':
        this.#flush(call.args[0] ?? 0)
        return this.#expect(call, outcome, value(true))
      case 'verbosity':
        return this.#expect(call, outcome, value(true))
      case 'resetCas':
        return this.#expect(call, outcome, value(undefined))
      case 'version':
        if ('error' in outcome || !/^\d+\.\d+\.\d+$/.test(String(outcome.value))) throw new Contradiction(`${told(call, outcome)}, no version`)
        return
      default:
        return this.#followKey(call as Call<KeyCommand>, outcome, setting)
    }
  }

  #flush(delay: number): void {
    this.#flushAt = delay === 0 ? Infinity : this.#now + delay - 1
    if (delay === 0) this.#items.clear()
  }

  #expect(call: Call, outcome: Outcome, answer: Answer): void {
    if (!this.#allows(answer, outcome)) throw new Contradiction(`${told(call, outcome)}, not ${inspect(answer)}`)
  }

  #followKey(call: Call<KeyCommand>, outcome: Outcome, setting: Setting): void {
    const all = this.#endings(call, setting)
    const possible = all.filter(({ answer }) => this.#allows(answer, outcome))
    const [first] = possible
    if (first === undefined) throw new Contradiction(`${told(call, outcome)}, not ${all.map(({ answer }) => inspect(answer)).join(' or ')}`)
    if ('version' in first.answer) this.#learn(first.answer.version, (outcome as Seen).value.cas)
    this.#goOn(call, all, possible)
  }

  #followAll(call: Call, parts: readonly Call<KeyCommand>[], results: unknown, setting: Setting): void {
    const names = parts.map(({ args: [key] }) => nameOf(key))
    if (!(results instanceof Map) || !isDeepStrictEqual([...results.keys()], names.filter((name) => results.has(name)))) {
      throw new Contradiction(`${told(call, { value: results })}, no Map with the keys in their order`)
    }
    for (const part of parts) this.#followKey(part, { value: results.get(nameOf(part.args[0])) }, setting)
  }

  /** It fails as one of its keys does. What became of the others is left open. */
  #followFailed(call: Call, parts: readonly Call<KeyCommand>[], outcome: Outcome, setting: Setting): void {
    let explained = false
    for (const part of parts) {
      const all = this.#endings(part, setting)
      const failing = all.filter(({ answer }) => this.#allows(answer, outcome))
      explained ||= failing.length > 0
      this.#goOn(part, all, all.filter((ending) => ending.answer.gives !== 'error' || failing.includes(ending)))
    }
    if (!explained) throw new Contradiction(`${told(call, outcome)}, which none of its keys would give`)
  }

  #endings(call: Call<KeyCommand>, { forgets = false, exact }: Setting): Ending[] {
    if (forgets) return endingsWithout(call)
    const items = this.#items.get(wireKey(call.args[0])) ?? [undefined]
    const at = { now: this.#now, version: (this.#changes += 1), versionOf: (id: bigint) => this.#versions.get(id), exact }
    return items.flatMap((item) => endings(this.#alive(item), call, at))
  }

  #goOn({ args: [key] }: Call<KeyCommand>, all: readonly Ending[], possible: readonly Ending[]): void {
    const wire = wireKey(key)
    this.#items.set(wire, possible.map(({ item }) => this.#alive(item)))
    if (all.some(({ item }) => !isDeepStrictEqual(item, all[0]?.item))) this.#leftOpen.add(wire)
  }

  #alive(item: Item | undefined): Item | undefined {
    const flushed = item !== undefined && this.#flushAt <= this.#now && item.since <= this.#flushAt
    return item === undefined || flushed || item.expires <= this.#now ? undefined : item
  }

  #allows(answer: Answer, outcome: Outcome): boolean {
    if (answer.gives === 'error') return 'error' in outcome && answer.anyOf.some((each) => isOf(each, outcome.error, answer.sent))
    if ('error' in outcome) return false
    if (answer.gives === 'value') return isDeepStrictEqual(outcome.value, answer.value)
    const { cas, ...seen } = { ...(outcome as Seen).value }
    if (!this.#fits(answer.version, cas)) return false
    if (answer.gives === 'version') return isDeepStrictEqual(seen, { value: answer.value })
    const { size, ttl, lastAccess, hitBefore } = seen
    const timed = answer.ttl === Infinity ? ttl === undefined : Math.abs(Number(ttl) - answer.ttl) <= TOLERANCE
    const described = { value: answer.value, flags: answer.flags, size: answer.size ?? size, ttl, lastAccess, hitBefore }
    return isDeepStrictEqual(seen, described) && timed && Number(lastAccess) >= 0 && typeof hitBefore === 'boolean'
  }

  /** Whether this can be the cas id of this version: each has its own, and no other one has it. */
  #fits(version: number, id: unknown): boolean {
    const known = this.#ids.get(version)
    return typeof id === 'bigint' && (known === undefined ? !this.#versions.has(id) : known === id)
  }

  #learn(version: number, id: bigint): void {
    this.#ids.set(version, id)
    this.#versions.set(id, version)
  }
}

/** What came of a command that gives the id of a version. */
interface Seen {
  readonly value: { readonly cas: bigint; readonly [property: string]: unknown }
}

function isOf(errorClass: ErrorClass, error: unknown, sent: boolean): boolean {
  return error instanceof MemcacheError && error.constructor === errorClass && error.code === new errorClass('').code && error.sent === sent
}

function told(call: Call, outcome: Outcome): string {
  return `${showCall(call)} gave ${inspect('error' in outcome ? outcome.error : outcome.value, { depth: 4 })}`
}

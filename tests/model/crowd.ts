import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import fc, { type Arbitrary } from 'fast-check'
import type { Client } from '../../lib/client.ts'
import type { CallOptions } from '../../lib/commands.ts'
import { MemcacheError, MemcacheSocketError, MemcacheTimeoutError } from '../../lib/errors.ts'
import { outcomeOf } from './calls.ts'

/**
 * Many callers of one client, some of whom give up, in time or too late. Each value carries its key and a number that no
 * other value has, each counter has numbers of its own, and of every other command the one right result is known: a reply
 * that is given to another request is found out.
 */

/** When a caller aborts: before the call, before what is called in this turn is written, after that, or milliseconds later. */
type Abort = 'before' | 'unsent' | 'sent' | number

/** One call, and how long its caller is ready to wait: milliseconds. */
interface Visit {
  readonly kind: keyof typeof VISITS
  /** Which of the keys. */
  readonly key: number
  readonly length: number
  readonly patience: { readonly timeout: number } | { readonly abort: Abort } | undefined
}

/** Visits of one turn, and what comes before them; milliseconds. */
export interface Burst {
  readonly wait: number
  /** How long the server holds back its replies from now on. */
  readonly delay: number
  /** Whether the server first closes the connection. */
  readonly breaks: boolean
  readonly visits: readonly Visit[]
}

/** What a server can be told to do to its clients. */
export interface Trouble {
  delay(milliseconds: number): void
  dropConnections(): void
}

const KEYS = 4
/** Counter n counts from n times this. */
const APART = 1_000_000

/** What is known of the items. */
class Knowledge {
  readonly #written = new Map<string, Set<unknown>>()
  readonly #ids = new Map<bigint, unknown>()
  readonly #counts = new Set<number>()
  #nonce = 0

  /** A value that no other call stores. */
  value(key: string, length: number): string {
    const value = `${key} ${(this.#nonce += 1)} ${'.'.repeat(length)}`
    this.#written.set(key, (this.#written.get(key) ?? new Set()).add(value))
    return value
  }

  /** Whether it was ever stored under this key. */
  isOf(key: string, value: unknown): boolean {
    return this.#written.get(key)?.has(value) ?? false
  }

  /** Whether it is a value of this key, and its id that of no other one. */
  isVersionOf(key: string, found: unknown): boolean {
    const { value, cas } = found as { readonly value: unknown; readonly cas: bigint }
    const known = this.#ids.get(cas) ?? value
    this.#ids.set(cas, value)
    return this.isOf(key, value) && known === value
  }

  /** Whether it is a count of this counter that nobody else was given. */
  isCountOf(counter: number, count: unknown): boolean {
    const fresh = typeof count === 'number' && Math.floor(count / APART) === counter && !this.#counts.has(count)
    this.#counts.add(Number(count))
    return fresh
  }
}

interface Visited {
  readonly client: Client
  readonly known: Knowledge
  readonly visit: Visit
  readonly options: CallOptions
}

/** A call, and whether a result is right. `kept`: keys that always have a value; `none`: keys that never have one. */
const VISITS = {
  get: ({ client, known, visit: { key }, options }) => [client.get(kept(key), options), (found) => known.isOf(kept(key), found)],
  gets: ({ client, known, visit: { key }, options }) => [client.gets(kept(key), options), (found) => known.isVersionOf(kept(key), found)],
  getMulti: ({ client, known, visit: { key }, options }) => {
    const [first, second] = [kept(key), kept((key + 1) % KEYS)]
    const isRight = (found: unknown): boolean =>
      found instanceof Map && found.size === 2 && known.isOf(first, found.get(first)) && known.isOf(second, found.get(second))
    return [client.getMulti([first, none(key), second], options), isRight]
  },
  set: ({ client, known, visit: { key, length }, options }) => [client.set(kept(key), known.value(kept(key), length), options), is(true)],
  incr: ({ client, known, visit: { key }, options }) => [client.incr(counter(key), 1, options), (count) => known.isCountOf(key, count)],
  touch: ({ client, visit: { key }, options }) => [client.touch(kept(key), 0, options), is(true)],
  add: ({ client, visit: { key, length }, options }) => [client.add(kept(key), '.'.repeat(length), options), is(false)],
  replaceNone: ({ client, visit: { key, length }, options }) => [client.replace(none(key), '.'.repeat(length), options), is(false)],
  getNone: ({ client, visit: { key }, options }) => [client.get(none(key), options), is(undefined)],
  incrNone: ({ client, visit: { key }, options }) => [client.incr(none(key), 1n, options), is(undefined)],
  deleteNone: ({ client, visit: { key }, options }) => [client.delete(none(key), options), is(false)],
  version: ({ client, options }) => [client.version(options), (version) => /^\d+\.\d+\.\d+$/.test(String(version))],
} satisfies { readonly [kind: string]: (visited: Visited) => [called: Promise<unknown>, isRight: (result: unknown) => boolean] }

function kept(key: number): string {
  return `kept-${key}`
}

function none(key: number): string {
  return `none-${key}`
}

function counter(key: number): string {
  return `counter-${key}`
}

function is(right: unknown): (result: unknown) => boolean {
  return (result) => result === right
}

/** Crowds of callers. */
export function crowds(): Arbitrary<Burst[]> {
  const patience = fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    { weight: 2, arbitrary: fc.record({ abort: fc.constantFrom<Abort>('before', 'unsent', 'sent', 0, 2) }) },
    { weight: 1, arbitrary: fc.record({ timeout: fc.constantFrom(1, 3) }) },
  )
  const kinds = Object.keys(VISITS) as (keyof typeof VISITS)[]
  const length = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(0, 100) }, { weight: 1, arbitrary: fc.constantFrom(3000, 100_000) })
  const visit = fc.record({ kind: fc.constantFrom(...kinds), key: fc.nat({ max: KEYS - 1 }), length, patience })
  const burst = fc.record({
    wait: fc.constantFrom(0, 1, 3),
    delay: fc.constantFrom(0, 0, 4),
    breaks: fc.integer({ min: 0, max: 15 }).map((chance) => chance === 15),
    visits: fc.array(visit, { maxLength: 40, size: 'max' }),
  })
  return fc.array(burst, { minLength: 1, maxLength: 12, size: 'max' })
}

/** Lets the crowd loose on a client, and waits for them all. @throws Error for an outcome that is not its call's. */
export async function meet(client: Client, bursts: readonly Burst[], trouble?: Trouble): Promise<void> {
  const known = new Knowledge()
  const keys = Array.from({ length: KEYS }, (_, key) => key)
  await Promise.all(keys.flatMap((key) => [client.set(kept(key), known.value(kept(key), 0)), client.set(counter(key), key * APART)]))
  const breaks = trouble !== undefined && bursts.some((burst) => burst.breaks)
  const complaints: Promise<string | undefined>[] = []
  for (const burst of bursts) {
    await (burst.wait === 0 ? nextTurn() : sleep(burst.wait))
    trouble?.delay(burst.delay)
    if (burst.breaks) trouble?.dropConnections()
    complaints.push(...burst.visits.map((visit) => pay(visit, client, known, breaks)))
  }
  trouble?.delay(0)
  const [complaint] = (await Promise.all(complaints)).filter((each) => each !== undefined)
  if (complaint !== undefined) throw new Error(complaint)
  if (breaks) await client.connect({ reconnect: true }) // the last connection may have ended without anybody knowing yet
  for (const key of keys) {
    if (!known.isOf(kept(key), await client.get(kept(key)))) throw new Error(`afterwards, get of key ${key} is wrong`)
  }
}

/** Makes a call; says what is wrong with its outcome. */
async function pay(visit: Visit, client: Client, known: Knowledge, breaks: boolean): Promise<string | undefined> {
  const { kind, key, patience } = visit
  const options = patience !== undefined && 'abort' in patience ? { signal: abortedAt(patience.abort) } : patience ?? {}
  const [called, isRight] = VISITS[kind]({ client, known, visit, options })
  const outcome = await outcomeOf(called)
  if ('value' in outcome ? isRight(outcome.value) : isExcused(outcome.error, options, breaks)) return undefined
  return `${kind} of key ${key} gave ${inspect('value' in outcome ? outcome.value : outcome.error)}`
}

function abortedAt(moment: Abort): AbortSignal {
  const controller = new AbortController()
  const abort = (): void => controller.abort()
  if (moment === 'before') abort()
  else if (moment === 'unsent') queueMicrotask(abort)
  else if (moment === 'sent') setImmediate(abort)
  else setTimeout(abort, moment)
  return controller.signal
}

/** Whether a call may have failed like this. */
function isExcused(error: unknown, { signal, timeout }: CallOptions, breaks: boolean): boolean {
  if (signal?.aborted === true && error === signal.reason) return true
  if (!(error instanceof MemcacheError)) return false
  return (timeout !== undefined && error.constructor === MemcacheTimeoutError) || (breaks && error.constructor === MemcacheSocketError)
}

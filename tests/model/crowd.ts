import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import fc, { type Arbitrary } from 'fast-check'
import type { Client } from '../../lib/client.ts'
import type { CallOptions } from '../../lib/commands.ts'
import { MemcacheClosedError, MemcacheError, MemcacheProtocolError, MemcacheSocketError, MemcacheTimeoutError } from '../../lib/errors.ts'
import { inTime } from '../support/outcomes.ts'
import { outcomeOf, type Outcome } from './calls.ts'
import type { Fate } from './register.ts'
import { KEYS, Knowledge, VISITS, type Kind } from './visits.ts'
import { causeTrouble, endTrouble, troubles, type Stage, type Trouble } from './trouble.ts'

/**
 * Many callers of one client, of whom some give up, in time or too late, on a connection that breaks, stalls and is made
 * anew. Each value carries its key and a number that no other value has, and each counter has numbers of its own: a reply
 * that is given to another request is found out, and so is an error that says `sent: false` of what was done.
 */

/** When a caller aborts: before the call, when this turn's calls are made and not written, after that, or milliseconds later. */
type Abort = 'before' | 'unsent' | 'sent' | number

/** One call, and how long its caller is ready to wait: milliseconds. */
interface Visit {
  readonly kind: Kind
  /** Which of the keys. */
  readonly key: number
  readonly length: number
  readonly patience: { readonly timeout: number } | { readonly abort: Abort } | undefined
}

/** Visits of one turn, and what comes before them. */
export interface Burst {
  /** Milliseconds. */
  readonly wait: number
  readonly trouble: Trouble | undefined
  readonly visits: readonly Visit[]
}

/** How many calls were made, and what became of them. */
export class Tally {
  made = 0
  settled = 0
  /** How often it was `ok`, `aborted`, or an error with this code. */
  readonly outcomes = new Map<string, number>()

  settle(outcome: Outcome): void {
    this.settled += 1
    const name = 'value' in outcome ? 'ok' : outcome.error instanceof MemcacheError ? outcome.error.code : 'aborted'
    this.outcomes.set(name, (this.outcomes.get(name) ?? 0) + 1)
  }

  of(name: string): number {
    return this.outcomes.get(name) ?? 0
  }
}

/** The client that a crowd is let loose on, and where. */
export interface Meeting {
  readonly client: Client
  /** What the client is connected to. */
  readonly stage: Stage
  /** Of the keys: no other crowd has it. */
  readonly prefix: string
  /** Whether calls may fail because of what befalls their connection. */
  readonly troubled: boolean
  readonly tally: Tally
}

const patience: Arbitrary<Visit['patience']> = fc.oneof(
  { weight: 6, arbitrary: fc.constant(undefined) },
  { weight: 2, arbitrary: fc.record({ abort: fc.constantFrom<Abort>('before', 'unsent', 'sent', 0, 2) }) },
  { weight: 1, arbitrary: fc.record({ timeout: fc.constantFrom(1, 3, 20) }) },
)
const length = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(0, 100) }, { weight: 1, arbitrary: fc.constantFrom(3000, 100_000) })

function visits(kind: Arbitrary<Kind>, size: { readonly minLength?: number; readonly maxLength: number }): Arbitrary<Visit[]> {
  const visit = fc.record({ kind, key: fc.nat({ max: KEYS - 1 }), length, patience }, { noNullPrototype: true })
  return fc.array(visit, { ...size, size: 'max' })
}

const anything = visits(fc.constantFrom(...(Object.keys(VISITS) as Kind[])), { maxLength: 60 })
/** What a page of an application does: many single reads in one turn, of the same keys and of others, and few changes between them. */
const reads = visits(fc.constantFrom<Kind>('get', 'get', 'get', 'get', 'get', 'get', 'getNone', 'gets', 'set', 'delete', 'setExpired'), { minLength: 20, maxLength: 200 })

/** Crowds of callers; without trouble, for the sake of what must not happen then. */
export function crowds(troubled: boolean): Arbitrary<Burst[]> {
  const burst = fc.record({
    wait: fc.constantFrom(0, 1, 3),
    trouble: troubled ? fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 2, arbitrary: troubles }) : fc.constant(undefined),
    visits: fc.oneof({ weight: 2, arbitrary: anything }, { weight: 1, arbitrary: reads }),
  }, { noNullPrototype: true })
  return fc.array(burst, { minLength: 1, maxLength: 10, size: 'max' })
}

/** What makes a call, and what has become of it. */
interface Paid {
  readonly visit: Visit
  readonly options: CallOptions
  readonly follow: (fate: Fate) => boolean
  readonly outcome: Promise<Outcome>
}

/** Lets the crowd loose on a client, and waits for them all. @throws Error for an outcome that is not its call's. */
export async function meet(bursts: readonly Burst[], { client, stage, prefix, troubled, tally }: Meeting): Promise<void> {
  const known = new Knowledge(prefix)
  const paid: Paid[] = []
  const keys = Array.from({ length: KEYS }, (_, key) => key)
  for (const key of keys) await client.set(known.counter(key), known.firstCount(key), STAGING)
  for (const { wait, trouble, visits } of bursts) {
    await (wait === 0 ? nextTurn() : sleep(wait))
    if (trouble !== undefined) await causeTrouble(trouble, stage, client, known)
    const unsent = new AbortController()
    paid.push(...visits.map((visit) => pay(visit, client, known, unsent)))
    unsent.abort()
    tally.made += visits.length
  }
  const settling = paid.map(async ({ outcome }) => {
    tally.settle(await outcome)
    return outcome
  })
  const outcomes = await inTime(Promise.all(settling), LONGEST, 'a call')
  await endTrouble(stage, client)
  for (const [place, { visit, options, follow }] of paid.entries()) {
    const outcome = outcomes[place] as Outcome
    const fate = fateOf(outcome, options, visit, troubled)
    if (fate === undefined || !follow(fate)) throw new Error(`call ${place}, ${visit.kind} of key ${visit.key}, gave ${told(outcome)}`)
  }
  for (const key of keys) {
    const found = await client.get(known.key(key), STAGING)
    if (!known.register(key).isFound(found)) throw new Error(`in the end, key ${key} has ${told({ value: found })}`)
  }
}

/** Milliseconds: no call has so much time. */
const LONGEST = 30_000

/** For what is no part of the play, and has to work however busy the machine is. */
const STAGING = { timeout: 20_000 }

function pay(visit: Visit, client: Client, known: Knowledge, unsent: AbortController): Paid {
  const { kind, key, length, patience } = visit
  const options = patience !== undefined && 'abort' in patience ? { signal: abortedAt(patience.abort, unsent) } : patience ?? {}
  const { called, follow } = VISITS[kind]({ client, known, key, length, options })
  return { visit, options, follow, outcome: outcomeOf(called) }
}

function abortedAt(moment: Abort, unsent: AbortController): AbortSignal {
  if (moment === 'before') return AbortSignal.abort()
  if (moment === 'unsent') return unsent.signal
  const controller = new AbortController()
  const abort = (): void => controller.abort()
  if (moment === 'sent') setImmediate(abort)
  else setTimeout(abort, moment)
  return controller.signal
}

/** What a call's outcome says of what was done; `undefined` for one that cannot be. */
function fateOf(outcome: Outcome, { signal, timeout }: CallOptions, { patience }: Visit, troubled: boolean): Fate | undefined {
  if ('value' in outcome) return { result: outcome.value }
  const { error } = outcome
  if (signal?.aborted === true && error === signal.reason) {
    const moment = patience !== undefined && 'abort' in patience ? patience.abort : undefined
    return moment === 'before' || moment === 'unsent' ? 'undone' : 'unknown'
  }
  if (!(error instanceof MemcacheError)) return undefined
  const allowed = [...(timeout === undefined ? [] : [MemcacheTimeoutError]), ...(troubled ? LOST : [])]
  if (!allowed.some((each) => error.constructor === each)) return undefined
  return error.sent ? 'unknown' : 'undone'
}

const LOST: readonly unknown[] = [MemcacheSocketError, MemcacheTimeoutError, MemcacheClosedError, MemcacheProtocolError]

function told(outcome: Outcome): string {
  return inspect('value' in outcome ? outcome.value : outcome.error, { maxStringLength: 80 })
}

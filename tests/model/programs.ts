import { Buffer } from 'node:buffer'
import fc, { type Arbitrary } from 'fast-check'
import type { CountOptions, StoreOptions } from '../../lib/call-options.ts'
import type { Ttl } from '../../lib/expiry.ts'
import type { KeyLike } from '../../lib/key.ts'
import { BINARY_KEYS, NO_DELTAS, NO_INITIALS, NO_KEYS, NO_TTLS } from './arguments.ts'
import { makeCall, type Call, type Command, type Commands, type Sighting } from './calls.ts'
import { COMPRESS_FROM, FAR_TOO_LARGE, LARGE, LONG_TEXT, NO_VALUES, TOO_LARGE } from './values.ts'

/**
 * Random programs. Few keys, and values that other commands can make something of, so that they meet. What is simplest comes
 * first. No value is of blanks alone: memcached, asked to count on it, looks for digits in the memory behind it.
 */

/** What is called in one go, without waiting for any of it. */
export interface Turn {
  /** Which of the clients calls. */
  readonly by: number
  /** Seconds by which the server's clock moves before, where it can be moved. */
  readonly pause: number
  readonly calls: readonly Call[]
}

/** Keys that every driver can say. One of them twice, as text and as bytes. */
export const PLAIN_KEYS: readonly KeyLike[] = ['a', 'b', 'c', 'é✓', Buffer.from('a')]

const LARGEST = 2n ** 64n - 1n
const PAST = new Date('2020-01-01')
const NEXT_YEAR = new Date(Date.now() + 365 * 86_400_000)
const DAYS_90 = 90 * 86_400

const seconds: readonly Ttl[] = [0, 100, 1000, DAYS_90, NEXT_YEAR, -1, PAST]
const ttl = pick<Ttl>([20, seconds], [1, NO_TTLS])

const numbers: readonly unknown[] = [0, 1, 9, 10, 100, -5, Number.MAX_SAFE_INTEGER, 0n, 10n, 2n ** 53n, LARGEST, LARGEST + 1n, -3n]
const digits: readonly unknown[] = ['5', '10', '100', '007', ' 7', '9 ', '+7', '-5', '-0', '5 6', '1.5', '12abc', String(LARGEST), String(LARGEST + 1n), Buffer.from('10')]
const texts: readonly unknown[] = ['', 'text', 'é✓', 'END\r\nSTORED\r\n', '\0\ufeff', Buffer.alloc(0), Buffer.from([0, 0x80, 13, 10, 255])]
const objects: readonly unknown[] = [null, true, 1.5, -0, 1e21, [], {}, { a: [1, 'x', null] }]
const leaf = fc.oneof(fc.string({ maxLength: 4, unit: 'binary' }), fc.integer(), fc.boolean())
const json = fc.dictionary(fc.string({ maxLength: 4 }), leaf, { maxKeys: 3, noNullPrototype: true })
const anything = fc.oneof(
  { weight: 40, arbitrary: pick([3, texts], [4, numbers], [4, digits], [2, objects], [1, [LONG_TEXT]]) },
  { weight: 4, arbitrary: fc.uint8Array({ min: 0x21, maxLength: 6 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 4, arbitrary: json },
  { weight: 4, arbitrary: pick([1, [LARGE]], [3, [TOO_LARGE]], [1, [FAR_TOO_LARGE]], [3, NO_VALUES]) },
)
const pieces: readonly unknown[] = ['', '7', ' 7', '0', 'x', '-', '✓', 7, 10n, Buffer.from([255])]
const piece = pick([40, pieces], [2, [LONG_TEXT]], [1, [LARGE, FAR_TOO_LARGE]], [2, [TOO_LARGE]], [1, [...NO_VALUES, ...objects]])
const delta = pick<number | bigint>([8, [1, 1n, 5, -3, 1000, 0, 0n, 7n, -20n]], [1, [LARGEST, 2n ** 63n, -LARGEST]], [1, NO_DELTAS])
const initial = pick<number | bigint>([8, [10, 0, 9n, 2n ** 60n, LARGEST]], [1, NO_INITIALS])
const id = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0, 0, 0, 1, 2).map((ago): Sighting => ({ ago })) },
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constantFrom(0n, LARGEST) },
)

const plain = { noNullPrototype: true } as const
const storing: Arbitrary<StoreOptions> = fc.record({ ttl, minCompressLength: fc.constant(COMPRESS_FROM) }, { ...plain, requiredKeys: [] })
const replacing = fc.record({ cas: id, ttl }, { ...plain, requiredKeys: ['cas'] })
const beginning: Arbitrary<CountOptions> = fc.record({ initial, ttl }, { ...plain, requiredKeys: ['initial'] })

/** What programs are made of. */
export interface Scope {
  /** The most turns, and the most calls of each. */
  readonly turns: number
  readonly calls: number
  /** Whether the server's clock can be moved. */
  readonly clock: boolean
  /** Whether there are keys that not all drivers can say. */
  readonly binaryKeys: boolean
}

/** Programs of this scope. */
export function programs(scope: Scope): Arbitrary<Turn[]> {
  const { turns, calls, clock } = scope
  const pause = clock ? pick([6, [0]], [1, [1, 60, 99, 100, 1000]]) : fc.constant(0)
  const together = fc.array(anyCall(scope), { minLength: 1, maxLength: calls, size: 'max' })
  const by = fc.nat({ max: 7 })
  const turn = fc.record({ by, pause, calls: together }, plain).map((each): Turn[] => [each])
  const exchange = fc.tuple(by, by, anyKey(scope), anything, replacing).map(([reader, writer, key, value, options]): Turn[] => [
    { by: reader, pause: 0, calls: [makeCall('gets', [key])] },
    { by: writer, pause: 0, calls: [makeCall('cas', [key, value, options])] },
  ])
  const parts = fc.oneof({ weight: 12, arbitrary: turn }, { weight: 1, arbitrary: exchange })
  return fc.array(parts, { minLength: 1, maxLength: turns, size: 'max' }).map((all) => all.flat())
}

function anyKey({ binaryKeys }: Scope): Arbitrary<KeyLike> {
  return pick<KeyLike>([20, ['a', 'a', 'a', Buffer.from('a'), 'b', 'b', ...PLAIN_KEYS]], [1, NO_KEYS], [binaryKeys ? 5 : 0, BINARY_KEYS])
}

function anyCall(scope: Scope): Arbitrary<Call> {
  const { calls, clock } = scope
  const key = anyKey(scope)
  const keys = fc.array(key, { maxLength: 5 })
  // What takes more than one round trip, others may come between; a flush in some seconds calls off one that has not been carried out.
  const alone = calls === 1
  const counting = fc.tuple(key, delta, alone ? sometimes(beginning) : fc.constant(undefined))
  const delay = fc.constantFrom(...(clock && alone ? [0, 50] : [0]))
  return fc.oneof(
    of('get', 12, fc.tuple(key)),
    of('gets', 14, fc.tuple(key)),
    of('metaGet', 5, fc.tuple(key)),
    of('set', 18, fc.tuple(key, anything, sometimes(storing))),
    of('add', 6, fc.tuple(key, anything, sometimes(storing))),
    of('replace', 6, fc.tuple(key, anything, sometimes(storing))),
    of('cas', 16, fc.tuple(key, anything, replacing)),
    of('append', 7, fc.tuple(key, piece, sometimes(storing))),
    of('prepend', 7, fc.tuple(key, piece, sometimes(storing))),
    of('incr', 12, counting),
    of('decr', 12, counting),
    of('delete', 3, fc.tuple(key)),
    of('touch', 3, fc.tuple(key, ttl)),
    of('gat', 3, fc.tuple(key, ttl)),
    of('gats', 3, fc.tuple(key, ttl)),
    of('getMulti', 4, fc.tuple(keys)),
    of('getsMulti', 3, fc.tuple(keys)),
    of('setMulti', 4, fc.tuple(fc.array(fc.tuple(key, anything), { maxLength: 4 }), sometimes(storing))),
    of('deleteMulti', 1, fc.tuple(keys)),
    of('flushAll', 1, fc.tuple(delay)),
    of('resetCas', 1, fc.tuple()),
    of('verbosity', 1, fc.tuple(fc.constant(0))),
    of('version', 1, fc.tuple()),
  )
}

function of<C extends Command>(command: C, weight: number, args: Arbitrary<Commands[C]>): { weight: number; arbitrary: Arbitrary<Call> } {
  return { weight, arbitrary: args.map((each) => makeCall(command, each) as Call) }
}

/** One of these, from each list as often as its weight says. */
function pick<T>(...lists: readonly (readonly [weight: number, values: readonly T[]])[]): Arbitrary<T> {
  return fc.oneof({ withCrossShrink: true }, ...lists.map(([weight, values]) => ({ weight, arbitrary: fc.constantFrom(...values) })))
}

function sometimes<T>(arbitrary: Arbitrary<T>): Arbitrary<T | undefined> {
  return fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
}

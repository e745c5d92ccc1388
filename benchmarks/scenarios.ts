import { Buffer } from 'node:buffer'
import type { ValueKind } from './subjects.ts'

/** What is measured, as data: worker.ts makes calls of it. */

/** How an operation is made and verified; `exercises.ts` has one for each. */
export type Exercise = 'get' | 'set' | 'miss' | 'getMulti' | 'mix' | 'add' | 'replace' | 'append' | 'prepend' | 'incr' | 'decr' | 'delete'

/** One thing that a cache is asked to do. */
export interface Scenario {
  readonly name: string
  readonly exercise: Exercise
  readonly kind: ValueKind
  /** How many keys there are, and how long they are. */
  readonly keys: number
  readonly keyLength: number
  /** The value of the key with this number: values differ, so that a wrong one is noticed. */
  readonly value: (index: number) => unknown
  /** Bytes of a value, about. */
  readonly size: number
  readonly compress: boolean
  /** Whether it is among the scenarios of pyermc's own benchmark. */
  readonly classic: boolean
  /** How many calls are in flight, if nothing else is asked for. */
  readonly inFlight: readonly number[]
}

const ALL = [1, 16, 128, 1024]
const KEY_LENGTH = 24
const FILLER = 'The quick brown fox jumps over the lazy dog; 0123456789 and so on. '

/** Text of this many bytes that begins with the number. */
export function text(index: number, size: number): string {
  return `${index}:${FILLER.repeat(Math.ceil(size / FILLER.length))}`.slice(0, size)
}

function object(index: number): unknown {
  return { id: index, name: `user ${index}`, email: `user${index}@example.com`, active: index % 2 === 0, scores: [index, 2, 3], nested: { a: 1, b: [true, null] } }
}

function scenario(name: string, exercise: Exercise, more: Partial<Scenario> = {}): Scenario {
  const size = more.size ?? 100
  const value = more.kind === 'Buffer' ? (index: number) => Buffer.from(text(index, size)) : (index: number) => text(index, size)
  const keys = size >= 100_000 ? 20 : size >= 10_000 ? 100 : 1000 // no more than some megabytes, which the server keeps
  return { name, exercise, kind: 'string', keys, keyLength: KEY_LENGTH, value, size, compress: false, classic: false, inFlight: ALL, ...more }
}

const SIZES = [['100 B', 100], ['1 KB', 1000], ['10 KB', 10_000], ['100 KB', 100_000]] as const

function bySize(exercise: 'get' | 'set', kind: 'string' | 'Buffer'): Scenario[] {
  const suffix = kind === 'Buffer' ? ' Buffer' : ''
  return SIZES.map(([label, size]) => scenario(`${exercise} ${label}${suffix}`, exercise, { size, kind, inFlight: size >= 100_000 ? [1, 16, 128] : ALL }))
}

/** pyermc's values; each is set, and got. */
function classics(): Scenario[] {
  const values: readonly (readonly [name: string, more: Partial<Scenario>])[] = [
    ['long key', { keyLength: 240 }],
    ['string', { size: 20 }],
    ['int', { kind: 'number', value: (index) => index * 1_000_003, size: 10 }],
    ['object', { kind: 'object', value: object, size: 150 }],
    ['long string', { size: 10_000 }],
    ['compressed', { size: 10_000, compress: true }],
  ]
  const classic = { classic: true, inFlight: [16] }
  return [
    ...(['set', 'get'] as const).flatMap((exercise) => values.map(([name, more]) => scenario(`${exercise} ${name}`, exercise, { ...more, ...classic }))),
    scenario('getMulti of 10', 'getMulti', { ...classic, size: 20 }),
    ...(['add', 'replace', 'incr', 'decr', 'append', 'prepend', 'delete'] as const).map((name) => scenario(name, name, { ...classic, size: 20 })),
  ]
}

/** All of them, in the order of the tables. */
export const scenarios: readonly Scenario[] = [
  ...bySize('get', 'string'),
  ...bySize('set', 'string'),
  ...bySize('get', 'Buffer'),
  ...bySize('set', 'Buffer'),
  scenario('get miss', 'miss'),
  scenario('getMulti of 100', 'getMulti', { inFlight: [1, 16] }),
  scenario('mix 90/10', 'mix'),
  ...classics(),
]

/** One of them; or `get`, `set` or `getMulti of` with any other number, by which growth.ts asks. */
export function scenarioNamed(name: string): Scenario | undefined {
  const [, exercise, size, kind] = /^(get|set) (\d+) B( Buffer)?$/.exec(name) ?? []
  const [, keys] = /^getMulti of (\d+)$/.exec(name) ?? []
  if (keys !== undefined) return scenario(name, 'getMulti', { keys: Math.max(1000, Number(keys)) })
  if (size !== undefined) return scenario(name, exercise as 'get' | 'set', { size: Number(size), kind: kind === undefined ? 'string' : 'Buffer' })
  return scenarios.find((each) => each.name === name)
}

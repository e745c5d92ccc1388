import { Buffer } from 'node:buffer'
import type { Test } from 'tap'
import type { Key, Request } from '../../lib/commands.ts'
import type { Protocol } from '../../lib/driver.ts'
import { encoded, item, LONGEST_VALUE, multi, plain, replyIn } from './exchanges.ts'

/** Milliseconds: well above what it takes, well below what a quadratic one would take. */
const PATIENCE = 4000
const MANY = 100_000

/** The longest replies in a protocol, as latin1 text. */
export interface LongReplies {
  readonly opaque: number
  /** One value among many: that of the key in this place. */
  readonly hit: (key: Key, place: number, value: string) => string
  /** What ends many. */
  readonly end: string
  /** The whole reply to a `get` of one key. */
  readonly only: (value: string) => string
}

/** Holds that what a protocol needs for a reply grows with its length and no faster: of 100,000 keys, and of a megabyte in small pieces. */
export function readsInLinearTime<Frame>(t: Test, protocol: Protocol<Frame>, { opaque, hit, end, only }: LongReplies): void {
  const keys = Array.from({ length: MANY }, (_, place) => `key-${place}`)
  const request = multi(...keys)
  const some: readonly (readonly [string, (place: number) => boolean])[] = [
    ['all', () => true], ['every second', (place) => place % 2 === 0], ['the last ten', (place) => place >= MANY - 10], ['none', () => false],
  ]
  for (const [name, there] of some) {
    const bytes = Buffer.from(keys.map((key, place) => (there(place) ? hit(key, place, String(place)) : '')).join('') + end, 'latin1')
    const [found, took] = timed(() => replyIn(protocol, request, [bytes], opaque))
    t.ok(Array.isArray(found) && found.every((each, place) => (there(place) ? each?.value.toString() === String(place) : each === undefined)), `${name} of ${MANY} keys`)
    t.ok(took < PATIENCE, `${name} of ${MANY} keys: ${Math.round(took)} ms`)
  }
  t.ok(timed(() => encoded(protocol, request, opaque))[1] < PATIENCE, 'the request')

  const value = 'v'.repeat(LONGEST_VALUE)
  const bytes = Buffer.from(only(value), 'latin1')
  const pieces = Array.from({ length: Math.ceil(bytes.length / 7) }, (_, piece) => bytes.subarray(piece * 7, piece * 7 + 7))
  const get: Request<'get'> = { op: 'get', key: 'k', cas: false }
  const [found, took] = timed(() => replyIn(protocol, get, pieces, opaque))
  t.strictSame(plain(found), plain(item(value)), 'a value of 1 MB, seven bytes at a time')
  t.ok(took < PATIENCE, `${Math.round(took)} ms`)
}

function timed<R>(call: () => R): readonly [result: R, milliseconds: number] {
  const started = performance.now()
  const result = call()
  return [result, performance.now() - started]
}

import { MemcacheValueError } from './errors.ts'

/** memcached counts in 64 bits without a sign. */
export const LARGEST_COUNT = 2n ** 64n - 1n

/**
 * A step of a counter as the caller writes it, in the form that the wire has: a size and a direction.
 * @throws MemcacheValueError for fractions, NaN, numbers past 2^53 (pass a bigint), and steps that 64 bits cannot hold.
 */
export function step(delta: number | bigint, down: boolean): { delta: bigint; down: boolean } {
  const signed = whole(delta, 'a delta')
  const size = signed < 0n ? -signed : signed
  if (size > LARGEST_COUNT) throw new MemcacheValueError(`a delta has at most 64 bits: ${delta} has more`)
  return { delta: size, down: signed < 0n ? !down : down }
}

/**
 * The value with which a counter starts.
 * @throws MemcacheValueError for what is no whole number from 0 to 2^64-1, or could not be given back in the delta's type.
 */
export function initialCount(initial: number | bigint, delta: number | bigint = 1n): bigint {
  const count = whole(initial, 'an initial count')
  if (count < 0n || count > LARGEST_COUNT) throw new MemcacheValueError(`an initial count is from 0 to 2^64-1, not ${initial}`)
  if (typeof delta === 'number' && count > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new MemcacheValueError(`the initial count ${count} is more than a number holds exactly: pass the delta as a bigint`)
  }
  return count
}

function whole(value: number | bigint, what: string): bigint {
  if (typeof value === 'bigint') return value
  if (!Number.isSafeInteger(value)) {
    const got = typeof value === 'number' ? value : value === null ? 'null' : typeof value
    throw new MemcacheValueError(`${what} is a whole number up to 2^53-1 or a bigint, not ${got}`)
  }
  return BigInt(value)
}

/**
 * A count in the caller's own type: bigint for a bigint delta, else a number.
 * @throws MemcacheValueError for a count that a number cannot hold exactly. The server has counted all the same.
 */
export function countLike<N extends number | bigint>(delta: N, count: bigint): N {
  if (typeof delta === 'bigint') return count as N
  if (count > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new MemcacheValueError(`the count is ${count} now, more than a number holds exactly: pass the delta as a bigint`, { sent: true })
  }
  return Number(count) as N
}

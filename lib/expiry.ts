import { types } from 'node:util'
import { MemcacheValueError } from './errors.ts'

/** Seconds from now, or the moment itself. */
export type Ttl = number | Date

/** Up to here memcached reads seconds from now, above it seconds since 1970. */
const LONGEST_RELATIVE = 30 * 24 * 60 * 60
/** memcached keeps times in 32 bits with a sign: what is later than January 2038 would count as long past. */
const LATEST = 2 ** 31 - 1
const EXPIRED = -1

/**
 * The time to live as the protocol wants it: 0 never expires, -1 is expired at once, up to 30 days is in seconds from
 * now, everything later is the absolute time in seconds since 1970.
 * @throws MemcacheValueError for NaN, Infinity, fractions, an invalid Date, what is neither number nor Date, and times
 * past January 2038, which memcached would take for the past.
 */
export function expiry(ttl: Ttl): number {
  if (typeof ttl === 'number') {
    if (!Number.isInteger(ttl)) throw new MemcacheValueError(`a ttl is a whole number of seconds or a Date, not ${ttl}`)
    if (ttl < 0) return EXPIRED
    if (ttl <= LONGEST_RELATIVE) return ttl
    return absolute(Math.floor(Date.now() / 1000) + ttl)
  }
  if (types.isDate(ttl)) {
    const milliseconds = Date.prototype.getTime.call(ttl)
    if (Number.isNaN(milliseconds)) throw new MemcacheValueError('the ttl is an invalid Date')
    // A moment in the past would be read as seconds from now if it is a small number.
    if (milliseconds <= Date.now()) return EXPIRED
    return absolute(Math.ceil(milliseconds / 1000))
  }
  throw new MemcacheValueError(`a ttl is a whole number of seconds or a Date, not ${ttl === null ? 'null' : typeof ttl}`)
}

function absolute(seconds: number): number {
  if (seconds > LATEST) {
    throw new MemcacheValueError('the ttl ends after 2038-01-19, which memcached would take for the past: 0 never expires')
  }
  return seconds
}

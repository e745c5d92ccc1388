/**
 * When items end: memcached's own clock, which counts whole seconds from a little before the start, what an exptime
 * means on it, and `flush_all`. There are no timers: an item is found to be over when somebody looks at it.
 */

import type { Item } from './item.ts'

/** Exptimes up to 30 days are relative, larger ones seconds since the epoch. */
const MAX_RELATIVE_EXPTIME = 60 * 60 * 24 * 30
/** The clock does not start at 0, so that 1 is always in the past. */
const CLOCK_AT_START = 62
const UPTIME_AT_START = 2
const LONG_AGO = 1

/** A server's clock, and what has been over since when. */
export class Lifetimes {
  #now: () => number
  #startedAt: number
  /** `flush_all`: what was last used up to this second, or has an older cas id than this, is gone. */
  #flushedUntil = 0
  #flushedCas = 0

  /** `now` is in milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now
    this.#startedAt = Math.floor(now() / 1000) - CLOCK_AT_START
  }

  /** The server's own clock in whole seconds: all times of items are on it. */
  get clock(): number {
    return Math.floor(this.#now() / 1000) - this.#startedAt
  }

  /** Seconds since the start, as `stats` shows them. */
  get uptime(): number {
    return this.clock - CLOCK_AT_START + UPTIME_AT_START
  }

  /** The `flush_all` in force, as `stats settings` shows it; 0 = none. */
  get flushedUntil(): number {
    return this.#flushedUntil
  }

  /** A time on the server's clock in seconds since the epoch. */
  toEpoch(time: number): number {
    return time + this.#startedAt
  }

  /** When an item with this exptime expires: 0 = never, negative = at once. */
  expiry(exptime: number): number {
    if (exptime === 0) return 0
    if (exptime < 0) return LONG_AGO
    if (exptime <= MAX_RELATIVE_EXPTIME) return this.clock + exptime
    return Math.max(exptime - this.#startedAt, LONG_AGO)
  }

  isExpired(item: Item): boolean {
    return item.expiresAt !== 0 && item.expiresAt <= this.clock
  }

  isFlushed(item: Item): boolean {
    if (this.#flushedUntil === 0 || this.#flushedUntil > this.clock) return false
    return item.usedAt <= this.#flushedUntil || (this.#flushedCas !== 0 && item.cas !== 0 && item.cas < this.#flushedCas)
  }

  /**
   * `flush_all`: everything there at `exptime` is gone from then on; 0 and less is now, else as for items. With cas
   * ids, `nextCas` draws a line through the running second: what is stored later in it stays.
   */
  flush(exptime: number, nextCas: (() => number) | undefined): void {
    const now = this.clock
    const at = exptime > 0 ? this.expiry(exptime) : now
    if (nextCas === undefined) {
      this.#flushedUntil = at
      return
    }
    this.#flushedUntil = at - 1
    if (this.#flushedUntil <= now) this.#flushedCas = nextCas()
  }

  /** Forgets every `flush_all`. */
  clear(): void {
    this.#flushedUntil = 0
    this.#flushedCas = 0
  }
}

/// <reference types="node" preserve="true" />

/**
 * The items, with memcached's semantics: expiry, flushing, cas ids, counters, the size limit and the memory limit.
 * No I/O and no timers; the clock comes from the settings. Keys are latin1 strings: one character a byte.
 */

import { parseUint64 } from './c-numbers.ts'
import { Counters } from './counters.ts'
import { CRLF_BYTES, itemSize } from './item.ts'
import { Lifetimes } from './lifetimes.ts'
import { SlabClasses } from './slab-classes.ts'
import type { Item, SlabClass } from './item.ts'
import type { Settings } from './settings.ts'

/** What a store command does with a present and with a missing item. */
export type StoreMode = 'set' | 'add' | 'replace' | 'append' | 'prepend' | 'cas'
/** How a store command ended. */
export type StoreStatus = 'STORED' | 'NOT_STORED' | 'EXISTS' | 'NOT_FOUND'
/** Why there is no room for an item. */
export type AllocationFailure = 'too large' | 'out of memory'
/** How incr or decr ended; `item` has the new value, and is another one than before if it `grew`. */
export type CountResult = { readonly value: bigint; readonly item: Item; readonly grew: boolean } | 'NOT_FOUND' | 'EXISTS' | 'NON_NUMERIC' | 'OUT_OF_MEMORY'

/** All items of a server. What it is asked for comes from memcached's commands, whichever protocol they came in. */
export class ItemStore {
  readonly counters = new Counters()
  readonly lifetimes: Lifetimes
  readonly slabs: SlabClasses
  #settings: Settings
  #items = new Map<string, Item>()
  #bytes = 0
  #lastCas = 0
  #sizesSince: number | undefined
  #flushSwept = true

  constructor(settings: Settings) {
    this.#settings = settings
    this.lifetimes = new Lifetimes(settings.now)
    this.slabs = new SlabClasses(settings)
    if (settings.trackSizes) this.trackSizes(true)
  }

  get itemCount(): number {
    return this.#items.size
  }

  /** Bytes of all items, as memcached counts them. */
  get bytes(): number {
    return this.#bytes
  }

  /** Items with a smaller cas id are not counted by `stats sizes`; `undefined`: none is. */
  get sizesSince(): number | undefined {
    return this.#sizesSince
  }

  /** Begins or ends counting items by size; those already there are left out, and a cas id goes to tell them. */
  trackSizes(enable: boolean): void {
    this.#sizesSince = enable ? this.#sizesSince ?? this.nextCas() : undefined
  }

  /** As after a fresh start: no items, the first cas ids again, all counters 0. */
  clear(): void {
    for (const item of this.#items.values()) this.unlink(item)
    this.slabs.clear()
    this.lifetimes.clear()
    this.#lastCas = 0
    this.#sizesSince = undefined
    if (this.#settings.trackSizes) this.trackSizes(true)
    this.counters.reset()
  }

  resetCounters(): void {
    this.counters.reset()
    for (const { counters } of this.slabs.classes) counters.reset()
  }

  /** Room for an item whose value has `length` bytes; `store` or `release` comes next. `expiresAt` is on the server's clock. */
  allocate(key: string, flags: number, expiresAt: number, length: number): Item | AllocationFailure {
    const size = itemSize(key, flags, length, this.#settings.casEnabled)
    const slab = this.slabs.classFor(size)
    if (slab === undefined) return 'too large'
    if (!this.#makeRoom(slab, size)) {
      slab.counters.outofmemory++
      return 'out of memory'
    }
    return {
      key, flags, data: Buffer.allocUnsafe(length + CRLF_BYTES), expiresAt, usedAt: this.lifetimes.clock, cas: 0,
      fetched: false, active: false, binaryKey: false, stale: false, tokenSent: false, linked: false, holds: 0, size, slab
    }
  }

  /** Gives back the room of an item that is not in the cache, unless a reply still needs it. */
  release(item: Item): void {
    if (!item.linked && item.holds === 0) this.slabs.give(item.slab, item.size)
  }

  /** The item under `key`, unless it expired or was flushed; no use of it is recorded. */
  peek(key: string): Item | undefined {
    const item = this.#items.get(key)
    if (item === undefined) return undefined
    if (this.lifetimes.isFlushed(item)) {
      this.counters.get_flushed++
    } else if (this.lifetimes.isExpired(item)) {
      this.counters.get_expired++
    } else {
      return item
    }
    this.unlink(item)
    return undefined
  }

  /** The item under `key`, recorded as used. */
  fetch(key: string): Item | undefined {
    const item = this.peek(key)
    if (item !== undefined) this.use(item)
    return item
  }

  /** Records a fetch. The time of use moves at the second fetch only, which is what meta's `l` and `h` show. */
  use(item: Item): void {
    if (!item.fetched) {
      item.fetched = true
    } else if (!item.active) {
      item.active = true
      item.usedAt = this.lifetimes.clock
    }
  }

  /** Fetches an item and sets when it expires (`touch`, `gat`); its cas id stays. */
  touch(key: string, expiresAt: number): Item | undefined {
    const item = this.fetch(key)
    if (item !== undefined) item.expiresAt = expiresAt
    return item
  }

  /**
   * Stores an allocated and filled item, which gets a cas id, or gives back its room. A `cas` of 0 is no check, but
   * never matches in mode `cas`. `allowStale` (meta's `I`) stores over a newer item too, as stale, without changing when it expires.
   */
  store(mode: StoreMode, item: Item, cas = 0n, allowStale = false): StoreStatus {
    const old = this.peek(item.key)
    const status = old === undefined ? this.#storeNew(mode, item) : this.#storeOver(old, mode, item, cas, allowStale)
    if (status !== 'STORED') this.release(item)
    return status
  }

  /** Links an allocated item under its key, where there is none. */
  link(item: Item): void {
    item.linked = true
    item.usedAt = this.lifetimes.clock
    item.cas = this.nextCas()
    this.#items.set(item.key, item)
    item.slab.items.add(item)
    this.#bytes += item.size
    this.counters.total_items++
  }

  /** Takes an item out of the cache, if it still is in it: making room may have evicted it meanwhile. */
  unlink(item: Item): void {
    if (!item.linked) return
    item.linked = false
    this.#items.delete(item.key)
    item.slab.items.delete(item)
    this.#bytes -= item.size
    this.release(item)
  }

  /** Takes out what is under `key`: better a miss than a value that was to be overwritten. */
  discard(key: string): void {
    const item = this.peek(key)
    if (item !== undefined) this.unlink(item)
  }

  /** A fresh cas id; 0 with cas ids switched off. */
  nextCas(): number {
    return this.#settings.casEnabled ? ++this.#lastCas : 0
  }

  /**
   * Adds `delta` (modulo 2^64), or takes it away (not below 0). The new value goes into the old one's bytes, padded
   * with blanks, if it fits and no reply still needs them; else into a new item. A `cas` other than 0 has to match.
   */
  count(key: string, delta: bigint, down: boolean, cas = 0n): CountResult {
    const item = this.peek(key)
    if (item === undefined) return 'NOT_FOUND'
    const length = item.data.length - CRLF_BYTES
    if (length === 0 || this.slabs.isChunked(item.size)) return 'NON_NUMERIC'
    if (cas !== 0n && cas !== BigInt(item.cas)) return 'EXISTS'
    const before = parseUint64(item.data.toString('latin1'))
    if (before === undefined) return 'NON_NUMERIC'
    const value = down ? (delta > before ? 0n : before - delta) : BigInt.asUintN(64, before + delta)
    const counters = item.slab.counters
    if (down) counters.decr_hits++
    else counters.incr_hits++
    const digits = String(value)
    if (digits.length <= length && item.holds === 0) {
      item.cas = this.nextCas()
      item.data = Buffer.from(`${digits.padEnd(length)}\r\n`, 'latin1')
      return { value, item, grew: false }
    }
    const longer = this.allocate(key, item.flags, item.expiresAt, digits.length)
    if (typeof longer === 'string') return 'OUT_OF_MEMORY'
    longer.data.write(`${digits}\r\n`, 'latin1')
    this.#replace(item, longer)
    return { value, item: longer, grew: true }
  }

  /** A new counter under `key`, where there is no item; `undefined` when there is no room for it. */
  createCounter(key: string, value: bigint, expiresAt: number): Item | undefined {
    const digits = String(value)
    const item = this.allocate(key, 0, expiresAt, digits.length)
    if (typeof item === 'string') return undefined
    item.data.write(`${digits}\r\n`, 'latin1')
    this.link(item)
    return item
  }

  /** `flush_all`: everything there at `exptime` is gone from then on; 0 and less is now. */
  flush(exptime: number): void {
    this.lifetimes.flush(exptime, this.#settings.casEnabled ? () => this.nextCas() : undefined)
    this.#flushSwept = false
  }

  /** Removes what has expired or was flushed, as memcached's background threads do all the time. */
  sweep(): void {
    for (const { items } of this.slabs.classes) {
      for (const item of items) if (!this.isLive(item)) this.#reclaim(item)
    }
  }

  /** The same once after each `flush_all`: another one, with a delay, would bring back what is not removed by then. */
  sweepFlushed(): void {
    if (this.#flushSwept || this.lifetimes.flushedUntil > this.lifetimes.clock) return
    this.#flushSwept = true
    this.sweep()
  }

  /** Whether an item in the cache is neither expired nor flushed. */
  isLive(item: Item): boolean {
    return !this.lifetimes.isExpired(item) && !this.lifetimes.isFlushed(item)
  }

  #storeNew(mode: StoreMode, item: Item): StoreStatus {
    if (mode === 'cas') {
      this.counters.cas_misses++
      return 'NOT_FOUND'
    }
    if (mode !== 'set' && mode !== 'add') return 'NOT_STORED'
    this.link(item)
    return 'STORED'
  }

  #storeOver(old: Item, mode: StoreMode, item: Item, cas: bigint, allowStale: boolean): StoreStatus {
    const oldCas = BigInt(old.cas)
    const matches = cas !== 0n && cas === oldCas
    switch (mode) {
      case 'add':
        return 'NOT_STORED'
      case 'append':
      case 'prepend': {
        if (cas !== 0n && !matches) return 'EXISTS'
        const joined = this.#join(old, item, mode)
        if (joined === undefined) return 'NOT_STORED'
        this.release(item)
        this.#replace(old, joined)
        item.cas = joined.cas
        return 'STORED'
      }
      case 'cas': {
        const counters = old.slab.counters
        if (matches) {
          counters.cas_hits++
        } else if (allowStale && cas !== 0n && cas < oldCas) {
          item.expiresAt = old.expiresAt
          item.stale = true
          item.tokenSent = old.tokenSent
        } else {
          counters.cas_badval++
          return 'EXISTS'
        }
        break
      }
      default:
    }
    this.#replace(old, item)
    return 'STORED'
  }

  #join(old: Item, added: Item, mode: 'append' | 'prepend'): Item | undefined {
    const length = old.data.length + added.data.length - 2 * CRLF_BYTES
    const joined = this.allocate(old.key, old.flags, old.expiresAt, length)
    if (typeof joined === 'string') return undefined
    const [first, second] = mode === 'append' ? [old, added] : [added, old]
    first.data.copy(joined.data)
    second.data.copy(joined.data, first.data.length - CRLF_BYTES)
    return joined
  }

  #replace(old: Item, item: Item): void {
    this.unlink(old)
    this.link(item)
  }

  #reclaim(item: Item): void {
    const { counters } = item.slab
    counters.reclaimed++
    this.counters.reclaimed++
    if (!item.fetched) counters.expired_unfetched++
    this.unlink(item)
  }

  /** Takes chunks for `size` bytes, at the cost of expired items and then, if allowed, of the longest unused ones. */
  #makeRoom(slab: SlabClass, size: number): boolean {
    if (this.slabs.take(slab, size)) return true
    const counters = slab.counters
    const queue = slab.items
    for (const item of queue) {
      if (this.isLive(item)) continue
      this.#reclaim(item)
      if (this.slabs.take(slab, size)) return true
    }
    if (!this.#settings.evictions) return false
    for (const item of queue) {
      if (item.active) {
        // A second chance for what was fetched more than once: back to the end of the queue.
        item.active = false
        queue.delete(item)
        queue.add(item)
        continue
      }
      counters.evicted++
      counters.evicted_time = this.lifetimes.clock - item.usedAt
      if (item.expiresAt !== 0) counters.evicted_nonzero++
      if (!item.fetched) counters.evicted_unfetched++
      this.counters.evictions++
      this.unlink(item)
      if (this.slabs.take(slab, size)) return true
    }
    return false
  }
}

/// <reference types="node" preserve="true" />

/**
 * The items, with memcached's semantics: expiry, flushing, cas ids, counters, the size limit and the memory limit.
 * No I/O and no timers; the clock comes from the settings. Keys are latin1 strings: one character a byte.
 */

import { parseUint64 } from './c-numbers.ts'
import { Counters, SlabCounters } from './counters.ts'
import { SlabClasses } from './slab-classes.ts'
import type { Settings } from './settings.ts'
import type { SlabClass } from './slab-classes.ts'

/** Bytes that every item takes beside key, value and cas id: its header, a NUL behind the key, CRLF behind the value. */
const ITEM_OVERHEAD = 48 + 1 + 2
const CAS_BYTES = 8
const FLAGS_BYTES = 4
const CRLF_BYTES = 2

const MAX_RELATIVE_EXPTIME = 60 * 60 * 24 * 30
/** memcached's clock does not start at 0, so that an exptime of 1 is always in the past. */
const CLOCK_AT_START = 62
const ALREADY_EXPIRED = 1

/** What a store command does with a present and with a missing item. */
export type StoreMode = 'set' | 'add' | 'replace' | 'append' | 'prepend' | 'cas'
/** How a store command ended. */
export type StoreStatus = 'STORED' | 'NOT_STORED' | 'EXISTS' | 'NOT_FOUND'
/** Why there is no room for an item. */
export type AllocationFailure = 'too large' | 'out of memory'
/** How incr or decr ended; `item` has the new value, and is another one than before if it `grew`. */
export type CountResult = { readonly value: bigint; readonly item: Item; readonly grew: boolean } | 'NOT_FOUND' | 'EXISTS' | 'NON_NUMERIC' | 'OUT_OF_MEMORY'

/** One item; in the cache from the moment `ItemStore.store` links it. */
export interface Item {
  readonly key: string
  readonly flags: number
  /** The value and the CRLF behind it, as they came in and go out. Never changed in place: replies refer to it. */
  data: Buffer
  /** The second, on the store's own clock, at which it expires; 0 = never. */
  expiresAt: number
  /** When it was stored or last counted as used, on the store's own clock. */
  usedAt: number
  /** 0 until linked, and always with cas ids switched off. */
  cas: number
  /** Was it ever fetched; and fetched again since then. */
  fetched: boolean
  active: boolean
  /** The key came base64 encoded (meta's flag `b`) and is shown so. */
  binaryKey: boolean
  /** Marked stale by meta's `md I`; a recache token was handed out. */
  stale: boolean
  tokenSent: boolean
  linked: boolean
  /** Replies that refer to it and were not sent yet: meanwhile a counter is not rewritten in place. */
  holds: number
  /** Bytes that memcached would use for it, and the class that they come from. */
  readonly size: number
  readonly slab: SlabClass
}

export class ItemStore {
  readonly counters = new Counters()
  slabs: SlabClasses
  #settings: Settings
  #items = new Map<string, Item>()
  /** By class id: its items, longest unused first, and its counters. */
  #queues: Set<Item>[] = []
  #slabCounters: SlabCounters[] = []
  #bytes = 0
  #lastCas = 0
  #startedAt: number
  /** `flush_all`: what was last used up to this second, or has an older cas id than this, is gone. */
  #flushedUntil = 0
  #flushedCas = 0

  constructor(settings: Settings) {
    this.#settings = settings
    this.#startedAt = Math.floor(settings.now() / 1000) - CLOCK_AT_START
    this.slabs = this.#emptySlabs()
  }

  /** The store's own clock in whole seconds: all times of items are on it. */
  get clock(): number {
    return Math.floor(this.#settings.now() / 1000) - this.#startedAt
  }

  /** Seconds since the store was made. */
  get uptime(): number {
    return this.clock - CLOCK_AT_START + 2
  }

  get itemCount(): number {
    return this.#items.size
  }

  /** Bytes of all items, as memcached counts them. */
  get bytes(): number {
    return this.#bytes
  }

  /** The `flush_all` in force, for `stats settings`: a time on the store's clock, 0 = none. */
  get flushedUntil(): number {
    return this.#flushedUntil
  }

  /** A time on the store's clock in seconds since the epoch. */
  toEpoch(time: number): number {
    return time + this.#startedAt
  }

  /** Whether an item in the cache is neither expired nor flushed. */
  isLive(item: Item): boolean {
    return !this.#isExpired(item) && !this.#isFlushed(item)
  }

  /** Items of one class, longest unused first. */
  itemsOf(slab: SlabClass): Iterable<Item> {
    return this.#queues[slab.id]!
  }

  countersOf(slab: SlabClass): SlabCounters {
    return this.#slabCounters[slab.id]!
  }

  /** As after a fresh start: no items, the next cas id is 1, all counters 0. */
  clear(): void {
    this.#items.clear()
    this.slabs = this.#emptySlabs()
    this.#bytes = 0
    this.#lastCas = 0
    this.#flushedUntil = 0
    this.#flushedCas = 0
    this.counters.reset()
  }

  resetCounters(): void {
    this.counters.reset()
    for (const counters of this.#slabCounters) counters?.reset()
  }

  /**
   * When an item with this `exptime` expires, on the store's clock: 0 = never, negative = at once, up to 30 days
   * relative, anything larger seconds since the epoch.
   */
  expiry(exptime: number): number {
    if (exptime === 0) return 0
    if (exptime < 0) return ALREADY_EXPIRED
    if (exptime <= MAX_RELATIVE_EXPTIME) return this.clock + exptime
    return Math.max(exptime - this.#startedAt, ALREADY_EXPIRED)
  }

  /** Room for an item whose value has `length` bytes; `store` or `release` comes next. `expiresAt` is from `expiry`. */
  allocate(key: string, flags: number, expiresAt: number, length: number): Item | AllocationFailure {
    const size = this.#sizeOf(key, flags, length)
    const slab = this.slabs.classFor(size)
    if (slab === undefined) return 'too large'
    if (!this.#makeRoom(slab, size)) {
      this.countersOf(slab).outofmemory++
      return 'out of memory'
    }
    return {
      key, flags, data: Buffer.allocUnsafe(length + CRLF_BYTES), expiresAt, usedAt: this.clock, cas: 0,
      fetched: false, active: false, binaryKey: false, stale: false, tokenSent: false, linked: false, holds: 0, size, slab
    }
  }

  /** Gives back the room of an item that was not stored. */
  release(item: Item): void {
    if (!item.linked) this.slabs.give(item.slab, item.size)
  }

  /** The item under `key`, unless it expired or was flushed; no use of it is recorded. */
  peek(key: string): Item | undefined {
    const item = this.#items.get(key)
    if (item === undefined) return undefined
    if (this.#isFlushed(item)) {
      this.counters.get_flushed++
    } else if (this.#isExpired(item)) {
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
      item.usedAt = this.clock
    }
  }

  /** Fetches an item and sets when it expires (`touch`, `gat`); its cas id stays. */
  touch(key: string, expiresAt: number): Item | undefined {
    const item = this.fetch(key)
    if (item !== undefined) item.expiresAt = expiresAt
    return item
  }

  /**
   * Stores an allocated and filled item, or gives back its room. A `cas` of 0 is no check, but never matches in mode
   * `cas`. `allowStale` (meta's `I`) stores over a newer item too, as stale, without changing when it expires.
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
    item.usedAt = this.clock
    item.cas = this.nextCas()
    this.#items.set(item.key, item)
    this.#queues[item.slab.id]!.add(item)
    this.#bytes += item.size
    this.counters.total_items++
  }

  /** Takes an item out of the cache, if it still is in it: making room may have evicted it meanwhile. */
  unlink(item: Item): void {
    if (!item.linked) return
    item.linked = false
    this.#items.delete(item.key)
    this.#queues[item.slab.id]!.delete(item)
    this.#bytes -= item.size
    this.slabs.give(item.slab, item.size)
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
    const counters = this.countersOf(item.slab)
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

  /** `flush_all`: everything there at `exptime` is gone from then on; 0 and less is now, else as for items. */
  flush(exptime: number): void {
    const now = this.clock
    const at = exptime > 0 ? this.expiry(exptime) : now
    if (!this.#settings.casEnabled) {
      this.#flushedUntil = at
      return
    }
    // The second before, and by cas id what is of this second: what is stored later in it stays.
    this.#flushedUntil = at - 1
    if (this.#flushedUntil <= now) this.#flushedCas = this.nextCas()
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
        return 'STORED'
      }
      case 'cas': {
        const counters = this.countersOf(old.slab)
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

  #sizeOf(key: string, flags: number, length: number): number {
    return ITEM_OVERHEAD + (this.#settings.casEnabled ? CAS_BYTES : 0) + (flags === 0 ? 0 : FLAGS_BYTES) + key.length + length
  }

  #isExpired(item: Item): boolean {
    return item.expiresAt !== 0 && item.expiresAt <= this.clock
  }

  #isFlushed(item: Item): boolean {
    if (this.#flushedUntil === 0 || this.#flushedUntil > this.clock) return false
    return item.usedAt <= this.#flushedUntil || (this.#flushedCas !== 0 && item.cas !== 0 && item.cas < this.#flushedCas)
  }

  /** Takes chunks for `size` bytes, at the cost of expired items and then, if allowed, of the longest unused ones. */
  #makeRoom(slab: SlabClass, size: number): boolean {
    if (this.slabs.take(slab, size)) return true
    const counters = this.countersOf(slab)
    const queue = this.#queues[slab.id]!
    for (const item of queue) {
      if (this.isLive(item)) continue
      counters.reclaimed++
      this.counters.reclaimed++
      if (!item.fetched) counters.expired_unfetched++
      this.unlink(item)
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
      counters.evicted_time = this.clock - item.usedAt
      if (item.expiresAt !== 0) counters.evicted_nonzero++
      if (!item.fetched) counters.evicted_unfetched++
      this.counters.evictions++
      this.unlink(item)
      if (this.slabs.take(slab, size)) return true
    }
    return false
  }

  #emptySlabs(): SlabClasses {
    const slabs = new SlabClasses(this.#settings)
    for (const slab of slabs.classes) {
      this.#queues[slab.id] = new Set()
      this.#slabCounters[slab.id] = new SlabCounters()
    }
    return slabs
  }
}

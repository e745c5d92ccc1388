/// <reference types="node" preserve="true" />

import type { QueueJournal } from './queue-journal.ts'
import type { QueueItem, Source, Waiter } from './queue-source.ts'

/** Used places in front of the first item, past which they are given up. */
const COMPACT_AT = 1024

/** First in, first out; what is given back is in front again. */
export class Queue implements Source {
  readonly name: string
  readonly waiters = new Set<Waiter>()
  closed = false
  openReads = 0
  readonly counters = { total: 0, taken: 0, expired: 0, transactions: 0, canceled: 0, flushes: 0 }
  /** Of all values. */
  bytes = 0
  /** When the item that was taken last had been added; 0 = none was. */
  lastAddedAt = 0
  journal: QueueJournal | undefined
  #now: () => number
  #items: QueueItem[] = []
  #first = 0
  #nextId = 1
  /** The first item's place, counted from the first one ever. */
  #head = 0

  constructor(name: string, now: () => number) {
    this.name = name
    this.#now = now
  }

  get length(): number {
    return this.#items.length - this.#first
  }

  /** The place of the first item: how many more were taken than given back. */
  get head(): number {
    return this.#head
  }

  /** The item at this place. */
  at(place: number): QueueItem | undefined {
    return place < this.#head ? undefined : this.#items[this.#first + place - this.#head]
  }

  /** Adds an item at the tail, and wakes the first waiter. */
  push(data: Buffer, flags = 0, expiresAt = Infinity): void {
    this.discardExpired()
    const item = { id: this.#nextId++, flags, data, addedAt: this.#now(), expiresAt }
    this.journal?.add(this.name, item)
    this.#items.push(item)
    this.bytes += data.length
    this.counters.total++
    this.#wake()
  }

  /** Adds an item that was there before the server was started. */
  restore(item: QueueItem): void {
    this.#items.push(item)
    this.bytes += item.data.length
    this.#nextId = item.id + 1
  }

  peek(): QueueItem | undefined {
    this.discardExpired()
    return this.#items[this.#first]
  }

  take(open: boolean): QueueItem | undefined {
    this.discardExpired()
    const item = this.#shift()
    if (item === undefined) return undefined
    this.counters.taken++
    if (open) this.counters.transactions++
    this.lastAddedAt = item.addedAt
    return item
  }

  remove({ id }: QueueItem): void {
    this.journal?.remove(this.name, id)
  }

  putBack(item: QueueItem, byAge = false): void {
    let index = this.#first
    if (byAge) while (index < this.#items.length && this.#items[index]!.id < item.id) index++
    if (index === this.#first && index > 0) this.#items[--this.#first] = item
    else this.#items.splice(index, 0, item)
    this.bytes += item.data.length
    this.#head--
    this.counters.canceled++
    this.#wake()
  }

  /** Removes all items; those taken can still be given back. */
  flush(): void {
    for (let item = this.#shift(); item !== undefined; item = this.#shift()) this.remove(item)
    this.counters.flushes++
  }

  /** Removes the items at the head that have expired; answers how many. Those behind a living one are found later. */
  discardExpired(): number {
    let count = 0
    while (this.length > 0 && this.#items[this.#first]!.expiresAt < this.#now()) {
      this.remove(this.#shift()!)
      count++
    }
    this.counters.expired += count
    return count
  }

  /** Wakes all who wait, in vain. */
  close(): void {
    this.closed = true
    for (const waiter of [...this.waiters]) waiter()
  }

  #shift(): QueueItem | undefined {
    if (this.length === 0) return undefined
    const item = this.#items[this.#first++]!
    if (this.#first === this.#items.length || this.#first > COMPACT_AT && 2 * this.#first > this.#items.length) {
      this.#items.splice(0, this.#first)
      this.#first = 0
    }
    this.bytes -= item.data.length
    this.#head++
    return item
  }

  #wake(): void {
    const [first] = this.waiters
    if (first === undefined) return
    this.waiters.delete(first)
    first()
  }
}

/// <reference types="node" preserve="true" />

/** The queues of a server that plays a queue server: their items, and who waits for one. */

/** One item of a queue. */
export interface QueueItem {
  /** Grows with every item of its queue. */
  readonly id: number
  readonly flags: number
  readonly data: Buffer
  /** On the server's clock, in milliseconds. */
  readonly addedAt: number
  /** As `addedAt`; Infinity = never. */
  readonly expiresAt: number
}

/** Wants the next item. Called once, when there may be one; it can line up again. */
export type Waiter = () => void

/** Where an item goes that was taken and is given back: in front of all others, or to the place that its id gives it. */
export type ReturnOrder = 'head' | 'id'

/** Used places in front of the first item, past which they are given up. */
const COMPACT_AT = 1024

/** First in, first out; what is given back comes first again. */
export class Queue {
  readonly name: string
  /** In the order in which they are served. */
  readonly waiters = new Set<Waiter>()
  /** Items taken by an open read, as the statistics show it. */
  openReads = 0
  /** How many more items were taken than given back since it was created or emptied. */
  head = 0
  readonly counters = { total_items: 0, expired_items: 0, transactions: 0, canceled_transactions: 0, total_flushes: 0 }
  /** Of all values. */
  bytes = 0
  /** When the item was added that was taken last; 0 = none was. */
  lastTaken = 0
  #now: () => number
  #items: QueueItem[] = []
  #first = 0
  #nextId = 1

  constructor(name: string, now: () => number) {
    this.name = name
    this.#now = now
  }

  get length(): number {
    return this.#items.length - this.#first
  }

  /** Adds an item at the tail, and wakes the first waiter. */
  push(data: Buffer, flags = 0, expiresAt = Infinity): void {
    this.discardExpired()
    this.#items.push({ id: this.#nextId++, flags, data, addedAt: this.#now(), expiresAt })
    this.bytes += data.length
    this.counters.total_items++
    this.#wake()
  }

  /** The first item, which stays; `undefined` when there is none. */
  peek(): QueueItem | undefined {
    this.discardExpired()
    return this.#items[this.#first]
  }

  /** The first item, which is gone. */
  take(): QueueItem | undefined {
    this.discardExpired()
    return this.#shift()
  }

  /** Gives an item back that was taken, and wakes the first waiter. */
  putBack(item: QueueItem, order: ReturnOrder): void {
    let place = this.#first
    if (order === 'id') while (place < this.#items.length && this.#items[place]!.id < item.id) place++
    if (place === this.#first && place > 0) this.#items[--this.#first] = item
    else this.#items.splice(place, 0, item)
    this.bytes += item.data.length
    this.head--
    this.#wake()
  }

  /** Forgets all items. */
  empty(): void {
    this.#items = []
    this.#first = 0
    this.bytes = 0
    this.head = 0
  }

  /** Drops the items at the head that have expired; answers how many. Those behind a living one are found later. */
  discardExpired(): number {
    let count = 0
    while (this.length > 0 && this.#items[this.#first]!.expiresAt < this.#now()) {
      this.#shift()
      count++
    }
    this.counters.expired_items += count
    return count
  }

  #shift(): QueueItem | undefined {
    if (this.length === 0) return undefined
    const item = this.#items[this.#first++]!
    if (this.#first === this.#items.length || this.#first > COMPACT_AT && 2 * this.#first > this.#items.length) {
      this.#items.splice(0, this.#first)
      this.#first = 0
    }
    this.bytes -= item.data.length
    this.head++
    this.lastTaken = item.addedAt
    return item
  }

  #wake(): void {
    const [first] = this.waiters
    if (first === undefined) return
    this.waiters.delete(first)
    first()
  }
}

/** All queues of a server. */
export class QueueStore {
  readonly counters = { gets: 0, peeks: 0, finishes: 0, sets: 0, puts: 0, hits: 0, misses: 0, created: 0, deleted: 0 }
  #now: () => number
  #queues = new Map<string, Queue>()

  /** `now` is in milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now
  }

  get all(): Iterable<Queue> {
    return this.#queues.values()
  }

  find(name: string): Queue | undefined {
    return this.#queues.get(name)
  }

  /** The queue of this name, made now if there is none. */
  queue(name: string): Queue {
    let queue = this.#queues.get(name)
    if (queue === undefined) {
      queue = new Queue(name, this.#now)
      this.#queues.set(name, queue)
      this.counters.created++
    }
    return queue
  }

  /** Forgets a queue; false when there is none. Who waits on it, or holds an item of it, is left with the forgotten one. */
  delete(name: string): boolean {
    const found = this.#queues.delete(name)
    if (found) this.counters.deleted++
    return found
  }

  /** Puts an empty queue in a queue's place, if there is one, as if it had been deleted and made again. */
  replace(name: string): void {
    if (this.#queues.has(name)) this.#queues.set(name, new Queue(name, this.#now))
  }

  /** Forgets everything, as if just started. */
  clear(): void {
    this.#queues.clear()
    for (const name of Object.keys(this.counters) as (keyof QueueStore['counters'])[]) this.counters[name] = 0
  }
}

/// <reference types="node" preserve="true" />

/** The queues of a server that plays a queue server. */

import { Queue } from './queue.ts'
import type { QueueJournal } from './queue-journal.ts'

/** What the servers count, each its own choice of it. */
const COUNTERS = { gets: 0, peeks: 0, finishes: 0, sets: 0, puts: 0, hits: 0, misses: 0, created: 0, deleted: 0 }

/** All queues of a server. */
export class QueueStore {
  readonly counters = { ...COUNTERS }
  /** When the server was started, in milliseconds since the epoch. */
  readonly startedAt: number
  /** kestrel's, as its operator set it. */
  status = 'UP'
  #now: () => number
  #journal: QueueJournal | undefined
  #queues = new Map<string, Queue>()

  /** `now` is in milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now
    this.startedAt = now()
  }

  /** In the order in which they were made. */
  get all(): Iterable<Queue> {
    return this.#queues.values()
  }

  find(name: string): Queue | undefined {
    return this.#queues.get(name)
  }

  /** The queue of this name, made now if there is none. */
  queue(name: string): Queue {
    return this.#queues.get(name) ?? this.#make(name)
  }

  /** Forgets a queue; false when there is none. Who waits on it, or holds an item of it, is left with the forgotten one. */
  delete(name: string): boolean {
    const found = this.#forget(name)
    if (found) this.counters.deleted++
    return found
  }

  /** Puts an empty queue in a queue's place, if there is one. Who waits is left with the forgotten one. */
  replace(name: string): void {
    if (this.#forget(name)) this.#make(name)
  }

  /** Forgets everything, as if just started. */
  clear(): void {
    for (const name of [...this.#queues.keys()]) this.#forget(name)
    this.resetCounters()
  }

  resetCounters(): void {
    Object.assign(this.counters, COUNTERS)
  }

  /** What the journal has is there again, and what comes is kept in it. */
  keepIn(journal: QueueJournal): void {
    for (const { name, item } of journal.kept) this.queue(name).restore(item)
    this.#journal = journal
    for (const queue of this.all) queue.journal = journal
  }

  /** The server is ending. */
  close(): void {
    for (const queue of this.all) queue.close()
  }

  /** Nothing is kept any more. */
  closeJournal(): void {
    for (const queue of this.all) queue.journal = undefined
    this.#journal?.close()
    this.#journal = undefined
  }

  #make(name: string): Queue {
    const queue = new Queue(name, this.#now)
    queue.journal = this.#journal
    this.#queues.set(name, queue)
    this.counters.created++
    return queue
  }

  #forget(name: string): boolean {
    const queue = this.#queues.get(name)
    if (queue === undefined) return false
    this.#queues.delete(name)
    queue.journal = undefined
    this.#journal?.drop(name)
    return true
  }
}

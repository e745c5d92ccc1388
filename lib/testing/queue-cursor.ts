/// <reference types="node" preserve="true" />

import type { QueueItem, Source, Waiter } from './queue-source.ts'
import type { Queue } from './queue.ts'

/** siberite's cursor: reads a queue without taking from it. What is given back comes again, in order. */
export class QueueCursor implements Source {
  /** The queue's. */
  readonly name: string
  readonly label: string
  readonly waiters = new Set<Waiter>()
  readonly closed = false
  openReads = 0
  #queue: Queue
  #next: number
  #returned: QueueItem[] = []

  constructor(queue: Queue, label: string) {
    this.name = queue.name
    this.label = label
    this.#queue = queue
    this.#next = queue.head
  }

  get length(): number {
    return this.#queue.head + this.#queue.length - this.#place + this.#returned.length
  }

  peek(): QueueItem | undefined {
    return this.#returned[0] ?? this.#queue.at(this.#place)
  }

  take(): QueueItem | undefined {
    const item = this.#returned.shift()
    if (item !== undefined) return item
    const next = this.#queue.at(this.#place)
    if (next !== undefined) this.#next = this.#place + 1
    return next
  }

  remove(): void {}

  putBack(item: QueueItem): void {
    this.#returned.push(item)
  }

  /** Begins anew. */
  reset(): void {
    this.#returned = []
    this.#next = this.#queue.head
  }

  /** What was taken from the queue meanwhile is not seen any more. */
  get #place(): number {
    return Math.max(this.#next, this.#queue.head)
  }
}

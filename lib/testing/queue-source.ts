/// <reference types="node" preserve="true" />

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

/** What items are read from: a queue, or a cursor that goes through one. */
export interface Source {
  readonly name: string
  /** In the order in which they are served. */
  readonly waiters: Set<Waiter>
  /** Nobody needs to wait any more: there will never be an item. */
  readonly closed: boolean
  /** Items taken by an open read. */
  openReads: number
  /** The next item, which stays; `undefined` when there is none. */
  peek(): QueueItem | undefined
  /** The next item, which is removed or put back later; for an open read, or not. */
  take(open: boolean): QueueItem | undefined
  /** An item that was taken is gone for good. */
  remove(item: QueueItem): void
  /** An item that was taken comes next; or, by age, when all that are older have. */
  putBack(item: QueueItem, byAge?: boolean): void
}

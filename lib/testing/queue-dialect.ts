/// <reference types="node" preserve="true" />

/** What a queue server is to a session: its commands, and what becomes of what a connection leaves behind. */

import type { QueueItem, Source } from './queue-source.ts'
import type { QueueStore } from './queue-store.ts'
import type { Engine } from './session.ts'

/** What a line asks for that the server does not give: the connection ends behind `line`, or without a word. */
export interface Refusal {
  readonly refused: true
  readonly line?: string
}

/** An item taken by `/open`, which its connection has not closed yet. */
export interface OpenRead {
  readonly source: Source
  readonly item: QueueItem
}

/** What a command may do: the session of the connection that it came on. */
export interface QueueContext {
  readonly engine: Engine
  readonly store: QueueStore
  readonly dialect: QueueDialect
  /** In the order in which they were opened. */
  readonly openReads: OpenRead[]
  /** Answers with one line. */
  reply(line: string): void
  /** Answers with an item; END is still to come. */
  replyItem(name: string, item: QueueItem): void
  /** Ends the connection, behind this line, or without a word. */
  refuse(line?: string): void
  /** Takes so many bytes from the input, and two more, which should be CRLF. */
  upload(length: number, complete: (data: Buffer, endsWell: boolean) => void): void
  /** Drops so many bytes of the input. */
  swallow(bytes: number): void
  /**
   * Takes no further command until `attempt`, which is called whenever there may be an item, has answered the one at
   * hand, or until it is too late and `giveUp` has. Time is in milliseconds.
   */
  wait(source: Source, time: number, attempt: () => boolean, giveUp: () => void): void
  /** The server's process dies, and is there again at once: every connection ends. */
  crash(): void
}

/** A command: what it does with the words of its line, of which the first is its name. */
export type QueueCommand = (session: QueueContext, words: readonly string[]) => void

/** One queue server. */
export interface QueueDialect {
  /** The words of a line; none when it is no line of this server's. */
  words(line: string): readonly string[]
  readonly commands: ReadonlyMap<string, QueueCommand>
  /** For a name that no command has. */
  readonly unknown: QueueCommand
  /** Puts an item back that was not closed, unless its queue will not have it any more. */
  giveBack(store: QueueStore, read: OpenRead): Refusal | undefined
  /** A waiter whose client is gone still takes the next item. */
  readonly hasGhosts: boolean
  /** Those who wait are answered when the queue or the server goes. */
  readonly endsWaits: boolean
}

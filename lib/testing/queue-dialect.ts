/// <reference types="node" preserve="true" />

/** What one queue server does differently from the others: a row of the table in queue-dialects.ts. */

import type { Queue, QueueItem, QueueStore, ReturnOrder } from './queue-store.ts'
import type { Engine, Peer } from './session.ts'

/** An error line, or `undefined` where the server says nothing; the connection ends behind it. */
export class Refusal {
  readonly line: string | undefined

  constructor(line?: string) {
    this.line = line
  }
}

/** The words behind a queue's name: `jobs/t=500/close/open`. */
export interface ReadRequest {
  readonly name: string
  readonly open: boolean
  readonly close: boolean
  readonly abort: boolean
  readonly peek: boolean
  /** Milliseconds to wait for an item; 0 = not at all. */
  readonly wait: number
}

/** What is to be stored, as its command line announces it. */
export interface PutRequest {
  readonly name: string
  readonly flags: number
  /** In milliseconds since the epoch; Infinity = never. */
  readonly expiresAt: number
  readonly length: number
}

/** An item taken by `/open`, which the connection has not closed yet. */
export interface OpenRead {
  readonly queue: Queue
  readonly item: QueueItem
}

/** What a command may do: the session of the connection that it came on. */
export interface QueueContext {
  readonly engine: Engine
  readonly peer: Peer
  readonly store: QueueStore
  readonly dialect: QueueDialect
  /** In the order in which they were opened. */
  readonly openReads: OpenRead[]
  /** Answers with one line. */
  reply(line: string): void
  /** Answers with an item, and with END behind it. */
  replyItem(name: string, item: QueueItem): void
  /** Ends the connection, behind the refusal's line. */
  refuse(refusal: Refusal): void
  /** Takes so many bytes from the input, and two more, which should be CRLF. */
  upload(length: number, complete: (data: Buffer, endsWell: boolean) => void): void
  /**
   * Takes no further command until `attempt`, which is called whenever there may be an item, has answered the one at
   * hand, or until it is too late and `giveUp` has. Time is in milliseconds.
   */
  wait(queue: Queue, time: number, attempt: () => boolean, giveUp: () => void): void
  /** What becomes of all connections when the server's process dies. */
  crash(): void
}

/** A command: what it does with the words of its line. */
export type QueueCommand = (session: QueueContext, words: readonly string[]) => void

/** One queue server. */
export interface QueueDialect {
  /** What `version` answers. */
  readonly version: string
  /** The words of a line, the command first; `undefined` when it is no line of this server's at all. */
  readonly words: (line: string) => readonly string[] | undefined
  readonly commands: Readonly<Record<string, QueueCommand>>
  /** A command that is not there. */
  readonly unknown: QueueCommand
  /** What a `get` asks for. */
  readonly read: (key: string) => ReadRequest | Refusal
  /** What a `set` announces. */
  readonly put: (words: readonly string[], now: number) => PutRequest | Refusal
  /** The same name as the store knows it: what is wrong with it, if anything. */
  readonly checkName: (name: string) => Refusal | undefined
  /** Whether a connection may hold one open item of each queue, or one of all. `close` and `abort` have the same scope. */
  readonly scope: 'queue' | 'connection'
  /** A `get` that would need the open item to be closed first. */
  readonly busy: Refusal
  readonly peeksWhileOpen: boolean
  readonly returnOrder: ReturnOrder
  /** Whether `t=` waits. */
  readonly waits: boolean
  /** A waiter whose client is gone still takes the next item. */
  readonly ghosts: boolean
  /** What of a value is stored. */
  readonly stored: (data: Buffer) => Buffer
  /** A value that does not end with CRLF; `undefined`: nobody looks. */
  readonly badData: Refusal | undefined
}

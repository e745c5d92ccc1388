/// <reference types="node" preserve="true" />

/** A session is one connection's protocol: bytes in, replies out. Several protocols share one engine. */

import type { Item } from './item.ts'
import type { ItemStore } from './item-store.ts'
import type { PrefixCounters } from './prefix-counters.ts'
import type { QueueStore } from './queue-store.ts'
import type { ReplyQueue } from './reply-queue.ts'
import type { Settings } from './settings.ts'

/** What all sessions of a server share. */
export interface Engine {
  readonly settings: Settings
  readonly store: ItemStore
  readonly prefixes: PrefixCounters
  /** What a queue server has in the store's place. */
  readonly queues: QueueStore
  /** The open connections, for `stats conns`. */
  readonly peers: ReadonlySet<Peer>
  /** Ends the server, for `shutdown`. */
  shutdown(): void
  /** Ends all connections, as the end of its process would. */
  crash(): void
}

/** What a session may do with its connection, and what the others may know of it. */
export interface Peer {
  readonly id: number
  /** As `stats conns` shows it: `tcp:127.0.0.1:11211` or `unix:/path`. */
  readonly address: string
  readonly replies: ReplyQueue
  /** When the last command line came, on the store's clock. */
  lastCommandAt: number
  /** The client has ended the connection, or it broke: it was not this server that closed it. */
  readonly gone: boolean
  /** Closes the connection once everything flushed is out; what is not flushed is lost, what still comes is ignored. */
  close(): void
}

/** What a command of any protocol may do: the session of the connection that it came on. */
export interface CommandContext {
  readonly engine: Engine
  readonly peer: Peer
  /** The reply refers to this item until it is flushed. */
  hold(item: Item): void
  /** Drops the next `bytes` of the input; what was replied leaves only after them. */
  swallow(bytes: number): void
  /** Lets all replies leave, this command's included. */
  flush(): void
  /** Forgets all replies that were not flushed yet. */
  dropReplies(): void
  /** Takes no further commands; the connection stays open. */
  ignoreInput(): void
  /** Closes the connection, after what was flushed. */
  close(): void
}

/** One connection's protocol, made when the connection was. */
export interface Session {
  /** Takes what the connection received, in order; never throws, whatever it is. Afterwards flushed replies are sent. */
  receive(chunk: Buffer): void
  /** The connection is gone: gives back what the session holds of the store. */
  dispose(): void
}

/** Chooses and opens the session of a new connection: the one place where a dialect of the server differs. */
export type SessionFactory = (engine: Engine, peer: Peer) => Session

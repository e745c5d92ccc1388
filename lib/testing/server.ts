/// <reference types="node" preserve="true" />

import { once } from 'node:events'
import { createServer } from 'node:net'
import { Connection } from './connection.ts'
import { Faults } from './faults.ts'
import { ItemStore } from './item-store.ts'
import { PrefixCounters } from './prefix-counters.ts'
import { openSession } from './protocols.ts'
import { QueueJournal } from './queue-journal.ts'
import { QueueStore } from './queue-store.ts'
import { settingsFrom } from './settings.ts'
import type { Server, Socket } from 'node:net'
import type { Engine, SessionFactory } from './session.ts'
import type { ServerOptions, Settings } from './settings.ts'

/** A running server. What it stores lives as long as it does. */
export interface TestServer extends AsyncDisposable {
  /** The port it listens on; 0 on a unix socket. */
  readonly port: number
  readonly host: string
  /** The unix socket it listens on. */
  readonly path: string | undefined
  /** For `new Client(server.url)`: `memcached://127.0.0.1:11211`, or `unix:/path`. */
  readonly url: string
  /** Connections that are open now. */
  readonly connections: number
  /** Connections accepted since the start. */
  readonly connectionsAccepted: number
  /** Forgets all items, cas ids and statistics, as if just started. Connections and faults stay as they are. */
  clear(): void
  /**
   * Accepts and reads as ever, and runs what it reads, but answers nothing until `resume()`. A client that ends its
   * connection meanwhile is not owed anything any more.
   */
  stall(): void
  /** Ends `stall()`: all replies owed are sent, in order. */
  resume(): void
  /**
   * Closes all connections at once, without answering what was read. The client sees FIN, or RST with `reset`
   * (TCP only; a unix socket sends FIN). The server goes on: new connections are accepted.
   */
  dropConnections(options?: { readonly reset?: boolean }): void
  /**
   * Sends these bytes in place of the next reply, whichever connection it is for. The command itself is run. Repeated
   * calls replace that many replies; a command without a reply (`noreply`, a quiet one) uses none up. A string is sent as latin1.
   */
  garble(bytes: Buffer | string): void
  /** Holds every batch of replies back for this many milliseconds from now on, order kept; 0 ends that. */
  delay(milliseconds: number): void
  /**
   * After this many more reply bytes, counted over all connections, closes the connection they went to, in the middle
   * of a reply or not. Happens once; the server goes on.
   */
  closeAfterBytes(count: number): void
  /** Stops listening, closes all connections, and resolves once all are closed; later connects are refused. */
  close(): Promise<void>
}

/**
 * Starts a server in this process. It rejects with the system's error (`EADDRINUSE`, `EACCES`, …) if it cannot
 * listen. The process does not end while it is open.
 */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const server = new EmbeddedServer(settingsFrom(options), openSession)
  try {
    await server.listen()
  } catch (error) {
    await server.close()
    throw error
  }
  return server
}

/** `stats conns` numbers connections as memcached does: by file descriptor, of which the first are taken. */
const FIRST_CONNECTION_ID = 23

class EmbeddedServer implements TestServer {
  connectionsAccepted = 0
  #settings: Settings
  #listener: Server
  #faults = new Faults()
  #connections = new Set<Connection>()
  #engine: Engine
  #openSession: SessionFactory
  #nextId = FIRST_CONNECTION_ID
  #closing: Promise<void> | undefined

  constructor(settings: Settings, openSession: SessionFactory) {
    this.#settings = settings
    this.#openSession = openSession
    this.#engine = {
      settings,
      store: new ItemStore(settings),
      prefixes: new PrefixCounters(),
      queues: new QueueStore(settings.now),
      peers: this.#connections,
      shutdown: () => { void this.close() },
      crash: () => { this.dropConnections() }
    }
    // Half-open, so that a client that has sent FIN still gets its replies.
    this.#listener = createServer({ allowHalfOpen: true }, (socket) => { this.#accept(socket) })
  }

  get port(): number {
    return this.#settings.port
  }

  get host(): string {
    return this.#settings.host
  }

  get path(): string | undefined {
    return this.#settings.path
  }

  get url(): string {
    if (this.path !== undefined) return `unix:${this.path}`
    return `memcached://${this.host.includes(':') ? `[${this.host}]` : this.host}:${this.port}`
  }

  get connections(): number {
    return this.#connections.size
  }

  async listen(): Promise<void> {
    const { host, port, path, journal } = this.#settings
    this.#listener.listen(path === undefined ? { host, port } : { path })
    await once(this.#listener, 'listening')
    // Not before: as long as another server listens, the journal is that one's.
    if (journal !== undefined) this.#engine.queues.keepIn(new QueueJournal(journal))
    const address = this.#listener.address()
    if (typeof address === 'object' && address !== null) this.#settings.port = address.port
    // Failing to accept one connection, for want of file descriptors, must not end the process.
    this.#listener.on('error', () => {})
  }

  clear(): void {
    this.#engine.store.clear()
    this.#engine.prefixes.reset()
    this.#engine.queues.clear()
  }

  stall(): void {
    this.#faults.stall()
  }

  resume(): void {
    this.#faults.resume()
  }

  dropConnections({ reset = false }: { readonly reset?: boolean } = {}): void {
    for (const connection of this.#connections) connection.destroy(reset)
  }

  garble(bytes: Buffer | string): void {
    this.#faults.garble(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes))
  }

  delay(milliseconds: number): void {
    this.#faults.delayBy(milliseconds)
  }

  closeAfterBytes(count: number): void {
    this.#faults.closeAfter(count)
  }

  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #end(): Promise<void> {
    const stopped = new Promise<void>((resolve) => { this.#listener.close(() => { resolve() }) })
    const closed = [...this.#connections].map((connection) => connection.closed)
    this.#engine.queues.close()
    this.dropConnections()
    await Promise.all([stopped, ...closed])
    this.#engine.queues.closeJournal()
  }

  #accept(socket: Socket): void {
    this.connectionsAccepted++
    if (this.#connections.size >= this.#settings.maxConnections) {
      this.#engine.store.counters.rejected_connections++
      socket.on('error', () => {})
      socket.write('ERROR Too many open connections\r\n')
      socket.destroySoon()
      return
    }
    this.#engine.store.counters.total_connections++
    const connection = new Connection(this.#nextId++, socket, this.#engine, this.#faults, this.#openSession)
    this.#connections.add(connection)
    void connection.closed.then(() => this.#connections.delete(connection))
  }
}

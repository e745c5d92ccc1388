/// <reference types="node" preserve="true" />

import { ReplyQueue } from './reply-queue.ts'
import type { Socket } from 'node:net'
import type { Faults, ReplyGate } from './faults.ts'
import type { Engine, Peer, SessionFactory } from './session.ts'

/** One accepted socket: its input goes to a session, its session's replies go out through the fault switches. */
export class Connection implements Peer {
  readonly id: number
  readonly address: string
  readonly replies: ReplyQueue
  /** Resolves once the socket is closed. */
  readonly closed: Promise<void>
  lastCommandAt: number
  gone = false
  #socket: Socket
  #gate: ReplyGate

  constructor(id: number, socket: Socket, engine: Engine, faults: Faults, openSession: SessionFactory) {
    const { store, settings } = engine
    this.id = id
    this.#socket = socket
    this.address = settings.path === undefined ? `tcp:${socket.remoteAddress}:${socket.remotePort}` : `unix:${settings.path}`
    this.lastCommandAt = store.lifetimes.clock
    this.#gate = faults.gate({
      write: (batch) => { this.#write(batch, engine) },
      end: () => { socket.destroySoon() }
    })
    this.replies = new ReplyQueue(() => faults.takeGarble(), (batch) => { this.#gate.send(batch) })
    const session = openSession(engine, this)
    socket.setNoDelay(true)
    if (settings.idleTimeout > 0) socket.setTimeout(settings.idleTimeout * 1000, () => { socket.destroySoon() })
    socket.on('data', (chunk: Buffer) => {
      store.counters.bytes_read += chunk.length
      session.receive(chunk)
      this.replies.send()
    })
    // The client is done sending. What it is owed still goes out, unless nobody can say when that will be.
    socket.on('end', () => {
      this.gone = true
      if (faults.stalled) this.destroy(false)
      else this.close()
    })
    socket.on('drain', () => { socket.resume() })
    // A connection that breaks needs no report: 'close' follows.
    socket.on('error', () => { this.gone = true })
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        faults.forget(this.#gate)
        session.dispose()
        resolve()
      })
    })
  }

  close(): void {
    this.replies.send()
    this.#gate.end()
  }

  /** Closes now; what was not sent is lost. `reset` sends RST instead of FIN, where the socket is a TCP one. */
  destroy(reset: boolean): void {
    if (reset && this.#socket.remoteAddress !== undefined) this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }

  #write(batch: readonly Buffer[], engine: Engine): void {
    const socket = this.#socket
    if (!socket.writable) return
    socket.cork()
    let room = true
    for (const bytes of batch) {
      room = socket.write(bytes)
      engine.store.counters.bytes_written += bytes.length
    }
    socket.uncork()
    // As memcached does, nothing more is read from a client that does not take its replies.
    if (!room) socket.pause()
  }
}

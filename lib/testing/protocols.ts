/// <reference types="node" preserve="true" />

import { REQUEST_MAGIC } from './binary-packet.ts'
import { BinarySession } from './binary-session.ts'
import { queueDialects } from './queue-dialects.ts'
import { QueueSession } from './queue-session.ts'
import { TextSession } from './text-session.ts'
import type { Engine, Peer, Session, SessionFactory } from './session.ts'

/** The sessions of the server that is played. */
export const openSession: SessionFactory = (engine, peer) => {
  const { dialect } = engine.settings
  if (dialect !== 'memcached') return new QueueSession(engine, peer, queueDialects[dialect])
  switch (engine.settings.protocol) {
    case 'ascii':
      return new TextSession(engine, peer)
    case 'binary':
      return new BinarySession(engine, peer)
    case 'auto':
      return new NegotiatedSession(engine, peer)
  }
}

/** Speaks the protocol of the connection's first byte: binary, or else text and meta. */
class NegotiatedSession implements Session {
  #engine: Engine
  #peer: Peer
  #session: Session | undefined

  constructor(engine: Engine, peer: Peer) {
    this.#engine = engine
    this.#peer = peer
  }

  receive(chunk: Buffer): void {
    this.#session ??= chunk[0] === REQUEST_MAGIC ? new BinarySession(this.#engine, this.#peer) : new TextSession(this.#engine, this.#peer)
    this.#session.receive(chunk)
  }

  dispose(): void {
    this.#session?.dispose()
  }
}

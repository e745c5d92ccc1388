import { BinaryOnlySession } from './binary-only-session.ts'
import { TextSession } from './text-session.ts'
import type { Engine, Peer, Session } from './session.ts'

/** Opens a connection's session. Another dialect of the server is another function of this type. */
export function openSession(engine: Engine, peer: Peer): Session {
  return engine.settings.protocol === 'binary' ? new BinaryOnlySession(peer) : new TextSession(engine, peer)
}

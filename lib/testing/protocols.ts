import { BinaryOnlySession } from './binary-only-session.ts'
import { TextSession } from './text-session.ts'
import type { SessionFactory } from './session.ts'

/** memcached's sessions. Without a binary protocol to choose, the text session takes whatever a connection begins with. */
export const openSession: SessionFactory = (engine, peer) =>
  engine.settings.protocol === 'binary' ? new BinaryOnlySession(peer) : new TextSession(engine, peer)

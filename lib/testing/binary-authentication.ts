/** SASL over the binary protocol: the key is a mechanism's name, the value the client's message. */

import { AUTH_CONTINUE, STATUS } from './binary-status.ts'
import type { BinaryCommand, BinaryContext } from './binary-command.ts'
import type { BinaryRequest } from './binary-packet.ts'
import type { Sasl, SaslOutcome } from './sasl.ts'

const MAX_MECHANISM_LENGTH = 32

/** Lists the mechanisms. */
export const saslList: BinaryCommand = { key: 'none', open: true, run: runList }
/** Begins with a mechanism. */
export const saslStart = message((sasl, mechanism, text) => sasl.start(mechanism, text))
/** Goes on; the mechanism's name does not matter any more. */
export const saslStep = message((sasl, _, text) => sasl.step(text))

function runList(session: BinaryContext, request: BinaryRequest): void {
  if (session.sasl === undefined) session.fail(request, STATUS.unknownCommand)
  else session.reply(request, { value: session.sasl.list() })
}

function message(take: (sasl: Sasl, mechanism: string, text: string) => SaslOutcome): BinaryCommand {
  return {
    key: 'needed',
    value: true,
    open: true,
    run(session, request) {
      const { sasl } = session
      const { store } = session.engine
      const { key, valueLength } = request
      if (sasl === undefined) {
        session.fail(request, STATUS.unknownCommand, valueLength || undefined)
        return
      }
      if (key.length > MAX_MECHANISM_LENGTH) {
        session.fail(request, STATUS.invalid, valueLength)
        return
      }
      // memcached receives the message as an item, which is never stored, and has to be of one piece.
      const item = store.allocate(key, 0, 0, valueLength)
      if (typeof item === 'string' || store.slabs.isChunked(item.size)) {
        if (typeof item !== 'string') store.release(item)
        session.fail(request, STATUS.outOfMemory, valueLength)
        return
      }
      session.upload(item, () => {
        store.release(item)
        answer(session, request, take(sasl, key, item.data.toString('latin1', 0, valueLength)))
      })
    }
  }
}

function answer(session: BinaryContext, request: BinaryRequest, outcome: SaslOutcome): void {
  const { counters } = session.engine.store
  if (typeof outcome !== 'string') {
    session.reply(request, { status: AUTH_CONTINUE, value: outcome.challenge })
    session.flush()
    return
  }
  counters.auth_cmds++
  if (outcome === 'authenticated') {
    session.reply(request, { value: 'Authenticated' })
  } else {
    counters.auth_errors++
    session.fail(request, STATUS.authFailure)
  }
}

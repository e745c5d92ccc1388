/** kestrel's status: what an operator takes away from clients before the server goes. */

import type { QueueCommand, QueueContext, Refusal } from './queue-dialect.ts'

const STATUSES = ['UP', 'READONLY', 'QUIESCENT', 'WRITEAVOID']

/** Why nothing is read or written now. */
export const UNAVAILABLE: Refusal = { refused: true, line: 'SERVER_ERROR' }

/** Whether items may be taken. What is open may be closed in any case. */
export function mayRead({ store }: QueueContext): boolean {
  return store.status !== 'QUIESCENT'
}

/** Whether queues may be changed from outside. */
export function mayWrite({ store }: QueueContext): boolean {
  return store.status !== 'QUIESCENT' && store.status !== 'READONLY'
}

/** A command that changes queues. */
export function writing(command: QueueCommand): QueueCommand {
  return (session, words) => {
    if (mayWrite(session)) command(session, words)
    else session.refuse(UNAVAILABLE.line)
  }
}

/** `status [<name>]` */
export const runStatus: QueueCommand = (session, [, name]) => {
  const status = name?.toUpperCase() ?? ''
  if (name === undefined) {
    session.reply(session.store.status)
  } else if (STATUSES.includes(status)) {
    session.store.status = status
    session.reply('END')
  } else {
    session.refuse('CLIENT_ERROR')
  }
}

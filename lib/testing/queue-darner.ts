/// <reference types="node" preserve="true" />

/** darner 0.2.0: a grammar for whole lines, one open item for each connection, items that come back by their age. */

import { putting, reading, runVersion } from './queue-commands.ts'
import { darnerStatistics, statistics } from './queue-statistics.ts'
import type { ReadRequest, Refusal } from './queue-commands.ts'
import type { QueueCommand, QueueDialect } from './queue-dialect.ts'

const NAME = '[!-.0-~]+'
const LINE = new RegExp(`^(?:${[
  'stats', 'version', 'flush_all',
  `(?:delete|flush) ${NAME}`,
  `set ${NAME}(?:/sync)? [0-9]+ [0-9]+ [0-9]+`,
  `gets? ${NAME}(?:/(?:open|close|abort|peek|t=[0-9]+))* ?`
].join('|')})$`)

const get = reading({ parse: parseRead, scope: 'connection', busy: 'CLIENT_ERROR close current item first', peeksWhileOpen: false })

const set = putting({
  parse: ([, key = '', , , length]) => ({ name: key.replace(/\/sync$/, ''), flags: 0, expiresAt: Infinity, length: Number(length) }),
  badData: 'CLIENT_ERROR bad data chunk',
  store({ store }, { name, length }, data) {
    // It looks whether the last byte is NUL, and in an empty value at the one before the first: there it is.
    store.queue(name).push(length === 0 ? Buffer.alloc(1) : data)
    return 'STORED'
  }
})

const runDelete: QueueCommand = (session, [, name = '']) => {
  session.store.delete(name)
  session.reply('DELETED')
}

const runFlush: QueueCommand = (session, [, name = '']) => {
  session.store.replace(name)
  session.reply('END')
}

/** It goes through its queues while it puts others in their places. That ends the process, unless there are none. */
const runFlushAll: QueueCommand = (session) => {
  const queues = [...session.store.all]
  for (const { name } of queues) session.store.replace(name)
  if (queues.length > 0) session.crash()
  else session.reply('Flushed all queues.')
}

/** darner, for the table of dialects. */
export const darner: QueueDialect = {
  words: (line) => (LINE.test(line) ? line.split(' ') : []),
  commands: new Map([
    ['get', get],
    ['gets', get],
    ['set', set],
    ['delete', runDelete],
    ['flush', runFlush],
    ['flush_all', runFlushAll],
    ['stats', statistics(darnerStatistics)],
    ['version', runVersion]
  ]),
  unknown: (session) => { session.refuse('ERROR ') },
  giveBack(_store, { queue, item }) {
    queue.putBack(item, 'id')
    return true
  },
  hasGhosts: true
}

function parseRead(key: string): ReadRequest | Refusal {
  const [name = '', ...options] = key.split('/')
  const [open, close, abort, peek] = ['open', 'close', 'abort', 'peek'].map((option) => options.includes(option)) as [boolean, boolean, boolean, boolean]
  const wait = Number(options.findLast((option) => option.startsWith('t='))?.slice(2) ?? 0)
  if (abort && (open || close || peek)) return { refused: true, line: 'CLIENT_ERROR abort must be by itself' }
  if (peek && open) return { refused: true, line: 'CLIENT_ERROR cannot open and peek' }
  return { name, open, close, abort, peek, wait }
}

/// <reference types="node" preserve="true" />

/** kestrel 2.4.8: open items of several queues, fanout queues, expiry, `monitor`, `status`. */

import { putting, reading, runQuit, runVersion } from './queue-commands.ts'
import { kestrelStatistics, statistics } from './queue-statistics.ts'
import type { PutRequest, ReadRequest, Refusal } from './queue-commands.ts'
import type { QueueCommand, QueueDialect } from './queue-dialect.ts'

const SILENT: Refusal = { refused: true }
const MALFORMED: Refusal = { refused: true, line: 'CLIENT_ERROR' }
/** Expiry below this is in seconds from now, from it on in seconds since the epoch. */
const RELATIVE_BELOW = 1_000_000

const get = reading({ parse: parseRead, scope: 'queue', busy: 'ERROR', peeksWhileOpen: true })

const set = putting({
  parse: parsePut,
  store({ store, engine: { settings } }, { name, expiresAt }, data) {
    const queue = store.queue(name)
    if (queue.length >= settings.maxItems) return 'NOT_STORED'
    queue.push(data, 0, expiresAt)
    return 'STORED'
  }
})

const runDelete: QueueCommand = (session, [, name = '']) => {
  session.store.delete(name)
  session.reply('DELETED')
}

const runFlush: QueueCommand = (session, [, name = '']) => {
  session.store.queue(name).empty()
  session.reply('END')
}

const runFlushAll: QueueCommand = (session) => {
  for (const queue of session.store.all) queue.empty()
  session.reply('Flushed all queues.')
}

/** kestrel, for the table of dialects. */
export const kestrel: QueueDialect = {
  words: javaSplit,
  commands: new Map([
    ['get', get],
    ['gets', get],
    ['set', set],
    ['delete', runDelete],
    ['flush', runFlush],
    ['flush_all', runFlushAll],
    ['stats', statistics(kestrelStatistics)],
    ['version', runVersion],
    ['quit', runQuit]
  ]),
  unknown: (session) => { session.refuse('CLIENT_ERROR') },
  giveBack(_store, { queue, item }) {
    queue.counters.canceled_transactions++
    queue.putBack(item, 'head')
    return true
  },
  hasGhosts: false
}
function javaSplit(line: string): string[] {
  const words = line.split(' ')
  words[0] = words[0]!.toLowerCase()
  return words
}
function parsePut([, name = '', , expiry, length]: readonly string[], now: number): PutRequest | Refusal {
  const seconds = Number(expiry)
  const expiresAt = seconds === 0 ? Infinity : seconds < RELATIVE_BELOW ? now + 1000 * seconds : 1000 * seconds
  if (Number(length) < 0 || /[./~]/.test(name)) return SILENT
  return { name, flags: 0, expiresAt, length: Number(length) }
}
function parseRead(key: string): ReadRequest | Refusal {
  const [name = '', ...options] = key.split('/')
  const [open, close, abort, peek] = ['open', 'close', 'abort', 'peek'].map((option) => options.includes(option)) as [boolean, boolean, boolean, boolean]
  const wait = Number(options.findLast((option) => option.startsWith('t='))?.slice(2) ?? 0)
  if (name === '' || (peek || abort) && (open || close) || peek && abort) return MALFORMED
  if (Number.isNaN(wait)) return SILENT
  return { name, open, close, abort, peek, wait }
}

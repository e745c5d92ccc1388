/// <reference types="node" preserve="true" />

/** darner 0.2.0: one grammar for whole lines; what comes back comes by its age; a crash where it forgets its own memory. */

import { putting, reading, refusing, runVersion } from './queue-commands.ts'
import { readOptions } from './queue-read-options.ts'
import { clock, connections, labelled, statistics } from './queue-statistics.ts'
import type { PutRequest, ReadRequest } from './queue-commands.ts'
import type { QueueCommand, QueueContext, QueueDialect, Refusal } from './queue-dialect.ts'

const NAME = '[!-.0-~]+'
const LINE = new RegExp(`^(?:${[
  'stats', 'version', 'flush_all',
  `(?:delete|flush) ${NAME}`,
  `set ${NAME}(?:/sync)? [0-9]+ [0-9]+ [0-9]+`,
  `gets? ${NAME}(?:/(?:open|close|abort|peek|t=[0-9]+))* ?`
].join('|')})$`)
const LARGEST_NUMBER = 2 ** 32 - 1
const MALFORMED: Refusal = { refused: true, line: 'ERROR ' }

const get = reading({
  parse: parseRead,
  source: ({ store }, name) => store.queue(name),
  scope: 'connection',
  busy: 'CLIENT_ERROR close current item first'
})

const set = putting({
  parse: parsePut,
  store(session, { name, length }, data) {
    // It looks whether the last byte is a NUL, in an empty value at the one before the first, and finds it to be.
    session.store.queue(name).push(length === 0 ? Buffer.alloc(1) : data)
    session.store.counters.puts++
    session.reply('STORED')
  },
  badData: (session) => { session.refuse('CLIENT_ERROR bad data chunk') }
})

const runDelete: QueueCommand = (session, [, name = '']) => {
  session.store.delete(name)
  session.reply('DELETED')
}

const runStats = statistics({
  general: (session) => {
    const { puts, hits, gets, peeks, finishes, sets } = session.store.counters
    return [
      ...clock(session),
      ['curr_items', puts - hits],
      ['total_items', puts],
      ...connections(session),
      ['cmd_get', gets + peeks + finishes],
      ['cmd_set', sets]
    ]
  },
  ofQueue: ({ name, length, waiters, openReads }) => labelled(name, [
    ['items', length], ['waiters', waiters.size], ['open_transactions', openReads]
  ]),
  sorted: true
})

const runFlush: QueueCommand = (session, [, name = '']) => {
  session.store.replace(name)
  session.reply('END')
}

/** Walks through its queues while it puts others in their places, and falls at the first one. */
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
    ['stats', runStats],
    ['version', runVersion]
  ]),
  unknown: refusing('ERROR '),
  giveBack(_store, { source, item }) {
    source.putBack(item, true)
    return undefined
  },
  hasGhosts: true,
  endsWaits: false
}

function parseRead(key: string): ReadRequest | Refusal {
  const request = readOptions(key)
  const { open, close, abort, peek, wait } = request
  if (wait > LARGEST_NUMBER) return MALFORMED
  if (abort && (open || close || peek)) return { refused: true, line: 'CLIENT_ERROR abort must be by itself' }
  if (peek && open) return { refused: true, line: 'CLIENT_ERROR cannot open and peek' }
  return request
}

function parsePut([, key = '', ...numbers]: readonly string[], { store }: QueueContext): PutRequest | Refusal {
  if (numbers.some((number) => Number(number) > LARGEST_NUMBER)) return MALFORMED
  const name = key.replace(/\/sync$/, '')
  store.counters.sets++
  store.queue(name)
  return { name, length: Number(numbers[2]) }
}

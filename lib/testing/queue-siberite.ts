/// <reference types="node" preserve="true" />

/** siberite 0.6.4: it never waits; cursors go through a queue without taking from it; some mistakes end its process. */

import { putting, reading, refusing, runVersion } from './queue-commands.ts'
import { QueueCursor } from './queue-cursor.ts'
import { readOptions } from './queue-read-options.ts'
import { clock, connections, labelled, statistics } from './queue-statistics.ts'
import type { PutRequest, ReadRequest } from './queue-commands.ts'
import type { QueueCommand, QueueContext, QueueDialect, Refusal } from './queue-dialect.ts'
import type { Statistic } from './queue-statistics.ts'
import type { QueueStore } from './queue-store.ts'
import type { Queue } from './queue.ts'

const LONGEST_NAME = 100
const INVALID: Refusal = { refused: true, line: 'CLIENT_ERROR Invalid command' }
/** The options that there are, in the only order that they have. */
const READS = new Set(['', 'open', 'close', 'close/open', 'abort', 'peek'])

const get = reading({
  parse: parseRead,
  source: ({ store }, name) => sourceOf(store, name),
  scope: 'connection',
  busy: 'CLIENT_ERROR Close current item first',
  peeksWhileOpen: true,
  countsByName: true,
  hidesEmpty: true
})

const set = putting({ parse: parsePut, store, badData })

/** `delete <queue>[.<cursor>]` */
const runDelete: QueueCommand = (session, [, key = '']) => {
  const [name = '', label = ''] = key.split('.')
  const queue = session.store.find(name)
  if (label === '') session.store.delete(name)
  else if (queue !== undefined) cursorsOf(queue).delete(label)
  session.reply('END')
}

/** `flush <queue>[.<cursor>]` */
const runFlush: QueueCommand = (session, [, key = '']) => {
  const source = sourceOf(session.store, key)
  if ('refused' in source) {
    session.refuse(source.line)
    return
  }
  if (source instanceof QueueCursor) source.reset()
  else session.store.replace(source.name)
  session.reply('END')
}

const runFlushAll: QueueCommand = (session) => {
  for (const { name } of [...session.store.all]) session.store.replace(name)
  session.reply('Flushed all queues.')
}

const runStats = statistics({
  general: (session) => [
    ...clock(session),
    ...connections(session),
    ['cmd_get', session.store.counters.gets + session.store.counters.peeks],
    ['cmd_set', session.store.counters.sets]
  ],
  ofQueue: (queue) => [
    ...ofSource(queue.name, queue),
    ...[...cursorsOf(queue)].flatMap(([label, cursor]) => ofSource(`${queue.name}.${label}`, cursor))
  ]
})

/** siberite, for the table of dialects. */
export const siberite: QueueDialect = {
  words(line) {
    const [command = '', ...others] = line.replace(/^[\r\n ]+|[\r\n ]+$/g, '').split(' ')
    return [command.toLowerCase(), ...others]
  },
  commands: new Map([
    ['get', withArgument(get)],
    ['gets', withArgument(get)],
    ['set', set],
    ['delete', withArgument(runDelete)],
    ['flush', withArgument(runFlush)],
    ['flush_all', runFlushAll],
    ['stats', runStats],
    ['version', runVersion],
    ['quit', refusing()]
  ]),
  unknown: refusing('ERROR Unknown command'),
  giveBack(store, { source, item }) {
    const queue = store.queue(source.name)
    const target = source instanceof QueueCursor ? cursor(queue, source.label) : queue
    // A queue that was emptied meanwhile begins at 0, and has no place in front of that.
    if (target === queue && queue.head === 0) return { refused: true, line: 'ERROR queue: head can not be less then zero' }
    target.putBack(item)
    return undefined
  },
  hasGhosts: false,
  endsWaits: false
}

/** Nobody looks whether there is an argument; where there is none, the process ends. */
function withArgument(command: QueueCommand): QueueCommand {
  return (session, words) => {
    if (words.length > 1) command(session, words)
    else session.crash()
  }
}

function parseRead(key: string): ReadRequest | Refusal {
  const [name = '', ...options] = key.replace(/t=[0-9]+\/?/g, '').split('/')
  const read = options.join('/').replace(/^\/+|\/+$/g, '')
  return READS.has(read) ? readOptions(`${name}/${read}`) : INVALID
}

/** `set <queue>[+<queue>…] <any> <any> <length> [<any>]` */
function parsePut(words: readonly string[]): PutRequest | Refusal {
  if (words.length < 5 || words.length > 6) return INVALID
  const [, name = '', , , length = ''] = words
  return /^[+-]?[0-9]+$/.test(length) ? { name, length: Number(length) } : { refused: true, line: 'CLIENT_ERROR Invalid <bytes> number' }
}

/** A length below zero is found here, where it ends the process. */
function badData(session: QueueContext, { length }: PutRequest): void {
  if (length < 0) session.crash()
  else session.refuse('CLIENT_ERROR bad data chunk')
}

function store(session: QueueContext, { name }: PutRequest, data: Buffer): void {
  for (const each of name.split('+')) {
    const queue = queueOf(session.store, each)
    if ('refused' in queue) {
      session.refuse(queue.line)
      return
    }
    queue.push(data)
  }
  session.store.counters.sets++
  session.reply('STORED')
}

function sourceOf(store: QueueStore, key: string): Queue | QueueCursor | Refusal {
  const [name = '', label = ''] = key.split('.')
  const queue = queueOf(store, name)
  if (label === '' || 'refused' in queue) return queue
  return /^[a-zA-Z0-9_]+$/.test(label) ? cursor(queue, label) : { refused: true, line: 'ERROR cgroup: name is not alphanumeric' }
}

function queueOf(store: QueueStore, name: string): Queue | Refusal {
  if (!/^[a-zA-Z0-9_:-]+$/.test(name)) return { refused: true, line: 'ERROR queue: name is not alphanumeric' }
  if (name.length > LONGEST_NAME) return { refused: true, line: 'ERROR queue: name is too long' }
  return store.queue(name)
}

const cursors = new WeakMap<Queue, Map<string, QueueCursor>>()

/** A queue's cursors, by their names. They go with it. */
function cursorsOf(queue: Queue): Map<string, QueueCursor> {
  const known = cursors.get(queue) ?? new Map<string, QueueCursor>()
  cursors.set(queue, known)
  return known
}

function cursor(queue: Queue, label: string): QueueCursor {
  const known = cursorsOf(queue)
  const found = known.get(label) ?? new QueueCursor(queue, label)
  known.set(label, found)
  return found
}

function ofSource(label: string, { length, openReads }: Queue | QueueCursor): Statistic[] {
  return labelled(label, [['items', length], ['open_transactions', openReads]])
}

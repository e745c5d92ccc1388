/// <reference types="node" preserve="true" />

/** kestrel 2.4.8: open items of several queues, fanout queues, expiry, `monitor`. A line that Java trips over has no answer. */

import { confirm, hold, putting, reading, refusing, runVersion, saying } from './queue-commands.ts'
import { fanoutsOf, runDumpStats, runStats } from './queue-kestrel-statistics.ts'
import { mayRead, mayWrite, runStatus, UNAVAILABLE, writing } from './queue-kestrel-status.ts'
import { readOptions } from './queue-read-options.ts'
import type { PutRequest, ReadRequest } from './queue-commands.ts'
import type { QueueCommand, QueueContext, QueueDialect, Refusal } from './queue-dialect.ts'
import type { Queue } from './queue.ts'

const SILENT: Refusal = { refused: true }
const MALFORMED: Refusal = { refused: true, line: 'CLIENT_ERROR' }
/** An expiry below this is in seconds from now, from it on in seconds since the epoch. */
const RELATIVE_BELOW = 1_000_000
const LARGEST_INT = 2 ** 31 - 1

const get = reading({
  parse: parseRead,
  source: (session, name) => (mayRead(session) ? queueOf(session, name) : UNAVAILABLE),
  scope: 'queue',
  busy: 'ERROR',
  peeksWhileOpen: true
})

const set = putting({ parse: parsePut, store })

/** The other storage commands of memcached: read to their end, and not known. */
const refusedStorage = putting({ parse: parsePut, store: (session) => { session.refuse(MALFORMED.line) } })

/** `monitor <queue> <seconds> [<most>]`: items as they come, each of them open, then END. */
const runMonitor: QueueCommand = (session, [, name = '', seconds, limit]) => {
  const time = int(seconds)
  const most = limit === undefined ? Infinity : int(limit)
  const source = mayRead(session) ? queueOf(session, name) : UNAVAILABLE
  if (time === undefined || most === undefined || 'refused' in source) {
    session.refuse('refused' in source ? source.line : undefined)
    return
  }
  const giveUp = (): void => { session.reply('END') }
  let left = Math.min(most, session.engine.settings.maxOpenTransactions - opened(session, name).length)
  const attempt = (): boolean => {
    for (; left > 0; left--) {
      const item = source.take(true)
      if (item === undefined) return false
      session.replyItem(name, item)
      session.reply('END')
      hold(session, source, item)
    }
    giveUp()
    return true
  }
  if (time <= 0) giveUp()
  else if (!attempt()) session.wait(source, time * 1000, attempt, giveUp)
}

/** `confirm <queue> <count>`: closes as many, the oldest first, or none. */
const runConfirm: QueueCommand = (session, [, name = '', count]) => {
  const wanted = int(count)
  const open = opened(session, name)
  if (wanted === undefined) {
    session.refuse()
  } else if (wanted < 1 || wanted > open.length) {
    session.reply('ERROR')
  } else {
    for (const read of open.slice(0, wanted)) confirm(session, read)
    session.reply('END')
  }
}

const runDelete: QueueCommand = (session, [, name = '']) => {
  session.store.find(name)?.close()
  session.store.delete(name)
  session.reply('DELETED')
}

/** What a command does with the queue of its argument. */
function withQueue(run: (queue: Queue) => string): QueueCommand {
  return (session, [, name = '']) => {
    const queue = queueOf(session, name)
    if ('refused' in queue) session.refuse(queue.line)
    else session.reply(run(queue))
  }
}

const runFlush = withQueue((queue) => {
  queue.flush()
  return 'END'
})

const runFlushAll: QueueCommand = (session) => {
  for (const queue of session.store.all) queue.flush()
  session.reply('Flushed all queues.')
}

const runFlushAllExpired: QueueCommand = (session) => {
  const counts = [...session.store.all].map((queue) => queue.discardExpired())
  session.reply(String(counts.reduce((sum, count) => sum + count, 0)))
}

const runShutdown: QueueCommand = (session) => {
  session.refuse()
  session.engine.shutdown()
}

/** kestrel, for the table of dialects. */
export const kestrel: QueueDialect = {
  words(line) {
    const words = javaSplit(line, ' ')
    if (words[0] !== undefined) words[0] = words[0].toLowerCase()
    return words
  },
  commands: new Map([
    ['get', withArguments(1, get)],
    ['gets', withArguments(1, get)],
    ['monitor', withArguments(2, runMonitor)],
    ['confirm', withArguments(2, runConfirm)],
    ['set', set],
    ...['add', 'replace', 'append', 'prepend', 'cas'].map((name) => [name, refusedStorage] as const),
    ['delete', withArguments(1, writing(runDelete))],
    ['flush', withArguments(1, writing(runFlush))],
    ['flush_all', writing(runFlushAll)],
    ['flush_expired', withArguments(1, writing(withQueue((queue) => String(queue.discardExpired()))))],
    ['flush_all_expired', writing(runFlushAllExpired)],
    ['stats', runStats],
    ['dump_stats', runDumpStats],
    ['status', runStatus],
    ['reload', saying('Reloaded config.')],
    ['shutdown', runShutdown],
    ['version', runVersion],
    ['quit', refusing()]
  ]),
  unknown: (session, words) => { session.refuse(words.length === 0 ? undefined : MALFORMED.line) },
  giveBack(_store, { source, item }) {
    source.putBack(item)
    return undefined
  },
  hasGhosts: false,
  endsWaits: true
}

/** Fewer of them are an error that does not end the connection. */
function withArguments(least: number, command: QueueCommand): QueueCommand {
  return (session, words) => {
    if (words.length > least) command(session, words)
    else session.reply('CLIENT_ERROR')
  }
}

function parseRead(key: string): ReadRequest | Refusal {
  const parts = javaSplit(key, '/')
  const request = readOptions(parts.join('/'))
  const { name, open, close, abort, peek } = request
  if (parts.length === 0 || parts.slice(1).some((part) => part.startsWith('t=') && int(part.slice(2)) === undefined)) return SILENT
  return name === '' || (peek || abort) && (open || close) || peek && abort ? MALFORMED : request
}

function parsePut(words: readonly string[], { engine }: QueueContext): PutRequest | Refusal {
  const [, name = '', flags, expiry, announced] = words
  const seconds = int(expiry)
  const length = int(announced)
  if (seconds === undefined || length === undefined || length < 0) return SILENT
  const relative = seconds < RELATIVE_BELOW ? engine.settings.now() : 0
  return { name, flags: int(flags) ?? NaN, expiresAt: seconds === 0 ? Infinity : relative + 1000 * seconds, length }
}

function store(session: QueueContext, { name, flags, expiresAt }: PutRequest, data: Buffer): void {
  const queue = mayWrite(session) ? queueOf(session, name) : UNAVAILABLE
  if ('refused' in queue) {
    session.refuse(queue.line)
  } else if (Number.isNaN(flags)) {
    session.reply('CLIENT_ERROR')
  } else {
    session.store.counters.sets++
    for (const fanout of fanoutsOf(session, name)) put(session, fanout, data, expiresAt)
    session.reply(put(session, queue, data, expiresAt) ? 'STORED' : 'NOT_STORED')
  }
}

function put({ store: { counters }, engine: { settings } }: QueueContext, queue: Queue, data: Buffer, expiresAt?: number): boolean {
  if (data.length > settings.maxItemSize || queue.length >= settings.maxItems) return false
  queue.push(data, 0, expiresAt)
  counters.puts++
  return true
}

/** A queue whose name would be none for its file is not made, and there is no answer. */
function queueOf({ store: queues }: QueueContext, name: string): Queue | Refusal {
  return /[./~]/.test(name) ? SILENT : queues.queue(name)
}

function opened({ openReads }: QueueContext, name: string): QueueContext['openReads'] {
  return openReads.filter(({ source }) => source.name === name)
}

/** As Java splits: what is empty at the end does not count, and a text of nothing but separators has no parts at all. */
function javaSplit(text: string, separator: string): string[] {
  const parts = text.split(separator)
  while (parts.length > 0 && text !== '' && parts.at(-1) === '') parts.pop()
  return parts
}

/** As Java reads an Int. */
function int(text = ''): number | undefined {
  const value = Number(text)
  return /^[+-]?[0-9]+$/.test(text) && value <= LARGEST_INT && value >= -LARGEST_INT - 1 ? value : undefined
}

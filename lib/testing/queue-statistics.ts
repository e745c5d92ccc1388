/** What `stats` shows on each queue server, in its order. */

import type { QueueCommand, QueueContext } from './queue-dialect.ts'
import type { Queue } from './queue-store.ts'

/** A name and its value. */
export type Statistic = readonly [name: string, value: string | number]

/** What a server shows of itself, and of each queue. */
export interface StatisticsRules {
  general(session: QueueContext): Statistic[]
  ofQueue(queue: Queue, session: QueueContext): Statistic[]
  readonly sorted?: boolean
}

/** `stats`: what is general, then `queue_<name>_<statistic>` */
export function statistics({ general, ofQueue, sorted = false }: StatisticsRules): QueueCommand {
  return (session) => {
    const queues = [...session.store.all]
    if (sorted) queues.sort((one, other) => (one.name < other.name ? -1 : 1))
    for (const [name, value] of general(session)) session.reply(`STAT ${name} ${value}`)
    for (const queue of queues) {
      for (const [name, value] of ofQueue(queue, session)) session.reply(`STAT queue_${queue.name}_${name} ${value}`)
    }
    session.reply('END')
  }
}

export const darnerStatistics: StatisticsRules = {
  general: (session) => [
    ...clock(session),
    ['curr_items', session.store.counters.puts - session.store.counters.hits],
    ['total_items', session.store.counters.puts],
    ...connections(session),
    ['cmd_get', session.store.counters.gets + session.store.counters.peeks + session.store.counters.finishes],
    ['cmd_set', session.store.counters.sets]
  ],
  ofQueue: ({ length, waiters, openReads }) => [['items', length], ['waiters', waiters.size], ['open_transactions', openReads]],
  sorted: true
}

export const siberiteStatistics: StatisticsRules = {
  general: (session) => [...clock(session), ...connections(session), ...commands(session)],
  ofQueue: ({ length, openReads }) => [['items', length], ['open_transactions', openReads]]
}

export const kestrelStatistics: StatisticsRules = {
  general(session) {
    const { counters } = session.engine.store
    const { puts, hits, misses, peeks, created, deleted } = session.store.counters
    const queues = [...session.store.all]
    return [
      ...clock(session),
      ['curr_items', queues.reduce((sum, { length }) => sum + length, 0)],
      ['total_items', puts],
      ['bytes', queues.reduce((sum, { bytes }) => sum + bytes, 0)],
      ['reserved_memory_ratio', '0.000'],
      ...connections(session),
      ...commands(session),
      ['cmd_peek', peeks],
      ['get_hits', hits],
      ['get_misses', misses],
      ['bytes_read', counters.bytes_read],
      ['bytes_written', counters.bytes_written],
      ['queue_creates', created],
      ['queue_deletes', deleted],
      ['queue_expires', 0]
    ]
  },
  ofQueue: kestrelQueue
}

/** What kestrel shows of a queue. There is no log here that would have a size and be rewritten. */
export function kestrelQueue(queue: Queue, { engine }: QueueContext): Statistic[] {
  const { length, bytes, counters, waiters, openReads, lastTaken } = queue
  return [
    ['items', length],
    ['bytes', bytes],
    ['total_items', counters.total_items],
    ['logsize', 0],
    ['expired_items', counters.expired_items],
    ['mem_items', length],
    ['mem_bytes', bytes],
    ['age', bytes === 0 ? 0 : engine.settings.now() - lastTaken],
    ['discarded', 0],
    ['waiters', waiters.size],
    ['open_transactions', openReads],
    ['transactions', counters.transactions],
    ['canceled_transactions', counters.canceled_transactions],
    ['total_flushes', counters.total_flushes],
    ['journal_rewrites', 0],
    ['journal_rotations', 0]
  ]
}

function clock({ engine: { settings, store } }: QueueContext): Statistic[] {
  return [['uptime', store.lifetimes.uptime], ['time', Math.floor(settings.now() / 1000)], ['version', settings.version]]
}

function connections({ engine: { peers, store } }: QueueContext): Statistic[] {
  return [['curr_connections', peers.size], ['total_connections', store.counters.total_connections]]
}

function commands({ store: { counters } }: QueueContext): Statistic[] {
  return [['cmd_get', counters.gets], ['cmd_set', counters.sets]]
}

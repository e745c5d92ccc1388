/** What kestrel shows of itself and its queues. There is no log of theirs here that would have a size and be rewritten. */

import { clock, connections, labelled, statistics } from './queue-statistics.ts'
import type { QueueCommand, QueueContext } from './queue-dialect.ts'
import type { Statistic } from './queue-statistics.ts'
import type { Queue } from './queue.ts'

/** `stats` */
export const runStats = statistics({ general, ofQueue: (queue, session) => labelled(queue.name, ofQueue(queue, session)) })

/** `dump_stats [<queue>…]` */
export const runDumpStats: QueueCommand = (session, [, ...names]) => {
  for (const queue of session.store.all) {
    if (names.length > 0 && !names.includes(queue.name)) continue
    session.reply(`queue '${queue.name}' {`)
    for (const [name, value] of ofQueue(queue, session)) session.reply(`  ${name}=${value}`)
    session.reply('}')
  }
  session.reply('END')
}

/** The queues that get what `name` gets: `<name>+<any>`. */
export function fanoutsOf({ store }: QueueContext, name: string): Queue[] {
  return name.includes('+') ? [] : [...store.all].filter((queue) => queue.name.startsWith(`${name}+`))
}

function general(session: QueueContext): Statistic[] {
  const { store, engine } = session
  const { puts, hits, misses, gets, sets, peeks, created, deleted } = store.counters
  const queues = [...store.all]
  return [
    ...clock(session),
    ['curr_items', queues.reduce((sum, { length }) => sum + length, 0)],
    ['total_items', puts],
    ['bytes', queues.reduce((sum, { bytes }) => sum + bytes, 0)],
    ['reserved_memory_ratio', '0.000'],
    ...connections(session),
    ['cmd_get', gets],
    ['cmd_set', sets],
    ['cmd_peek', peeks],
    ['get_hits', hits],
    ['get_misses', misses],
    ['bytes_read', engine.store.counters.bytes_read],
    ['bytes_written', engine.store.counters.bytes_written],
    ['queue_creates', created],
    ['queue_deletes', deleted],
    ['queue_expires', 0]
  ]
}

function ofQueue(queue: Queue, session: QueueContext): Statistic[] {
  const { name, length, bytes, counters, waiters, openReads, lastAddedAt } = queue
  const fanouts = fanoutsOf(session, name)
  const lines: Statistic[] = [
    ['items', length],
    ['bytes', bytes],
    ['total_items', counters.total],
    ['logsize', 0],
    ['expired_items', counters.expired],
    ['mem_items', length],
    ['mem_bytes', bytes],
    ['age', bytes === 0 ? 0 : session.engine.settings.now() - lastAddedAt],
    ['discarded', 0],
    ['waiters', waiters.size],
    ['open_transactions', openReads],
    ['transactions', counters.transactions],
    ['canceled_transactions', counters.canceled],
    ['total_flushes', counters.flushes],
    ['journal_rewrites', 0],
    ['journal_rotations', 0]
  ]
  return fanouts.length === 0 ? lines : [...lines, ['children', fanouts.map((fanout) => fanout.name).join(',')]]
}

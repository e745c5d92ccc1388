/** `stats` of the queue servers: what is general, then what there is of each queue. */

import type { QueueCommand, QueueContext } from './queue-dialect.ts'
import type { Queue } from './queue.ts'

/** A name and its value. */
export type Statistic = readonly [name: string, value: string | number]

/** What a server shows. */
export interface StatisticsRules {
  general(session: QueueContext): Statistic[]
  ofQueue?(queue: Queue, session: QueueContext): Statistic[]
  /** By the names of the queues, instead of as they were made. */
  readonly sorted?: boolean
}

/** `stats` */
export function statistics({ general, ofQueue, sorted = false }: StatisticsRules): QueueCommand {
  return (session) => {
    const queues = ofQueue === undefined ? [] : [...session.store.all]
    if (sorted) queues.sort((one, other) => (one.name < other.name ? -1 : 1))
    const lines = [...general(session), ...queues.flatMap((queue) => ofQueue!(queue, session))]
    for (const [name, value] of lines) session.reply(`STAT ${name} ${value}`)
    session.reply('END')
  }
}

/** `queue_<name>_<statistic>` */
export function labelled(name: string, lines: readonly Statistic[]): Statistic[] {
  return lines.map(([statistic, value]) => [`queue_${name}_${statistic}`, value])
}

/** How long it has been there, the time, and who it is. */
export function clock({ engine: { settings }, store }: QueueContext, uptimeAtStart = 0): Statistic[] {
  const now = settings.now()
  return [
    ['uptime', Math.floor((now - store.startedAt) / 1000) + uptimeAtStart],
    ['time', Math.floor(now / 1000)],
    ['version', settings.version]
  ]
}

/** Open now, and ever. */
export function connections({ engine: { peers, store } }: QueueContext): Statistic[] {
  return [['curr_connections', peers.size], ['total_connections', store.counters.total_connections]]
}

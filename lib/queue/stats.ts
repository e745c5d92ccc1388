/** What servers count of a queue. Names of queues have underscores too, so that only these tell where a name ends. */
const KNOWN = new Set([
  'items', 'bytes', 'total_items', 'logsize', 'expired_items', 'mem_items', 'mem_bytes', 'age', 'discarded', 'waiters',
  'open_transactions', 'transactions', 'canceled_transactions', 'total_flushes', 'journal_rewrites', 'journal_rotations',
  'create_time',
])

/** Of a server's statistics those of one queue: `queue_<name>_<stat>`. */
export function queueStats(stats: ReadonlyMap<string, string>, queue: string): Map<string, number> {
  const prefix = `queue_${queue}_`
  const found = new Map<string, number>()
  for (const [name, value] of stats) {
    const stat = name.startsWith(prefix) ? name.slice(prefix.length) : ''
    if (KNOWN.has(stat) && /^-?\d+$/.test(value)) found.set(stat, Number(value))
  }
  return found
}

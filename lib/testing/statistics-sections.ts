/** The sections of `stats` that describe the cache: each a list of names and values, in memcached's order. */

import type { SlabCounters } from './counters.ts'
import type { Engine } from './session.ts'

/** One line: `STAT <name> <value>`. */
export type Statistic = readonly [name: string, value: string | number]

/** memcached's hash table at the start: 2^16 buckets of 8 bytes. */
const HASH_POWER = 16
const READ_BUFFER = 16384
const PAGE = 1024 * 1024
/** Sizes are counted in steps of this many bytes. */
const SIZE_STEP = 32

/** What all protocols can ask for, by name; '' is the general section. */
export const sections: ReadonlyMap<string, (engine: Engine) => Statistic[]> = new Map([
  ['', generalStatistics],
  ['settings', settingStatistics],
  ['items', itemStatistics],
  ['slabs', slabStatistics],
  ['sizes', sizeStatistics]
])

/** `stats` */
function generalStatistics({ settings, store, peers }: Engine): Statistic[] {
  const { counters } = store
  const { user, system } = cpuSeconds()
  const perSlab = store.slabs.classes.map((slab) => slab.counters)
  const sum = (name: Exclude<keyof SlabCounters, 'reset'>): number => perSlab.reduce((total, slab) => total + slab[name], 0)
  return [
    ['pid', process.pid],
    ['uptime', store.lifetimes.uptime],
    ['time', store.lifetimes.toEpoch(store.lifetimes.clock)],
    ['version', settings.version],
    ['libevent', '2.1.12-stable'],
    ['pointer_size', 64],
    ['rusage_user', user],
    ['rusage_system', system],
    ['max_connections', settings.maxConnections],
    ['curr_connections', peers.size],
    ['total_connections', counters.total_connections + 1],
    ['rejected_connections', counters.rejected_connections],
    ['connection_structures', peers.size + 1],
    ['response_obj_oom', 0],
    ['response_obj_count', 1],
    ['response_obj_bytes', READ_BUFFER],
    ['read_buf_count', peers.size + 1],
    ['read_buf_bytes', (peers.size + 1) * READ_BUFFER],
    ['read_buf_bytes_free', 0],
    ['read_buf_oom', 0],
    ['reserved_fds', 20],
    ['cmd_get', counters.cmd_get],
    ['cmd_set', sum('cmd_set')],
    ['cmd_flush', counters.cmd_flush],
    ['cmd_touch', counters.cmd_touch],
    ['cmd_meta', counters.cmd_meta],
    ['get_hits', sum('get_hits')],
    ['get_misses', counters.get_misses],
    ['get_expired', counters.get_expired],
    ['get_flushed', counters.get_flushed],
    ['delete_misses', counters.delete_misses],
    ['delete_hits', sum('delete_hits')],
    ['incr_misses', counters.incr_misses],
    ['incr_hits', sum('incr_hits')],
    ['decr_misses', counters.decr_misses],
    ['decr_hits', sum('decr_hits')],
    ['cas_misses', counters.cas_misses],
    ['cas_hits', sum('cas_hits')],
    ['cas_badval', sum('cas_badval')],
    ['touch_hits', sum('touch_hits')],
    ['touch_misses', counters.touch_misses],
    ['store_too_large', counters.store_too_large],
    ['store_no_memory', counters.store_no_memory],
    ['auth_cmds', counters.auth_cmds],
    ['auth_errors', counters.auth_errors],
    ['bytes_read', counters.bytes_read],
    ['bytes_written', counters.bytes_written],
    ['limit_maxbytes', settings.memoryLimit],
    ['accepting_conns', 1],
    ['listen_disabled_num', 0],
    ['time_in_listen_disabled_us', 0],
    ['threads', 1],
    ['conn_yields', counters.conn_yields],
    ['hash_power_level', HASH_POWER],
    ['hash_bytes', 2 ** HASH_POWER * 8],
    ['hash_is_expanding', 0],
    ...zeros(
      'slab_reassign_rescues', 'slab_reassign_chunk_rescues', 'slab_reassign_evictions_nomem', 'slab_reassign_inline_reclaim',
      'slab_reassign_busy_items', 'slab_reassign_busy_deletes', 'slab_reassign_running', 'slabs_moved', 'lru_crawler_running',
      'lru_crawler_starts', 'lru_maintainer_juggles', 'malloc_fails', 'log_worker_dropped', 'log_worker_written',
      'log_watcher_skipped', 'log_watcher_sent', 'log_watchers', 'unexpected_napi_ids', 'round_robin_fallback'
    ),
    ['bytes', store.bytes],
    ['curr_items', store.itemCount],
    ['total_items', counters.total_items],
    ['slab_global_page_pool', 0],
    ['expired_unfetched', sum('expired_unfetched')],
    ['evicted_unfetched', sum('evicted_unfetched')],
    ['evicted_active', sum('evicted_active')],
    ['evictions', counters.evictions],
    ['reclaimed', counters.reclaimed],
    ...zeros(
      'crawler_reclaimed', 'crawler_items_checked', 'lrutail_reflocked', 'moves_to_cold', 'moves_to_warm', 'moves_within_lru',
      'direct_reclaims', 'lru_bumps_dropped'
    )
  ]
}

/** `stats settings` */
function settingStatistics({ settings, store }: Engine): Statistic[] {
  const { extstore } = settings
  return [
    ['maxbytes', settings.memoryLimit],
    ['maxconns', settings.maxConnections],
    ['tcpport', settings.port],
    ['udpport', 0],
    ['inter', settings.host],
    ['verbosity', settings.verbosity],
    ['oldest', store.lifetimes.flushedUntil],
    ['evictions', onOff(settings.evictions)],
    ['domain_socket', settings.path ?? 'NULL'],
    ['umask', 700],
    ['shutdown_command', yesNo(settings.shutdownEnabled)],
    ['growth_factor', '1.25'],
    ['chunk_size', settings.chunkSize],
    ['num_threads', 1],
    ['num_threads_per_udp', 1],
    ['stat_key_prefix', ':'],
    ['detail_enabled', yesNo(settings.detailEnabled)],
    ['reqs_per_event', 20],
    ['cas_enabled', yesNo(settings.casEnabled)],
    ['tcp_backlog', 1024],
    ['binding_protocol', BINDING_PROTOCOLS[settings.protocol]],
    ['auth_enabled_sasl', yesNo(settings.auth !== undefined && settings.protocol === 'binary')],
    ['auth_enabled_ascii', yesNo(settings.auth !== undefined && settings.protocol === 'ascii')],
    ['item_size_max', settings.itemSizeMax],
    ['maxconns_fast', 'yes'],
    ['hashpower_init', 0],
    ['slab_reassign', 'yes'],
    ['slab_automove', settings.slabAutomove],
    ['slab_automove_ratio', settings.slabAutomoveRatio.toFixed(2)],
    ['slab_automove_window', 30],
    ['slab_chunk_max', settings.slabChunkMax],
    ['lru_crawler', yesNo(settings.lruCrawler)],
    ['lru_crawler_sleep', settings.lruCrawlerSleep],
    ['lru_crawler_tocrawl', settings.lruCrawlerToCrawl],
    ['tail_repair_time', 0],
    ['flush_enabled', yesNo(settings.flushEnabled)],
    ['dump_enabled', yesNo(settings.dumpEnabled)],
    ['hash_algorithm', 'murmur3'],
    ['lru_maintainer_thread', 'yes'],
    ['lru_segmented', yesNo(settings.lruSegmented)],
    ['hot_lru_pct', settings.hotLruPercent],
    ['warm_lru_pct', settings.warmLruPercent],
    ['hot_max_factor', settings.hotMaxFactor.toFixed(2)],
    ['warm_max_factor', settings.warmMaxFactor.toFixed(2)],
    ['temp_lru', yesNo(settings.temporaryTtl !== undefined)],
    ['temporary_ttl', settings.temporaryTtl ?? 61],
    ['idle_timeout', settings.idleTimeout],
    ['watcher_logbuf_size', 262144],
    ['worker_logbuf_size', 65536],
    ['read_buf_mem_limit', 0],
    ['track_sizes', yesNo(store.sizesSince !== undefined)],
    ['inline_ascii_response', 'no'],
    ['ext_item_size', extstore['ext_item_size']!],
    ['ext_item_age', extstore['ext_item_age']!],
    ['ext_low_ttl', extstore['ext_low_ttl']!],
    ['ext_recache_rate', extstore['ext_recache_rate']!],
    ['ext_wbuf_size', 4 * PAGE],
    ['ext_compact_under', extstore['ext_compact_under']!],
    ['ext_drop_under', extstore['ext_drop_under']!],
    ['ext_max_sleep', extstore['ext_max_sleep']!],
    ['ext_max_frag', extstore['ext_max_frag']!.toFixed(2)],
    ['slab_automove_freeratio', '0.010'],
    ['ext_drop_unread', yesNo(extstore['ext_drop_unread'] !== 0)],
    ['ssl_enabled', 'no'],
    ['ssl_chain_cert', '(null)'],
    ['ssl_key', '(null)'],
    ['ssl_verify_mode', 0],
    ['ssl_keyformat', 1],
    ['ssl_ciphers', 'NULL'],
    ['ssl_ca_cert', 'NULL'],
    ['ssl_wbuf_size', 16384],
    ['ssl_session_cache', 'no'],
    ['ssl_kernel_tls', 'no'],
    ['ssl_min_version', 'tlsv1.2'],
    ['num_napi_ids', '(null)'],
    ['memory_file', '(null)']
  ]
}

/** `stats items`: the classes that have items. All of them count as cold, where memcached's soon are. */
function itemStatistics({ store }: Engine): Statistic[] {
  const lines: Statistic[] = []
  for (const slab of store.slabs.classes) {
    const items = [...slab.items]
    if (items.length === 0) continue
    const counters = slab.counters
    const values: Statistic[] = [
      ['number', items.length],
      ['number_hot', 0],
      ['number_warm', 0],
      ['number_cold', items.length],
      ['age_hot', 0],
      ['age_warm', 0],
      ['age', store.lifetimes.clock - items[0]!.usedAt],
      ['mem_requested', items.reduce((total, item) => total + item.size, 0)],
      ['evicted', counters.evicted],
      ['evicted_nonzero', counters.evicted_nonzero],
      ['evicted_time', counters.evicted_time],
      ['outofmemory', counters.outofmemory],
      ['tailrepairs', 0],
      ['reclaimed', counters.reclaimed],
      ['expired_unfetched', counters.expired_unfetched],
      ['evicted_unfetched', counters.evicted_unfetched],
      ['evicted_active', counters.evicted_active],
      ...zeros('crawler_reclaimed', 'crawler_items_checked', 'lrutail_reflocked'),
      ['moves_to_cold', counters.cmd_set],
      ...zeros('moves_to_warm', 'moves_within_lru', 'direct_reclaims'),
      ['hits_to_hot', counters.get_hits],
      ...zeros('hits_to_warm', 'hits_to_cold', 'hits_to_temp')
    ]
    for (const [name, value] of values) lines.push([`items:${slab.id}:${name}`, value])
  }
  return lines
}

/** `stats slabs`: the classes that have pages. */
function slabStatistics({ store }: Engine): Statistic[] {
  const lines: Statistic[] = []
  const active = store.slabs.classes.filter((slab) => slab.pages > 0)
  for (const slab of active) {
    const counters = slab.counters
    const chunks = slab.pages * slab.chunksPerPage
    const values: Statistic[] = [
      ['chunk_size', slab.chunkSize],
      ['chunks_per_page', slab.chunksPerPage],
      ['total_pages', slab.pages],
      ['total_chunks', chunks],
      ['used_chunks', slab.usedChunks],
      ['free_chunks', chunks - slab.usedChunks],
      ['free_chunks_end', 0],
      ['get_hits', counters.get_hits],
      ['cmd_set', counters.cmd_set],
      ['delete_hits', counters.delete_hits],
      ['incr_hits', counters.incr_hits],
      ['decr_hits', counters.decr_hits],
      ['cas_hits', counters.cas_hits],
      ['cas_badval', counters.cas_badval],
      ['touch_hits', counters.touch_hits]
    ]
    for (const [name, value] of values) lines.push([`${slab.id}:${name}`, value])
  }
  return [...lines, ['active_slabs', active.length], ['total_malloced', store.slabs.allocated]]
}

/** `stats sizes`: how many items have up to this many bytes, in steps of 32. */
function sizeStatistics({ store }: Engine): Statistic[] {
  const { sizesSince } = store
  if (sizesSince === undefined) return [['sizes_status', 'disabled']]
  const counts = new Map<number, number>()
  for (const slab of store.slabs.classes) {
    for (const { size, cas } of slab.items) {
      if (cas < sizesSince) continue
      const step = Math.ceil(size / SIZE_STEP) * SIZE_STEP
      counts.set(step, (counts.get(step) ?? 0) + 1)
    }
  }
  return [...counts].sort(([one], [other]) => one - other).map(([step, count]) => [String(step), count])
}

/** Begins or ends counting by size; told is what became of it. Only cas ids tell the items that were there before. */
export function trackSizes({ settings, store }: Engine, enable: boolean): Statistic[] {
  if (enable && !settings.casEnabled) return [['sizes_status', 'error'], ['sizes_error', 'cas_support_disabled']]
  store.trackSizes(enable)
  return [['sizes_status', enable ? 'enabled' : 'disabled']]
}

const BINDING_PROTOCOLS = { auto: 'auto-negotiate', ascii: 'ascii', binary: 'binary' }

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no'
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off'
}

function zeros(...names: readonly string[]): Statistic[] {
  return names.map((name) => [name, 0])
}

function cpuSeconds(): { user: string; system: string } {
  const { user, system } = process.cpuUsage()
  return { user: (user / 1e6).toFixed(6), system: (system / 1e6).toFixed(6) }
}

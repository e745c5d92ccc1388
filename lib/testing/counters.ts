/** What a server counts, by the names that `stats` prints. `stats reset` sets all of it to 0. */
export class Counters {
  total_connections = 0
  rejected_connections = 0
  cmd_flush = 0
  cmd_touch = 0
  cmd_get = 0
  cmd_meta = 0
  get_misses = 0
  get_expired = 0
  get_flushed = 0
  delete_misses = 0
  incr_misses = 0
  decr_misses = 0
  cas_misses = 0
  touch_misses = 0
  store_too_large = 0
  store_no_memory = 0
  auth_cmds = 0
  auth_errors = 0
  bytes_read = 0
  bytes_written = 0
  conn_yields = 0
  total_items = 0
  evictions = 0
  reclaimed = 0

  reset(): void {
    Object.assign(this, new Counters())
  }
}

/** What is counted for each slab class, by the names of `stats slabs` and `stats items`. */
export class SlabCounters {
  get_hits = 0
  cmd_set = 0
  delete_hits = 0
  incr_hits = 0
  decr_hits = 0
  cas_hits = 0
  cas_badval = 0
  touch_hits = 0
  evicted = 0
  evicted_nonzero = 0
  evicted_time = 0
  outofmemory = 0
  reclaimed = 0
  expired_unfetched = 0
  evicted_unfetched = 0
  evicted_active = 0

  reset(): void {
    Object.assign(this, new SlabCounters())
  }
}

/** Counts a get, or a touch, of an item that was there or not; `hit` counts for the item's class. */
export function countRetrieval(counters: Counters, hit: SlabCounters | undefined, touch: boolean): void {
  if (touch) {
    counters.cmd_touch++
    if (hit === undefined) counters.touch_misses++
    else hit.touch_hits++
  } else {
    counters.cmd_get++
    if (hit === undefined) counters.get_misses++
    else hit.get_hits++
  }
}

/// <reference types="node" preserve="true" />

/** The versions of the servers that are played. */
const VERSIONS = {
  memcached: '1.6.18',
  kestrel: '2.4.8-SNAPSHOT',
  darner: '0.2.0',
  siberite: 'siberite-0.6.4',
  memcacheq: '0.2.1'
} as const

/** A server that can be played. */
export type Dialect = keyof typeof VERSIONS

/** What `startServer` takes. Every option that stands for an argument of memcached names it. */
export interface ServerOptions {
  /** TCP port to listen on; 0, the default, takes a free one. Give a fixed one to restart a closed server. */
  readonly port?: number
  /** Address to listen on (`-l`). Default `127.0.0.1`. */
  readonly host?: string
  /** A unix socket to listen on instead of TCP (`-s`). */
  readonly path?: string
  /** The clock: milliseconds since the epoch, as `Date.now`, which is the default. Expiry reads nothing else. */
  readonly now?: () => number
  /** The server that is played: memcached, or a queue server, which has queues instead of a cache. Default `memcached`. */
  readonly dialect?: Dialect
  /** What `version` answers. Default: the version whose behaviour this server has, of memcached `1.6.18`. */
  readonly version?: string
  /**
   * A file that keeps what the queues have, so that a server that is started with it later, or after its process was
   * killed, has them again. Default: they live as long as the server.
   */
  readonly journal?: string
  /** Items that a queue of kestrel takes; past it `set` answers NOT_STORED. Default: no limit. */
  readonly maxItems?: number
  /**
   * Bytes of the largest item. kestrel means its value, and answers NOT_STORED; default: no limit. memcacheq (`-B`)
   * means its name and some 20 bytes more as well; default 1024. The others have none.
   */
  readonly maxItemSize?: number
  /** Items of one queue that a connection to kestrel may have open. Default 1. */
  readonly maxOpenTransactions?: number
  /** Largest item in bytes, with key and 59 bytes of overhead (`-I`). Default 1 MiB. */
  readonly itemSizeMax?: number
  /** Largest chunk in bytes (`-o slab_chunk_max`). Default: half of `itemSizeMax`, at most 512 KiB. */
  readonly slabChunkMax?: number
  /** Bytes for key, value and flags in the smallest chunks (`-n`). Default 48. */
  readonly chunkSize?: number
  /** Memory for items in bytes (`-m`, there in MiB). Default 64 MiB. */
  readonly memoryLimit?: number
  /** `false`: refuse to store when the memory is full, instead of evicting (`-M`). Default `true`. */
  readonly evictions?: boolean
  /** `false`: items have no cas ids; `gets` shows 0 and every `cas` answers EXISTS (`-C`). Default `true`. */
  readonly casEnabled?: boolean
  /** `false`: `flush_all` is refused (`-F`). Default `true`. */
  readonly flushEnabled?: boolean
  /** `false`: `stats cachedump` and `lru_crawler metadump` are refused (`-X`). Default `true`. */
  readonly dumpEnabled?: boolean
  /** `false`: `watch` is refused (`-W`). Default `true`. */
  readonly watchEnabled?: boolean
  /** `true`: `shutdown` closes the server (`-A`). Default `false`. */
  readonly shutdownEnabled?: boolean
  /** `true`: `stats sizes` counts items by size (`-o track_sizes`). Default `false`. */
  readonly trackSizes?: boolean
  /** Seconds (real ones, not those of `now`) without traffic until a connection is closed; 0 = never. Default 0. */
  readonly idleTimeout?: number
  /** Open connections past which a new one is told so and closed (`-c`). Default 1024. */
  readonly maxConnections?: number
  /** The protocols spoken (`-B`): `ascii` also understands meta. Default `auto`: by a connection's first byte; with `auth` it is `ascii`. */
  readonly protocol?: 'auto' | 'ascii' | 'binary'
  /**
   * Users and their passwords; given, every connection has to authenticate first: in the text protocol (`-Y`), or by
   * SASL (`-S`) with `protocol: 'binary'`. As in memcached, there is no server that takes both.
   */
  readonly auth?: Readonly<Record<string, string>>
}

/** The options with their defaults, and what commands change while the server runs. */
export interface Settings {
  readonly now: () => number
  readonly dialect: Dialect
  readonly version: string
  readonly maxItems: number
  readonly maxItemSize: number
  readonly journal: string | undefined
  readonly maxOpenTransactions: number
  readonly host: string
  readonly path: string | undefined
  readonly itemSizeMax: number
  readonly slabChunkMax: number
  readonly chunkSize: number
  readonly evictions: boolean
  readonly casEnabled: boolean
  readonly flushEnabled: boolean
  readonly dumpEnabled: boolean
  readonly watchEnabled: boolean
  readonly shutdownEnabled: boolean
  readonly trackSizes: boolean
  readonly idleTimeout: number
  readonly maxConnections: number
  readonly protocol: 'auto' | 'ascii' | 'binary'
  /** In bytes: latin1, one character each. */
  readonly auth: ReadonlyMap<string, string> | undefined
  port: number
  memoryLimit: number
  verbosity: number
  detailEnabled: boolean
  slabAutomove: number
  slabAutomoveRatio: number
  lruCrawler: boolean
  lruCrawlerSleep: number
  lruCrawlerToCrawl: number
  lruSegmented: boolean
  hotLruPercent: number
  warmLruPercent: number
  hotMaxFactor: number
  warmMaxFactor: number
  temporaryTtl: number | undefined
  extstore: Record<string, number>
}

const MEBIBYTE = 1024 * 1024

/** Completes the options; the rest are the values that memcached 1.6.18 starts with. */
export function settingsFrom(options: ServerOptions): Settings {
  const itemSizeMax = options.itemSizeMax ?? MEBIBYTE
  const dialect = options.dialect ?? 'memcached'
  return {
    now: options.now ?? Date.now,
    dialect,
    version: options.version ?? VERSIONS[dialect],
    maxItems: options.maxItems ?? Infinity,
    maxItemSize: options.maxItemSize ?? (dialect === 'memcacheq' ? 1024 : Infinity),
    journal: options.journal,
    maxOpenTransactions: options.maxOpenTransactions ?? 1,
    host: options.host ?? '127.0.0.1',
    path: options.path,
    itemSizeMax,
    slabChunkMax: options.slabChunkMax ?? Math.min(itemSizeMax, MEBIBYTE) / 2,
    chunkSize: options.chunkSize ?? 48,
    evictions: options.evictions ?? true,
    casEnabled: options.casEnabled ?? true,
    flushEnabled: options.flushEnabled ?? true,
    dumpEnabled: options.dumpEnabled ?? true,
    watchEnabled: options.watchEnabled ?? true,
    shutdownEnabled: options.shutdownEnabled ?? false,
    idleTimeout: options.idleTimeout ?? 0,
    maxConnections: options.maxConnections ?? 1024,
    protocol: options.auth !== undefined && options.protocol !== 'binary' ? 'ascii' : options.protocol ?? 'auto',
    auth: options.auth && new Map(Object.entries(options.auth).map(([user, password]) => [wireText(user), wireText(password)])),
    port: options.port ?? 0,
    memoryLimit: options.memoryLimit ?? 64 * MEBIBYTE,
    trackSizes: options.trackSizes ?? false,
    verbosity: 0,
    detailEnabled: false,
    slabAutomove: 1,
    slabAutomoveRatio: 0.8,
    lruCrawler: true,
    lruCrawlerSleep: 100,
    lruCrawlerToCrawl: 0,
    lruSegmented: true,
    hotLruPercent: 20,
    warmLruPercent: 40,
    hotMaxFactor: 0.2,
    warmMaxFactor: 2,
    temporaryTtl: undefined,
    extstore: {
      ext_item_size: 512,
      ext_item_age: 4294967295,
      ext_low_ttl: 0,
      ext_recache_rate: 2000,
      ext_compact_under: 0,
      ext_drop_under: 0,
      ext_max_sleep: 1000000,
      ext_max_frag: 0.8,
      ext_drop_unread: 0
    }
  }
}

/** UTF-8 as the sessions see it: latin1, one character a byte. */
function wireText(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/// <reference types="node" preserve="true" />

import { darner } from './queue-darner.ts'
import { kestrel } from './queue-kestrel.ts'
import { memcacheq } from './queue-memcacheq.ts'
import { siberite } from './queue-siberite.ts'
import type { QueueDialect } from './queue-dialect.ts'
import type { Dialect } from './settings.ts'

/** The queue servers that can be played. */
export const queueDialects: Readonly<Record<Exclude<Dialect, 'memcached'>, QueueDialect>> = { kestrel, darner, siberite, memcacheq }

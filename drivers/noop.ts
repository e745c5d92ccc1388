import type { DriverFactory } from '../lib/driver.ts'
import { wrap } from '../lib/wrap.ts'

/**
 * No server at all: every write is accepted and forgotten, every read is a miss. To switch a cache off, to test without
 * one, and to measure what the client itself costs.
 */
export const noop: DriverFactory = wrap('noop', () => ({
  longestBinaryKey: Infinity,
  transports: { tls: true, credentials: true }, // there is no connection that could go without
  commands: {
    get: () => undefined,
    getMulti: ({ keys }) => keys.map(() => undefined),
    metaGet: () => undefined,
    store: () => 'stored',
    delete: () => false,
    touch: () => false,
    count: () => undefined,
    flush: () => true,
    stats: () => new Map(),
    version: () => '0.0.0',
    verbosity: () => true,
  },
  close() {},
}))

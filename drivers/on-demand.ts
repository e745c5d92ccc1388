import type { DriverFactory } from '../lib/driver.ts'
import { binary as wholeBinary } from './binary.ts'
import { meta as wholeMeta } from './meta.ts'

/** The driver for memcached's binary protocol, which 1.6 has deprecated. It is loaded by the first client that has it. */
export const binary: DriverFactory = (endpoint) => wholeBinary(endpoint)

/** The driver for memcached's meta protocol, from 1.6 on. It is loaded by the first client that has it. */
export const meta: DriverFactory = (endpoint) => wholeMeta(endpoint)

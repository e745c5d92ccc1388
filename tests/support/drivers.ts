import { binary } from '../../drivers/binary.ts'
import { memjs } from '../../drivers/memjs.ts'
import { meta } from '../../drivers/meta.ts'
import { text } from '../../drivers/text.ts'
import type { DriverFactory } from '../../lib/driver.ts'
import type { Feature } from '../../lib/testing/contract/subject.ts'

/** A driver that speaks to a memcached. */
export interface DriverRow {
  readonly name: string
  readonly driver: DriverFactory
  readonly unsupported: readonly Feature[]
}

/** All of them. */
export const DRIVERS: readonly DriverRow[] = [
  { name: 'text', driver: text, unsupported: ['metaGet', 'binaryKeys'] },
  { name: 'binary', driver: binary, unsupported: ['metaGet', 'verbosity'] },
  { name: 'meta', driver: meta, unsupported: [] },
  { name: 'memjs', driver: memjs, unsupported: ['metaGet', 'verbosity'] },
]

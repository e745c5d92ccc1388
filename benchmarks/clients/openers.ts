import { bareBinary } from './bare/binary.ts'
import { bareMeta } from './bare/meta.ts'
import { bareText } from './bare/text.ts'
import type { Open } from './client.ts'
import { ermc } from './ermc.ts'
import { memcacheClient } from './memcache-client.ts'
import { memcache } from './memcache.ts'
import { memcached } from './memcached.ts'
import { memjs } from './memjs.ts'

/** How each subject of subjects.ts is opened. Libraries are loaded when they are. */
export const openers: { readonly [subject: string]: Open } = {
  'bare-text': (opening) => bareText(opening),
  'bare-joined': (opening) => bareText(opening, true),
  'bare-meta': bareMeta,
  'bare-binary': bareBinary,
  text: ermc('text'),
  meta: ermc('meta'),
  binary: ermc('binary'),
  'ermc-memjs': ermc('memjs'),
  memjs,
  memcached,
  'memcache-client': memcacheClient,
  memcache,
}

import type { Format } from '../lib/serialization.ts'
import { compatFormat } from './compat-formats.ts'

/**
 * The formats of other clients, each for the option `serializer`: ermc reads then what the client writes, and writes what it
 * reads. docs/other-clients.md has a table of all types.
 */
export const compat = {
  /** pyermc, for Python 2. */
  get pyermc(): Format {
    return compatFormat('pyermc')
  },
  /** python-memcached, for Python. */
  get pythonMemcached(): Format {
    return compatFormat('pythonMemcached')
  },
  /** pymemcache with its `PickleSerde`, or with its `CompressedSerde` around that, for Python. */
  get pymemcache(): Format {
    return compatFormat('pymemcache')
  },
  /** pylibmc, for Python. */
  get pylibmc(): Format {
    return compatFormat('pylibmc')
  },
  /** dalli, for Ruby, which uses Marshal unless it is told otherwise. */
  get dalli(): Format {
    return compatFormat('dalli')
  },
  /** dalli with `serializer: JSON`. */
  get dalliJson(): Format {
    return compatFormat('dalliJson')
  },
  /** php-memcached, the extension `memcached` of PHP. */
  get phpMemcached(): Format {
    return compatFormat('phpMemcached')
  },
  /** spymemcached and xmemcached, for Java. */
  get spymemcached(): Format {
    return compatFormat('spymemcached')
  },
  /** memjs, for Node. */
  get memjs(): Format {
    return compatFormat('memjs')
  },
  /** memcached, for Node. */
  get memcached(): Format {
    return compatFormat('memcached')
  },
} as const

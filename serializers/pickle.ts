/// <reference types="node" preserve="true" />
import { MemcacheValueError } from '../lib/errors.ts'
import { flags } from '../lib/flags.ts'
import type { Serializer } from '../lib/serialization.ts'
import { show } from '../lib/show.ts'
import { readPickle, type PickledStrings } from './pickle-reader.ts'
import { writePickle } from './pickle-writer.ts'

/** How pickles are read. */
export interface PickleOptions {
  /**
   * What the `str` of Python 2 is read as, which is text or bytes there. `text`, the default: a string, or a Buffer where
   * it is no UTF-8. `bytes`: always a Buffer, also as a key, so that a dict becomes a Map.
   */
  readonly strings?: PickledStrings | undefined
}

/**
 * Python's pickle, of plain data alone: None, booleans, numbers, strings, bytes, lists, tuples, dicts, sets, and what the
 * datetime module has. Reads protocols 0 to 5 and writes protocol 2, which every Python reads. Nothing that a pickle
 * names is built or called.
 */
export const pickle: Serializer = pickleWith({})

/** The serializer `pickle`, which reads what Python 2 wrote in another way. */
export function pickleWith({ strings = 'text', ...rest }: PickleOptions): Serializer {
  if (strings !== 'text' && strings !== 'bytes') throw new MemcacheValueError(`"strings" is "text" or "bytes", not ${show(strings)}`)
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) throw new MemcacheValueError(`pickle has no option ${show(unknown)}`)
  return { flag: flags.pickle, serialize: writePickle, deserialize: (bytes) => readPickle(bytes, strings) }
}

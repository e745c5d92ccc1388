/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { types } from 'node:util'
import type { Item, Key, StoreMode } from './commands.ts'
import { complete, MemcacheError, MemcacheValueError } from './errors.ts'
import { plainBytes } from './plain-bytes.ts'
import { show, showThrown } from './show.ts'

/** What a caller says about storing one value, as far as it concerns what is stored. */
export interface EncodeOptions {
  readonly minCompressLength?: number | undefined
}

/**
 * What is done to a value on its way to the server, and undone on its way back. Synchronous, so that no command overtakes
 * another one that was called before it.
 */
export interface Codec<Above = Buffer, Below = Above> {
  /** @throws MemcacheValueError for a value that cannot be stored so that it comes back the same. */
  encode(item: Item<Above>, mode: StoreMode, options: EncodeOptions | undefined): Item<Below>
  /** @throws MemcacheValueError for an item that cannot be read. */
  decode(item: Item<Below>): Item<Above>
}

/** Two codecs as one: `upper` is nearer to the caller. */
export function compose<Above, Between, Below>(upper: Codec<Above, Between>, lower: Codec<Between, Below>): Codec<Above, Below> {
  return {
    encode: (item, mode, options) => lower.encode(upper.encode(item, mode, options), mode, options),
    decode: (item) => upper.decode(lower.decode(item)),
  }
}

/** Reads the item of a key. @throws MemcacheValueError naming the key, for an item that cannot be read. */
export function readItem<V, R>(reader: { read(item: Item<V>): R }, item: Item<V>, key: Key): R {
  try {
    return reader.read(item)
  } catch (error) {
    if (error instanceof MemcacheError && !(error instanceof MemcacheValueError)) throw complete(error, { sent: true })
    throw new MemcacheValueError(`the value of ${JSON.stringify(key)} (flags ${item.flags}) cannot be decoded: ${showThrown(error)}`, { cause: error, sent: true })
  }
}

/** Runs what a user may have written himself. @throws MemcacheValueError when it throws anything that is no MemcacheError. */
export function attempt<R>(maker: string, make: () => R): R {
  try {
    return make()
  } catch (error) {
    if (error instanceof MemcacheError) throw error
    throw new MemcacheValueError(`the ${maker} refuses the value: ${showThrown(error)}`, { cause: error })
  }
}

/** What such a maker gave. @throws MemcacheValueError for no Uint8Array: anything else with a length would be sent with a wrong one. */
export function asBuffer(maker: string, bytes: unknown): Buffer {
  if (types.isUint8Array(bytes)) return plainBytes(bytes) // which the Proxy of one is not
  throw new MemcacheValueError(`the ${maker} has given ${show(bytes)}, not a Buffer`)
}

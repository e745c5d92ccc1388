/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import type { Call, Item, StoreMode } from './commands.ts'
import { MemcacheError, MemcacheValueError } from './errors.ts'
import { intercept, type Middleware } from './middleware.ts'

/** What is done to a value on its way to the server, and undone on its way back. Synchronous, so that no command overtakes another. */
export interface Codec<Above = Buffer, Below = Above> {
  /** @throws MemcacheValueError for a value that cannot be stored so that it comes back the same. */
  encode(item: Item<Above>, mode: StoreMode, call: Call | undefined): Item<Below>
  /** @throws MemcacheValueError for an item that cannot be read. */
  decode(item: Item<Below>): Item<Above>
}

/** Two codecs as one: `upper` is nearer to the caller. */
export function compose<Above, Between, Below>(upper: Codec<Above, Between>, lower: Codec<Between, Below>): Codec<Above, Below> {
  return {
    encode: (item, mode, call) => lower.encode(upper.encode(item, mode, call), mode, call),
    decode: (item) => upper.decode(lower.decode(item)),
  }
}

/** A codec as a layer. An item that cannot be decoded rejects the call that asked for it, and no other. */
export function transcode<Above, Below>(codec: Codec<Above, Below>): Middleware<Above, Below> {
  return intercept<Above, Below>({
    get: (request, next, call) => next(request, call).then((item) => item && decode(codec, item, request.key)),
    getMulti: async (request, next, call) => {
      const items = await next(request, call)
      return items.map((item, place) => item && decode(codec, item, request.keys[place] as string))
    },
    store: (request, next, call) => next({ ...request, item: codec.encode(request.item, request.mode, call) }, call),
  })
}

function decode<Above, Below>(codec: Codec<Above, Below>, item: Item<Below>, key: string): Item<Above> {
  try {
    return codec.decode(item)
  } catch (error) {
    if (error instanceof MemcacheError && !(error instanceof MemcacheValueError)) throw error
    const why = error instanceof Error ? error.message : String(error)
    throw new MemcacheValueError(`the value of ${JSON.stringify(key)} (flags ${item.flags}) cannot be decoded: ${why}`, { cause: error, sent: true })
  }
}

import type { Item, Middleware } from '../../index.ts'

/** A layer that changes items: those that `set` and the like store, and those that a `get` of one key reads. */
export function itemLayer(stored: (item: Item) => Item, read: (item: Item) => Item): Middleware {
  return (next) => async (request, call) => asRead(await next(asStored(request, stored), call), read)
}

function asStored<R>(request: R, change: (item: Item) => Item): R {
  if (typeof request !== 'object' || request === null || !('item' in request)) return request
  return { ...request, item: change(request.item as Item) }
}

function asRead<R>(reply: R, change: (item: Item) => Item): R {
  if (typeof reply !== 'object' || reply === null || !('value' in reply && 'flags' in reply)) return reply
  return { ...reply, ...change(reply as R & Item) }
}

import type { Op, Reply, Request } from './commands.ts'
import { MemcacheDriverError, MemcacheOverloadError, MemcacheSocketError } from './errors.ts'
import type { Middleware } from './middleware.ts'

/** What each operation answers when there is nothing to answer with. */
const MISSES: { readonly [O in Op]: (request: Request<O>) => Reply<O> } = {
  get: () => undefined,
  getMulti: ({ keys }) => keys.map(() => undefined),
  metaGet: () => undefined,
  store: () => 'not-stored',
  delete: () => false,
  touch: () => false,
  count: () => undefined,
  flushQueue: () => false,
  flush: () => false,
  stats: () => new Map(),
  version: () => '',
  verbosity: () => false,
}

/**
 * Faults of the connection and refusals of the server become a miss, as cache-only users like it. Bad arguments, values
 * that cannot be decoded and commands that do not exist still reject: those are mistakes, not faults.
 */
export const errorAsMiss: Middleware = (next) => async (request, call) => {
  try {
    return await next(request, call)
  } catch (error) {
    return missFor(request, error)
  }
}

/** What a request is answered with in place of a fault. @throws the error, if it is none. */
export function missFor<O extends Op>(request: Request<O>, error: unknown): Reply<O> {
  if (!isFault(error)) throw error
  return MISSES[request.op](request)
}

function isFault(error: unknown): boolean {
  return error instanceof MemcacheSocketError || error instanceof MemcacheDriverError || error instanceof MemcacheOverloadError
}

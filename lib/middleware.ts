import type { CallOptions, Execute, Op, Reply, Request } from './commands.ts'

/**
 * A function around the one verb. It hands on every request, in the order in which they come, and waits for nothing
 * before it does: a request that left later than it was called could overtake another one of its key.
 */
export type Middleware = (next: Execute) => Execute

/** What a layer does with the requests of one operation. */
export type Handler<O extends Op> = (request: Request<O>, next: Execute, call: CallOptions | undefined) => Promise<Reply<O>>

/** Makes a layer of handlers for some operations; requests for the others pass as they are. */
export function intercept(handlers: { readonly [O in Op]?: Handler<O> }): Middleware {
  return (next) => (request, call) => {
    const handler = handlers[request.op]
    return handler === undefined ? next(request, call) : handler(request, next, call)
  }
}

/** One layer of several; the first is the outermost. */
export function stack(layers: readonly Middleware[]): Middleware {
  return (next) => layers.reduceRight((below, layer) => layer(below), next)
}

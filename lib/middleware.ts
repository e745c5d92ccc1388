/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import type { Call, Execute, Op, Reply, Request } from './commands.ts'

/**
 * A function around the one verb. What is above it asks for values of type `Above`, what is below deals in `Below`.
 * A layer hands on every request, in the order in which they come, and waits for nothing before it does: a request that
 * left later than it was called could overtake another one of its key.
 */
export type Middleware<Above = Buffer, Below = Above> = (next: Execute<Below>) => Execute<Above>

/** What a layer does with the requests of one operation. */
export type Handler<O extends Op, Above, Below> = (
  request: Request<O, Above>,
  next: Execute<Below>,
  call: Call | undefined,
) => Promise<Reply<O, Above>>

/** The operations whose requests or replies hold values. */
type ValueOp = 'get' | 'getMulti' | 'store'

/** Handlers by operation. A layer that changes what a value is has to say how for each operation that has values. */
export type Handlers<Above, Below> = { readonly [O in Op]?: Handler<O, Above, Below> } & ([Above] extends [Below]
  ? unknown
  : { readonly [O in ValueOp]: Handler<O, Above, Below> })

/** Makes a layer of handlers for some operations; requests for the others pass as they are. */
export function intercept<Above = Buffer, Below = Above>(handlers: Handlers<Above, Below>): Middleware<Above, Below> {
  const table: { readonly [O in Op]?: Handler<O, Above, Below> } = handlers
  return (next) =>
    <O extends Op>(request: Request<O, Above>, call?: Call): Promise<Reply<O, Above>> => {
      const handler = table[request.op] as Handler<O, Above, Below> | undefined
      if (handler !== undefined) return handler(request, next, call)
      // Without a handler there is no value in it, so that it is the same request on both sides: see Handlers.
      return next(request as Request<O, unknown> as Request<O, Below>, call) as Promise<Reply<O, unknown>> as Promise<Reply<O, Above>>
    }
}

/** One layer of several; the first is the outermost. */
export function stack(layers: readonly Middleware[]): Middleware {
  return (next) => layers.reduceRight((below, layer) => layer(below), next)
}

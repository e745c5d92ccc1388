/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { Endpoint } from '../lib/driver.ts'
import { flags } from '../lib/flags.ts'
import { intercept, type Middleware } from '../lib/middleware.ts'

/**
 * `incr` and `decr` with `initial` where the protocol has no such thing: `add` the initial count, and count if it was
 * there already. Of two callers at once one adds and gets `initial`, the other counts on from it; a counter that expires
 * or is deleted between the two requests is added again.
 */
export function addThenCount({ timeout }: Endpoint): Middleware {
  return intercept({
    async count(request, next, call) {
      if (request.initial === undefined) return next(request, call)
      const { key, initial, expires, delta, down } = request
      const item = { value: Buffer.from(initial.toString()), flags: flags.integer }
      const deadline = performance.now() + (call?.timeout ?? timeout)
      let first = true
      for (;;) {
        const added = await next({ op: 'store', mode: 'add', key, item, expires }, first ? call : { ...call, timeout: remaining(deadline) })
        first = false
        if (added === 'stored') return initial
        const count = await next({ op: 'count', key, delta, down, expires }, { ...call, timeout: remaining(deadline) })
        if (count !== undefined) return count
      }
    },
  })
}

/** What is left until a deadline, in milliseconds; never nothing, so that the request that is too late says so itself. */
function remaining(deadline: number): number {
  return Math.max(deadline - performance.now(), 1)
}

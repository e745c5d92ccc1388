/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { CallOptions, Execute, Request } from './commands.ts'
import { MemcacheTimeoutError } from './errors.ts'

/** How a counter begins that does not exist. */
export interface CounterStart {
  readonly initial: bigint
  /** The flags that the client's format gives counters. */
  readonly flags: number
  /** In the form of expiry.ts. */
  readonly expires: number
}

/**
 * Counts, and makes the counter where there is none: then its count is `initial`, and the step is not taken. Of several
 * callers at once one makes it and the others count on from there. On every driver alike: servers that can do it in one
 * request mark such a counter as text, so that it would come back as a string, padded with blanks once it has become shorter.
 */
export async function countFrom(
  execute: Execute,
  request: Request<'count'>,
  { initial, flags, expires }: CounterStart,
  { signal, timeout }: CallOptions & { readonly timeout: number },
): Promise<bigint> {
  const item = { value: Buffer.from(initial.toString()), flags }
  const deadline = performance.now() + timeout
  // The whole time at first: a request that may take less than the client's timeout says nothing of the connection.
  let left = timeout
  for (;;) {
    const count = await execute(request, { signal, timeout: left })
    if (count !== undefined) return count
    left = remaining()
    const added = await execute({ op: 'store', mode: 'add', key: request.key, item, expires }, { signal, timeout: left })
    if (added === 'stored') return initial
    left = remaining()
  }

  function remaining(): number {
    const milliseconds = deadline - performance.now()
    if (milliseconds > 0) return milliseconds
    throw new MemcacheTimeoutError(`the counter was neither made nor found within ${timeout} ms`, { sent: true })
  }
}

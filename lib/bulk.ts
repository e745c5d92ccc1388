import type { CallOptions, Execute, Op, Reply, Request } from './commands.ts'
import { MemcacheOverloadError } from './errors.ts'

/** How the requests of one call are executed together. */
export interface BulkOptions<O extends Op> extends CallOptions {
  readonly timeout: number
  /** How many can be under way at a time: the client's `maxPending`. */
  readonly most?: number
  /** The reply in place of a fault. @throws the fault, where there is none. */
  readonly rescue?: ((request: Request<O>, fault: unknown) => Reply<O>) | undefined
}

/**
 * Executes requests of any number, for different keys, within one call's timeout; the replies are in the requests' order.
 * All leave at once, in this order, as far as there is room; those that find none behind others of the same call wait for
 * these. If one rejects, so does this, with the first error, when all that were under way have settled: nothing goes on
 * behind the caller's back.
 */
export async function executeAll<O extends Op>(execute: Execute, requests: readonly Request<O>[], options: BulkOptions<O>): Promise<Reply<O>[]> {
  const { signal, most = Infinity, rescue = rethrow } = options
  const deadline = performance.now() + options.timeout
  const replies = new Array<Reply<O>>(requests.length)
  let waiting = [...requests.keys()]
  let room = most
  while (waiting.length > 0) {
    signal?.throwIfAborted()
    const batch = waiting.slice(0, room)
    // The whole of it at first: a request that may take less than the client's timeout says nothing of the connection.
    const timeout = waiting.length === requests.length ? options.timeout : Math.max(deadline - performance.now(), 1)
    const outcomes = await Promise.allSettled(batch.map((place) => execute(requests[place] as Request<O>, { signal, timeout })))
    const refused = batch.filter((_, index) => isOverload(outcomes[index]))
    // Not one of a whole batch found room: the space is taken by others, whose end is not ours to wait for.
    const crowdedOut = refused.length === batch.length
    outcomes.forEach((outcome, index) => {
      const place = batch[index] as number
      if (outcome.status === 'fulfilled') replies[place] = outcome.value
      else if (crowdedOut || !isOverload(outcome)) replies[place] = rescue(requests[place] as Request<O>, outcome.reason)
    })
    waiting = crowdedOut ? waiting.slice(batch.length) : [...refused, ...waiting.slice(batch.length)]
    // Each refusal costs an error: the next batch is not much larger than what found room in this one.
    if (refused.length > 0) room = Math.max(2 * (batch.length - refused.length), 1)
  }
  return replies
}

function rethrow(_: unknown, fault: unknown): never {
  throw fault
}

function isOverload(outcome: PromiseSettledResult<unknown> | undefined): boolean {
  return outcome?.status === 'rejected' && outcome.reason instanceof MemcacheOverloadError
}

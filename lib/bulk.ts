import type { CallOptions, Execute, Op, Reply, Request } from './commands.ts'
import { MemcacheOverloadError } from './errors.ts'

/** How many requests of one call are under way at a time: all of them, except in the largest calls. */
const BATCH = 500

/**
 * Executes requests of any number, for different keys, within one call's timeout; the replies are in the requests' order.
 * Those that find no room behind others of the same call wait for these. If one rejects, so does this, with the first
 * error, when all that were under way have settled: nothing goes on behind the caller's back.
 */
export async function executeAll<O extends Op>(
  execute: Execute,
  requests: readonly Request<O>[],
  call: CallOptions & { readonly timeout: number },
): Promise<Reply<O>[]> {
  const started = performance.now()
  const replies = new Array<Reply<O>>(requests.length)
  let waiting = [...requests.keys()]
  while (waiting.length > 0) {
    const batch = waiting.slice(0, BATCH)
    const timeout = waiting.length === requests.length ? call.timeout : Math.max(started + call.timeout - performance.now(), 1)
    const outcomes = await Promise.allSettled(batch.map((place) => execute(requests[place] as Request<O>, { ...call, timeout })))
    const refused: number[] = []
    outcomes.forEach((outcome, index) => {
      const place = batch[index] as number
      if (outcome.status === 'fulfilled') replies[place] = outcome.value
      else if (outcome.reason instanceof MemcacheOverloadError) refused.push(place)
      else throw outcome.reason
    })
    // Not one of a whole batch found room: the space is taken by others, whose end is not ours to wait for.
    const overload = outcomes[0]
    if (refused.length === batch.length && overload?.status === 'rejected') throw overload.reason
    waiting = [...refused, ...waiting.slice(batch.length)]
  }
  return replies
}

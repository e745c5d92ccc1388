import type { Key, Reply, Request } from './commands.ts'
import { foldOf, type Bytes, type Exchange, type Fold } from './driver.ts'
import type { Joint, Pending } from './pending.ts'
import type { Way } from './ways.ts'

/**
 * Concurrent gets that travel as one multi-key get. memcached before 1.6.35 flushes the reply to each single get by itself,
 * which costs it and us a system call for every one of them; it answers many keys with one.
 *
 * Each member keeps its own place among what is pending, its deadline and its signal. Only the bytes and the reply are shared.
 */
export class JoinedGets implements Joint {
  readonly members: readonly Pending<'get'>[]
  readonly request: Request<'getMulti'>
  readonly bytes: Bytes
  readonly fold: Fold<Reply<'getMulti'>, never>
  frames = 0
  arrived = 0
  /** The keys that were found, gathered when one is looked for. */
  #found: Set<Key> | undefined

  constructor(members: readonly Pending<'get'>[], way: Way, opaque: number) {
    this.members = members
    this.request = { op: 'getMulti', keys: members.map(({ request }) => request.key), cas: members[0]?.request.cas ?? false }
    const exchange = way as unknown as Exchange<'getMulti', never>
    this.bytes = exchange.encode(this.request, opaque)
    this.fold = foldOf(exchange, this.request, opaque, (place, item) => {
      this.arrived += 1
      members[place]?.resolve(item)
    })
  }

  hasTwin(index: number, items: Reply<'getMulti'>): boolean {
    const { keys } = this.request
    this.#found ??= new Set(keys.filter((_, place) => items[place] !== undefined))
    return this.#found.has(keys[index] as Key)
  }
}

/** Whether asking memcached twice does the same as asking once. */
export function isRepeatable({ request }: Pending): boolean {
  return request.op === 'get' && request.touch === undefined
}

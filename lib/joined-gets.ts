/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { Item, Reply, Request } from './commands.ts'
import type { Bytes, Exchange, Fold } from './driver.ts'
import type { Joint, Pending } from './pending.ts'

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
  /** Which of the keys each member has asked for; `undefined`: its own, as they are all different. */
  readonly #places: readonly number[] | undefined

  constructor(members: readonly Pending<'get'>[], { encode, decode }: Exchange<'getMulti', never>, opaque: number) {
    const places = new Map<string, number>()
    for (const { request } of members) if (!places.has(request.key)) places.set(request.key, places.size)
    this.members = members
    this.#places = places.size < members.length ? members.map(({ request }) => places.get(request.key) as number) : undefined
    this.request = { op: 'getMulti', keys: [...places.keys()], cas: members[0]?.request.cas ?? false }
    this.bytes = encode(this.request, opaque)
    this.fold = decode(this.request, opaque)
  }

  /** Who asks for a key that another one has got already gets bytes of his own. */
  itemFor(index: number, items: Reply<'getMulti'>): Item | undefined {
    if (this.#places === undefined) return items[index]
    const place = this.#places[index] as number
    const item = items[place]
    return item === undefined || this.#places.indexOf(place) === index ? item : { ...item, value: Buffer.from(item.value) }
  }
}

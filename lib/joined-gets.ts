/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { Item, Key, Reply, Request } from './commands.ts'
import { foldOf, type Bytes, type Exchange, type Fold } from './driver.ts'
import type { Joint, Pending } from './pending.ts'
import { plain } from './received-item.ts'
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
  /** The hits by their keys, made when one is looked for. */
  #hits: Map<Key, Item> | undefined

  constructor(members: readonly Pending<'get'>[], way: Way, opaque: number) {
    this.members = members
    this.request = { op: 'getMulti', keys: members.map(({ request }) => request.key), cas: members[0]?.request.cas ?? false }
    const exchange = way as unknown as Exchange<'getMulti', never>
    this.bytes = exchange.encode(this.request, opaque)
    this.fold = foldOf(exchange, this.request, opaque)
  }

  itemFor(index: number, items: Reply<'getMulti'>): Item | undefined {
    return items[index] ?? this.#twinOf(this.request.keys[index] as Key, items)
  }

  /** memcached answers a key as often as it was asked for. Who does not has answered another member with the same key. */
  #twinOf(key: Key, items: Reply<'getMulti'>): Item | undefined {
    this.#hits ??= new Map(items.flatMap((item, place) => (item === undefined ? [] : [[this.request.keys[place] as Key, item]])))
    const twin = this.#hits.get(key)
    return twin && { ...plain(twin), value: Buffer.from(twin.value) }
  }
}

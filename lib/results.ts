/// <reference types="node" preserve="true" />
import type { CasIds } from './cas-ids.ts'
import { readItem } from './codec.ts'
import type { Item, Key, MetaItem, StoreStatus } from './commands.ts'
import type { ValueFormat } from './format.ts'

/** A value and the id of its version, as `gets` gives them. */
export interface Versioned<T> {
  readonly value: T
  /** To be given to `cas`. Queue servers have no such ids and leave it `undefined`. */
  readonly cas: bigint
}

/** What the caller gets of an item that was asked for by this key. The caller says what type the value has. */
export type Read<I, R> = (item: I, request: { readonly key: Key }) => R

/** What a client's callers get in place of the items and words of replies. */
export class Results {
  readonly #values: ValueFormat
  /** Where the cas ids are remembered that were seen, if they are. */
  readonly #casIds: CasIds | undefined

  constructor(values: ValueFormat, casIds: CasIds | undefined) {
    this.#values = values
    this.#casIds = casIds
  }

  readonly value: Read<Item | undefined, unknown> = (item, { key }) => item && readItem(this.#values, item, key)

  readonly versioned: Read<Item | undefined, Versioned<unknown> | undefined> = (item, { key }) => {
    if (item === undefined) return undefined
    const value = readItem(this.#values, item, key)
    if (item.cas !== undefined) this.#casIds?.remember(key, item.cas)
    return { value, cas: item.cas as bigint }
  }

  readonly described: Read<MetaItem | undefined, MetaItem<unknown> | undefined> = (item, { key }) =>
    item && { ...item, value: readItem(this.#values, item, key) }
}

/** A store whose condition failed is `false`, whichever it was. */
export function isStored(status: StoreStatus): boolean {
  return status === 'stored'
}

/** A reply that is the result. */
export function same<R>(reply: R): R {
  return reply
}

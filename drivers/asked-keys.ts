/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { Key } from '../lib/commands.ts'

/** The keys of a multi-key request, which are to be found again by the bytes that the reply names them by. */
export class AskedKeys {
  readonly #keys: readonly Key[]
  /** The bytes of all keys, one behind the other: to be compared with others, those of a string are slower to come by. */
  #bytes: Buffer | undefined
  /** The key that may come next, and where its bytes begin. */
  #next = 0
  #start = 0
  #places: Map<Key, number> | undefined

  constructor(keys: readonly Key[]) {
    this.#keys = keys
  }

  /** The place of the key that these bytes are, if it is one whose turn has not passed: memcached answers in the order of the request. */
  next(bytes: Buffer, from: number, to: number): number | undefined {
    const keys = this.#keys
    this.#bytes ??= Buffer.from(keys.join(''), 'latin1')
    for (let place = this.#next, start = this.#start; place < keys.length; place += 1) {
      const { length } = keys[place] as Key
      if (length === to - from && equal(this.#bytes, start, bytes, from, length)) {
        this.#next = place + 1
        this.#start = start + length
        return place
      }
      start += length
    }
    return undefined
  }

  /** The same in any order, as some proxies answer. */
  any(bytes: Buffer, from: number, to: number): number | undefined {
    const place = this.next(bytes, from, to)
    if (place !== undefined) return place
    this.#next = this.#keys.length // from here on the order says nothing
    this.#places ??= new Map(this.#keys.map((key, place) => [key, place]))
    return this.#places.get(bytes.toString('latin1', from, to))
  }
}

/** From the last byte on: most keys begin like others. */
function equal(left: Buffer, leftStart: number, right: Buffer, rightStart: number, length: number): boolean {
  for (let index = length - 1; index >= 0; index -= 1) if (left[leftStart + index] !== right[rightStart + index]) return false
  return true
}

/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { Key } from '../lib/commands.ts'
import { SPACE } from './line.ts'

/** Bytes: longer memory is a long value's, and is not to be kept for the sake of a view of it. */
const LONGEST_KEPT = 128 * 1024

/** The keys of a multi-key request, which are to be found again by the bytes that the reply names them by. */
export class AskedKeys {
  readonly #keys: readonly Key[]
  /** The bytes of all keys, one behind the other: to be compared with others, those of a string are slower to come by. */
  #bytes: DataView | undefined
  /** The key that may come next, and where its bytes begin. */
  #next = 0
  #start = 0
  #places: Map<Key, number[]> | undefined

  constructor(keys: readonly Key[]) {
    this.#keys = keys
  }

  /** Where the name ends that begins here, if it is that of the key that may come next, with a blank behind it; else -1. */
  endOfNext(bytes: Buffer, from: number, to: number): number {
    const key = this.#keys[this.#next]
    if (key === undefined || this.#bytes === undefined) return -1
    const end = from + key.length
    return end < to && bytes[end] === SPACE && equal(this.#bytes, this.#start, viewOfRead(bytes), from, key.length) ? end : -1
  }

  /** The place of that key, which has come. */
  takeNext(): number {
    this.#start += (this.#keys[this.#next] as Key).length
    return this.#next++
  }

  /** The place of the key that these bytes are, if it is one whose turn has not passed: memcached answers in the order of the request. */
  next(bytes: Buffer, from: number, to: number): number | undefined {
    const keys = this.#keys
    const asked = (this.#bytes ??= viewOf(Buffer.from(keys.join(''), 'latin1')))
    const named = viewOfRead(bytes)
    for (let place = this.#next, start = this.#start; place < keys.length; place += 1) {
      const { length } = keys[place] as Key
      if (length === to - from && equal(asked, start, named, from, length)) {
        this.#next = place + 1
        this.#start = start + length
        return place
      }
      start += length
    }
    return undefined
  }

  /** The same in any order, as some proxies answer. Of a key that is there twice it is the place that has none of these yet, if there is one. */
  any(bytes: Buffer, from: number, to: number, items: readonly unknown[]): number | undefined {
    const place = this.next(bytes, from, to)
    if (place !== undefined) return place
    this.#next = this.#keys.length // from here on the order says nothing
    this.#places ??= placesOf(this.#keys)
    const places = this.#places.get(bytes.toString('latin1', from, to))
    return places?.find((each) => items[each] === undefined) ?? places?.[0]
  }
}

function placesOf(keys: readonly Key[]): Map<Key, number[]> {
  const places = new Map<Key, number[]>()
  for (const [place, key] of keys.entries()) {
    const known = places.get(key)
    if (known === undefined) places.set(key, [place])
    else known.push(place)
  }
  return places
}

/** By which four bytes can be read at once. */
function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length)
}

let lastRead: Buffer | undefined
let lastView: DataView | undefined

/** The view of what was read, which in most replies is the same memory again and again. */
function viewOfRead(bytes: Buffer): DataView {
  if (lastView !== undefined && lastRead === bytes) return lastView
  const view = viewOf(bytes)
  if (bytes.length <= LONGEST_KEPT) [lastRead, lastView] = [bytes, view]
  return view
}

/** From the last bytes on: most keys begin like others. */
function equal(left: DataView, leftStart: number, right: DataView, rightStart: number, length: number): boolean {
  let index = length - 4
  for (; index >= 0; index -= 4) if (left.getInt32(leftStart + index) !== right.getInt32(rightStart + index)) return false
  for (index += 3; index >= 0; index -= 1) if (left.getInt8(leftStart + index) !== right.getInt8(rightStart + index)) return false
  return true
}

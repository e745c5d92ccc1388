/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import type { ByteInput } from './byte-input.ts'
import { Callable } from './pickle-callables.ts'
import { Dict } from './pickle-dict.ts'
import { MOST_OBJECTS } from './plain-data.ts'

/** Strings are remembered too, which are no objects. */
const MOST_REMEMBERED = 2 * MOST_OBJECTS

/** Python's unpickler: a stack, marks in it, and a memo of what may be named again. */
export class PickleMachine {
  readonly #input: ByteInput
  #stack: unknown[] = []
  /** The stacks that stood when a mark was set: what lies below a mark is out of reach. */
  readonly #marked: unknown[][] = []
  /** Mostly without gaps; none of the values is `undefined`. */
  readonly #memo: unknown[] = []
  #remembered = 0
  #objects = 0
  /** What calls may still copy. */
  #budget: number

  constructor(input: ByteInput) {
    this.#input = input
    this.#budget = input.left
  }

  /** The only value, at the end. */
  result(): unknown {
    const value = this.pop()
    if (this.#stack.length > 0 || this.#marked.length > 0) throw new MemcacheValueError('the pickle ends in the middle of a value')
    if (this.#input.left > 0) throw new MemcacheValueError(`there are ${this.#input.left} bytes behind the end of the pickle`)
    return value
  }

  /** Pushes what is no object. */
  push(value: unknown): void {
    this.#stack.push(value)
  }

  /** Pushes a new object. */
  make(value: object): void {
    this.#objects += 1
    if (this.#objects > MOST_OBJECTS) throw new MemcacheValueError(`the pickle has more than ${MOST_OBJECTS} objects`)
    this.#stack.push(value)
  }

  /** Pushes bytes, in memory of their own. */
  makeBytes(bytes: Buffer): void {
    this.make(Buffer.from(bytes))
  }

  /** What was pushed last, which stays. */
  top(): unknown {
    if (this.#stack.length === 0) throw new MemcacheValueError('the pickle takes more from its stack than it has put there')
    return this.#stack[this.#stack.length - 1]
  }

  /** What was pushed last. */
  pop(): unknown {
    const value = this.top()
    this.#stack.length -= 1
    return value
  }

  /** Pushes the tuple of what was pushed last. */
  makeTuple(length: number): void {
    const items = Array.from({ length }, () => this.pop())
    this.make(items.reverse())
  }

  /** Sets a mark. */
  mark(): void {
    if (this.#marked.push(this.#stack) > MOST_OBJECTS) throw new MemcacheValueError(`the pickle has more than ${MOST_OBJECTS} marks`)
    this.#stack = []
  }

  /** What was pushed since the last mark. */
  sinceMark(): unknown[] {
    const below = this.#marked.pop()
    if (below === undefined) throw new MemcacheValueError('the pickle goes back to a mark that it has not set')
    const above = this.#stack
    this.#stack = below
    return above
  }

  /** Drops what was pushed last, or the mark if nothing was since. */
  drop(): void {
    if (this.#stack.length === 0 && this.#marked.length > 0) this.sinceMark()
    else this.pop()
  }

  /** Remembers what was pushed last. */
  put(index: number): void {
    if (this.#memo[index] === undefined) this.#remembered += 1
    if (this.#remembered > MOST_REMEMBERED) throw new MemcacheValueError(`the pickle remembers more than ${MOST_REMEMBERED} values`)
    this.#memo[index] = this.top()
  }

  /** Remembers what was pushed last, behind all that is remembered. */
  memoize(): void {
    this.put(this.#remembered)
  }

  /** Pushes what is remembered. */
  get(index: number): void {
    const value = this.#memo[index]
    if (value === undefined) throw new MemcacheValueError(`the pickle refers to its value ${index}, which it does not have`)
    this.push(value)
  }

  /** To the list that was pushed last. */
  append(items: readonly unknown[]): void {
    const list = this.top()
    if (!Array.isArray(list)) throw new MemcacheValueError('the pickle appends to what is no list')
    for (const item of items) list.push(item)
  }

  /** To the set that was pushed last. */
  addItems(items: readonly unknown[]): void {
    const set = this.top()
    if (!(set instanceof Set)) throw new MemcacheValueError('the pickle adds to what is no set')
    for (const item of items) set.add(item)
  }

  /** Keys and values in turn, to the dict that was pushed last. */
  setItems(items: readonly unknown[]): void {
    const dict = this.top()
    if (!(dict instanceof Dict)) throw new MemcacheValueError('the pickle sets an item of what is no dict')
    dict.add(items)
  }

  /** Calls what was pushed before the last, with the last as its arguments. */
  reduce(): void {
    const args = this.pop()
    const callable = this.pop()
    if (!(callable instanceof Callable) || !Array.isArray(args)) throw new MemcacheValueError('the pickle calls what cannot be called')
    this.make(callable.call(args, (amount) => this.#spend(amount)))
  }

  #spend(amount: number): void {
    this.#budget -= amount
    if (this.#budget < 0) throw new MemcacheValueError('the pickle makes more of its values than can be in it')
  }
}

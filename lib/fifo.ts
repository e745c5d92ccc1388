const SMALLEST = 16
/** A ring that a burst has blown up beyond this is given back once it is empty. */
const KEPT = 1024

/** First in, first out, in a ring that doubles when it is full: constant time at any depth. */
export class Fifo<T> {
  #ring = ring<T>(SMALLEST)
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#grow()
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = item
    this.#length += 1
  }

  /** The item that is next to leave. */
  peek(): T | undefined {
    return this.#ring[this.#head]
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#ring[this.#head]
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.#length -= 1
    if (this.#length === 0 && this.#ring.length > KEPT) {
      this.#ring = ring<T>(SMALLEST)
      this.#head = 0
    }
    return item
  }

  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let i = 0; i < this.#length; i += 1) yield this.#ring[(this.#head + i) & (this.#ring.length - 1)] as T
  }

  #grow(): void {
    const { length } = this.#ring
    const larger = ring<T>(length * 2)
    for (let i = 0; i < length; i += 1) larger[i] = this.#ring[(this.#head + i) & (length - 1)]
    this.#ring = larger
    this.#head = 0
  }
}

/** A ring of `size` empty places; a power of two, so that a mask wraps its index. */
function ring<T>(size: number): (T | undefined)[] {
  return new Array<T | undefined>(size).fill(undefined)
}

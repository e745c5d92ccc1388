/// <reference types="node" preserve="true" />

/**
 * What a connection has received and not used yet, seen through memcached's read buffer of 16 KiB: a command line has
 * to end inside it. That decides when replies leave and which long lines end a connection, however the bytes arrived.
 */

const WINDOW = 16 * 1024
const LF = 0x0a
const CR = 0x0d
const EMPTY = Buffer.alloc(0)

/** One connection's input. */
export class ReadBuffer {
  #bytes: Buffer = EMPTY
  /** Unused bytes are `#start` to `#end`, of which the read buffer holds those before `#seen`. */
  #start = 0
  #seen = 0
  #end = 0
  /** No line feed before this; so that input in small pieces is not searched again and again. */
  #searched = 0
  #own = false
  #unbounded = false

  /** Bytes in the read buffer. */
  get length(): number {
    return this.#seen - this.#start
  }

  /** The read buffer is full, so waiting for more is in vain. */
  get full(): boolean {
    return !this.#unbounded && this.length >= WINDOW
  }

  /** Takes over a chunk from the socket. */
  append(chunk: Buffer): void {
    if (this.#start === this.#end) {
      this.#bytes = chunk
      this.#start = this.#seen = this.#searched = 0
      this.#end = chunk.length
      this.#own = false
      return
    }
    if (!this.#own || this.#end + chunk.length > this.#bytes.length) this.#makeRoom(chunk.length)
    chunk.copy(this.#bytes, this.#end)
    this.#end += chunk.length
  }

  /** Moves received bytes into the read buffer; false when there are none, or no place. */
  read(): boolean {
    // As memcached gives up a grown buffer once it is empty.
    if (this.#start === this.#seen) this.#unbounded = false
    const seen = this.#unbounded ? this.#end : Math.min(this.#end, this.#start + WINDOW)
    if (seen === this.#seen) return false
    this.#seen = seen
    return true
  }

  /** Lets the read buffer grow without limit until it was empty once: for the keys of one `get`. */
  grow(): void {
    this.#unbounded = true
  }

  /** The next line without its LF or CRLF, as latin1; `undefined` when it has not ended yet. */
  line(): string | undefined {
    const found = this.#bytes.subarray(0, this.#seen).indexOf(LF, Math.max(this.#start, this.#searched))
    if (found === -1) {
      this.#searched = this.#seen
      return undefined
    }
    const start = this.#start
    this.#start = found + 1
    // A line of nothing but CR LF keeps the CR.
    const end = found - start > 1 && this.#bytes[found - 1] === CR ? found - 1 : found
    return this.#bytes.toString('latin1', start, end)
  }

  /** The read buffer's first bytes as latin1, without using them. */
  peek(length: number): string {
    return this.#bytes.toString('latin1', this.#start, Math.min(this.#start + length, this.#seen))
  }

  /** The read buffer's first `length` bytes, without using them; `undefined` when it does not hold so many. */
  view(length: number): Buffer | undefined {
    return this.length < length ? undefined : this.#bytes.subarray(this.#start, this.#start + length)
  }

  /** Uses up to `target.length - offset` received bytes, also past the read buffer, as memcached reads values. */
  take(target: Buffer, offset: number): number {
    const count = Math.min(target.length - offset, this.#end - this.#start)
    this.#bytes.copy(target, offset, this.#start, this.#start + count)
    return this.skip(count)
  }

  /** Drops up to `count` received bytes, also past the read buffer; answers how many. */
  skip(count: number): number {
    const skipped = Math.min(count, this.#end - this.#start)
    this.#start += skipped
    this.#seen = Math.max(this.#seen, this.#start)
    return skipped
  }

  /** Moves the unused bytes to the front of a buffer of our own that has room for `count` more. */
  #makeRoom(count: number): void {
    const needed = this.#end - this.#start + count
    const target = this.#own && needed <= this.#bytes.length ? this.#bytes : Buffer.allocUnsafeSlow(Math.max(2 * needed, WINDOW))
    this.#bytes.copy(target, 0, this.#start, this.#end)
    this.#bytes = target
    this.#own = true
    this.#end -= this.#start
    this.#seen -= this.#start
    this.#searched = Math.max(0, this.#searched - this.#start)
    this.#start = 0
  }
}

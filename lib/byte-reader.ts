/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { giveMemory, takeMemory } from './spare-memory.ts'

/** What Node reads at a time; larger falls out of a processor's cache. */
const MEMORY = 64 * 1024
/** Room in front of what is read, for the piece of a header that came before it: longer than nearly all headers are. */
const MARGIN = 512

let memory: Buffer | undefined

/** The memory that all sockets read into: what is read is parsed at once, and what has to outlive that is copied. */
export function readMemory(): Buffer {
  return (memory ??= Buffer.allocUnsafeSlow(MARGIN + MEMORY)).subarray(MARGIN)
}

/** The same bytes, where the next read does not overwrite them. */
export function kept(bytes: Buffer): Buffer {
  return bytes.buffer === memory?.buffer ? Buffer.from(bytes) : bytes
}

/** Some of what was read, for a reply that may need it in a later turn: its bytes have been moved then. */
export class Chunk {
  bytes: Buffer
  /** What was wanted of it has been read, … */
  spent = false
  /** … but somebody has a Buffer that is a part of it. */
  shared = false
  /** How far they have been moved to the front: where they were read, and whoever was lent them, counts from there. */
  moved = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** Copies what it holds of these places, and nothing else. */
  keep(from: number, to: number): void {
    const copy = Buffer.allocUnsafe(to - from)
    this.bytes.copy(copy, 0, from, to)
    this.bytes = copy
    this.moved = from
  }
}

/**
 * The bytes that a server sent and nobody has read yet, in one piece to parse frames from.
 *
 *     feed(bytes, n)   takes n bytes in; they may be the socket's own buffer, which is overwritten after this turn
 *     bytes[start…end) is unread: a whole frame is read by moving on behind it with advance()
 *     need(n)          the frame at `start` has n bytes in all: until they are here, nobody looks again
 *     release()        a reply is whole: nothing that was lent for it is needed when this turn ends
 *     keep()           ends the turn: what is unread is copied out of it, and what was lent and not released
 *
 * A frame whose size is known from its header is gathered in memory of that size, or a little more, so a value of any length
 * is copied once, in however many chunks it comes. When its reply is whole, and text was made of it, another frame is
 * gathered there. Only the piece of a header is ever joined with what follows it.
 */
export class ByteReader {
  bytes: Buffer = EMPTY
  start = 0
  end = 0
  /** The size of the unfinished frame at `start`; 0 where its header does not say it yet. */
  #needed = 0
  /** Whether `bytes` holds the frame at `start` and has room for nothing else. */
  #gathering = false
  /** What the last chunk held behind the frame that was being gathered. */
  #rest: Buffer = EMPTY
  /** Whether `bytes` is what was fed, which is overwritten after this turn. */
  #borrowed = false
  /** `bytes`, as they were lent, and where the first frame begins that they were lent for. */
  #lent: Chunk | undefined
  #lentFrom = 0
  /** What frames were gathered in and lent, and how many of these are of replies that are whole. */
  readonly #gathered: Chunk[] = []
  #whole = 0

  feed(bytes: Buffer, length = bytes.length): void {
    if (this.#gathering) this.#gather(bytes, length)
    else if (this.start === this.end) this.#read(bytes, 0, length)
    else this.#join(bytes, length)
  }

  /** Whether there is something to parse: no bytes, or only a part of a frame of known size, are not worth a look. */
  get ready(): boolean {
    const unread = this.end - this.start
    return unread > 0 && unread >= this.#needed
  }

  /** The frame at `start` has `size` bytes in all. Gives undefined, which is what a parser says when it has to wait. */
  need(size: number): undefined {
    this.#needed = size
  }

  /** The frame at `start` ends before `next`: the one behind it begins there. */
  advance(next: number): void {
    this.start = next
    this.#needed = 0
    if (!this.#gathering) return
    this.#gathering = false
    this.#read(this.#rest, 0, this.#rest.length)
    this.#rest = EMPTY
  }

  /** What the frame at `start` is in, in the same places as long as the turn lasts. */
  lend(): Chunk {
    if (this.#lent === undefined) {
      this.#lent = new Chunk(this.bytes)
      this.#lentFrom = this.start
      if (this.#gathering) this.#gathered.push(this.#lent)
    }
    return this.#lent
  }

  /** Nothing is needed any more that was lent of the frames before `start`. */
  release(): void {
    this.#lentFrom = this.start
    this.#whole = this.#gathered.length
  }

  /**
   * Some bytes of the frame at `start`, which stay as they are. Small ones share memory with others of their chunk, which
   * is copied as a whole when the first of its frames asks: whoever hands them out for long copies them once more.
   */
  slice(from: number, to: number): Buffer {
    if (this.#borrowed) this.#own()
    if (this.#gathering) this.lend().shared = true
    return this.bytes.subarray(from, to)
  }

  keep(): void {
    if (this.#whole > 0) this.#reuse()
    if (this.#lent !== undefined && this.#borrowed && this.#lentFrom < this.start) this.#lent.keep(this.#lentFrom, this.start)
    if (this.#gathering) return
    const unread = this.end - this.start
    if (unread === 0) return this.#read(EMPTY, 0, 0)
    const kept = takeMemory(Math.max(unread, this.#needed))
    this.bytes.copy(kept, 0, this.start, this.end)
    this.#read(kept, 0, unread)
    this.#borrowed = false
    this.#gathering = this.#needed > 0
  }

  /** What the replies that are whole have left: who was owed them has read them in this turn, or never will. */
  #reuse(): void {
    for (const { bytes, spent, shared } of this.#gathered.splice(0, this.#whole)) if (spent && !shared) giveMemory(bytes)
    this.#whole = 0
  }

  #read(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes
    this.start = start
    this.end = end
    this.#borrowed = true
    this.#lent = undefined
  }

  /** In the same places as before, so that a parser's own indexes stay true, and those of who was lent the bytes. */
  #own(): void {
    const from = this.#lent === undefined ? this.start : this.#lentFrom
    const copy = Buffer.allocUnsafe(this.end)
    this.bytes.copy(copy, from, from, this.end)
    this.bytes = copy
    if (this.#lent !== undefined) this.#lent.bytes = copy
    this.#borrowed = false
  }

  /** The piece of a header, and what follows it: in the margin of what follows, where that has one. */
  #join(bytes: Buffer, length: number): void {
    const piece = this.bytes.subarray(this.start, this.end)
    if (memory !== undefined && bytes.buffer === memory.buffer && piece.length <= MARGIN) {
      piece.copy(memory, MARGIN - piece.length)
      return this.#read(memory, MARGIN - piece.length, MARGIN + length)
    }
    const joined = Buffer.concat([piece, bytes.subarray(0, length)])
    this.#read(joined, 0, joined.length)
    this.#borrowed = false
  }

  #gather(bytes: Buffer, length: number): void {
    const missing = this.#needed - this.end
    bytes.copy(this.bytes, this.end, 0, Math.min(missing, length))
    this.end += Math.min(missing, length)
    if (length > missing) this.#rest = bytes.subarray(missing, length)
  }
}

const EMPTY = Buffer.alloc(0)

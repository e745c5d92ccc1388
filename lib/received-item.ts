/// <reference types="node" preserve="true" />
import { Buffer, isAscii } from 'node:buffer'
import type { Chunk } from './byte-reader.ts'
import type { Item } from './commands.ts'

/** Bytes: of so many it takes less time to look whether they are ASCII, which is read fastest, than to read them as UTF-8. */
const LONG = 1024

/**
 * An item whose bytes are still where they were read. Most are wanted as text, for which no Buffer has to be made of them first.
 * Who keeps one for longer than the reply, or hands it on, makes it {@link plain}.
 */
export class ReceivedItem implements Item {
  readonly flags: number
  readonly cas: bigint | undefined
  readonly chunk: Chunk
  /** The value is what stands in the chunk from here on, … */
  readonly from: number
  /** … before here. */
  readonly to: number

  constructor(chunk: Chunk, from: number, to: number, flags: number, cas: bigint | undefined) {
    this.flags = flags
    this.cas = cas
    this.chunk = chunk
    this.from = from
    this.to = to
  }

  /** Bytes of the value. */
  get length(): number {
    return this.to - this.from
  }

  get value(): Buffer {
    this.chunk.shared = true
    return this.#view
  }

  /** The value in memory of its own. */
  get copy(): Buffer {
    const { bytes, moved } = this.chunk
    const copy = Buffer.allocUnsafe(this.length)
    bytes.copy(copy, 0, this.from - moved, this.to - moved)
    return copy
  }

  /** The value as UTF-8; what is none is replaced by U+FFFD. */
  get text(): string {
    this.chunk.spent = true
    if (this.length >= LONG) {
      const view = this.#view
      if (isAscii(view)) return view.toString('latin1')
    }
    const { bytes, moved } = this.chunk
    return bytes.toString('utf8', this.from - moved, this.to - moved)
  }

  get #view(): Buffer {
    const { bytes, moved } = this.chunk
    return bytes.subarray(this.from - moved, this.to - moved)
  }
}

/** The item as data of its own, as the vocabulary has it. */
export function plain({ value, flags, cas }: Item): Item {
  return { value, flags, cas }
}

/// <reference types="node" preserve="true" />

/**
 * The replies of one connection that were made and not sent yet. memcached gathers them until it waits for input, a
 * retrieval ends, or after 20 commands; what is dropped before that never leaves. What it has flushed is certain to
 * leave, and does so here in one write for all that one read brought.
 */

/** A piece of a reply: latin1 text, or bytes that nobody changes any more. */
export type Piece = string | Buffer

/** From this size on a value goes out as it is, instead of being copied into a larger buffer. */
const COPY_BELOW = 16 * 1024

/** One connection's output, before it goes through the fault switches. */
export class ReplyQueue {
  #pieces: Piece[] = []
  /** How many of the pieces belong to finished replies, and how many of those were flushed. */
  #complete = 0
  #flushed = 0
  #replace: () => Buffer | undefined
  #send: (batch: Buffer[]) => void

  /** `replace` may give bytes to send in a reply's place; `send` takes replies that leave together. */
  constructor(replace: () => Buffer | undefined, send: (batch: Buffer[]) => void) {
    this.#replace = replace
    this.#send = send
  }


  /** Adds to the reply to the command at hand. */
  write(piece: Piece): void {
    this.#pieces.push(piece)
  }

  /** The command at hand is answered; with nothing written it has no reply. */
  end(): void {
    if (this.#pieces.length === this.#complete) return
    const other = this.#replace()
    if (other !== undefined) {
      this.#pieces.length = this.#complete
      this.#pieces.push(other)
    }
    this.#complete = this.#pieces.length
  }

  /** Forgets all replies that were not flushed. */
  drop(): void {
    this.#pieces.length = this.#flushed
    this.#complete = this.#flushed
  }

  /** From here on the replies so far cannot be dropped. */
  flush(): void {
    this.#flushed = this.#complete
  }

  /** Sends what was flushed. */
  send(): void {
    if (this.#flushed === 0) return
    const batch = joined(this.#pieces.splice(0, this.#flushed))
    this.#complete -= this.#flushed
    this.#flushed = 0
    this.#send(batch)
  }
}

/** The same bytes in as few buffers as copying only small pieces allows. */
function joined(pieces: readonly Piece[]): Buffer[] {
  const batch: Buffer[] = []
  let first = 0
  let length = 0
  for (const [index, piece] of pieces.entries()) {
    if (piece.length < COPY_BELOW || typeof piece === 'string') {
      length += piece.length
      continue
    }
    if (length > 0) batch.push(concatenated(pieces, first, index, length))
    batch.push(piece)
    first = index + 1
    length = 0
  }
  if (length > 0) batch.push(concatenated(pieces, first, pieces.length, length))
  return batch
}

function concatenated(pieces: readonly Piece[], first: number, end: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let offset = 0
  for (let index = first; index < end; index++) {
    const piece = pieces[index]!
    offset += typeof piece === 'string' ? bytes.write(piece, offset, 'latin1') : piece.copy(bytes, offset)
  }
  return bytes
}

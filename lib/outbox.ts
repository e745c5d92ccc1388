import type { Socket } from 'node:net'
import type { Bytes } from './driver.ts'
import { Fifo } from './fifo.ts'
import type { GetJoiner } from './get-joiner.ts'
import type { Pending } from './pending.ts'

/** How much is handed to the socket before it is asked whether it has room for more, in bytes. */
const PIECE = 64 * 1024

/** The requests that are called but not written: they leave in the order of the calls, many in one write. */
export class Outbox {
  readonly #unsent = new Fifo<Pending>()

  get length(): number {
    return this.#unsent.length
  }

  push(pending: Pending): void {
    this.#unsent.push(pending)
  }

  [Symbol.iterator](): Generator<Pending, void, undefined> {
    return this.#unsent[Symbol.iterator]()
  }

  /**
   * Writes what waits, as far as the socket has room; the rest can still be taken back. `leave` is told of each request
   * before its bytes go; it says whether they are still wanted.
   */
  flush(socket: Socket, leave: (pending: Pending) => boolean, joiner: GetJoiner): void {
    while (this.#unsent.length > 0 && !socket.writableNeedDrain) this.#writePiece(socket, leave, joiner)
  }

  #writePiece(socket: Socket, leave: (pending: Pending) => boolean, joiner: GetJoiner): void {
    const piece = new Piece(socket)
    let run: Pending<'get'>[] = []
    for (let size = 0; size < PIECE; ) {
      const next = this.#unsent.shift()
      if (next === undefined) break
      if (!leave(next)) continue
      size += next.size
      if (run.length > 0 && !joiner.follows(next, run)) {
        piece.add(joiner.join(run))
        run = []
      }
      if (joiner.takes(next)) run.push(next)
      else piece.add(next.take())
    }
    if (run.length > 0) piece.add(joiner.join(run))
    piece.write()
  }
}

/**
 * What is handed to a socket at a time. Lines and short values are gathered in one latin1 string, which Node turns into bytes
 * fastest. A long value goes by reference, corked with the text around it, so that a command and its data leave in one system call.
 */
class Piece {
  readonly #socket: Socket
  #text = ''
  #corked = false

  constructor(socket: Socket) {
    this.#socket = socket
  }

  add(bytes: Bytes): void {
    if (typeof bytes === 'string') {
      this.#text += bytes
      return
    }
    for (const part of bytes) {
      if (typeof part === 'string') {
        this.#text += part
        continue
      }
      if (!this.#corked) this.#socket.cork()
      this.#corked = true
      this.#writeText()
      this.#socket.write(part)
    }
  }

  write(): void {
    this.#writeText()
    if (this.#corked) this.#socket.uncork()
  }

  #writeText(): void {
    if (this.#text !== '') this.#socket.write(this.#text, 'latin1')
    this.#text = ''
  }
}

import type { Socket } from 'node:net'
import { Fifo } from './fifo.ts'
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
  flush(socket: Socket, leave: (pending: Pending) => boolean): void {
    while (this.#unsent.length > 0 && !socket.writableNeedDrain) this.#writePiece(socket, leave)
  }

  /**
   * Lines and short values are gathered in one latin1 string, which Node turns into bytes fastest. A long value goes by
   * reference, corked with the text around it, so that a command and its data leave in one system call.
   */
  #writePiece(socket: Socket, leave: (pending: Pending) => boolean): void {
    let text = ''
    let corked = false
    let size = 0
    for (let next = this.#unsent.shift(); next !== undefined; next = size < PIECE ? this.#unsent.shift() : undefined) {
      if (!leave(next)) continue
      const { bytes } = next
      next.bytes = ''
      size += next.size
      if (typeof bytes === 'string') {
        text += bytes
        continue
      }
      for (const part of bytes) {
        if (typeof part === 'string') {
          text += part
          continue
        }
        if (!corked) socket.cork()
        corked = true
        if (text !== '') socket.write(text, 'latin1')
        text = ''
        socket.write(part)
      }
    }
    if (text !== '') socket.write(text, 'latin1')
    if (corked) socket.uncork()
  }
}

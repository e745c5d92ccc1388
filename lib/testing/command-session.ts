/// <reference types="node" preserve="true" />

import { ReadBuffer } from './read-buffer.ts'
import type { Item } from './item.ts'
import type { CommandContext, Engine, Peer, Session } from './session.ts'

/** Commands after which memcached turns to its other connections, and sends the replies so far. */
const COMMANDS_PER_TURN = 20

/** Receives an item's value. */
interface Upload { readonly item: Item; readonly target: Buffer; filled: number; readonly complete: () => void }

/**
 * What the protocols have in common: commands that come one after the other, the values behind some of them, and when
 * replies leave. How a command is cut out of the input is the protocol's own.
 */
export abstract class CommandSession implements Session, CommandContext {
  readonly engine: Engine
  readonly peer: Peer
  protected readonly input = new ReadBuffer()
  #upload: Upload | undefined
  #swallow = 0
  #held: Item[] = []
  #turn = COMMANDS_PER_TURN
  #closed = false

  constructor(engine: Engine, peer: Peer) {
    this.engine = engine
    this.peer = peer
  }

  /** Runs the command that the read buffer begins with; false when it is not there as a whole, and none was run. */
  protected abstract runNext(): boolean

  receive(chunk: Buffer): void {
    if (this.#closed) return
    this.engine.store.sweepFlushed()
    this.input.append(chunk)
    this.#turn = COMMANDS_PER_TURN
    while (!this.#closed && this.#step()) { /* until more input is needed */ }
  }

  hold(item: Item): void {
    item.holds++
    this.#held.push(item)
  }

  swallow(bytes: number): void {
    this.#swallow = bytes
  }

  flush(): void {
    this.peer.replies.end()
    this.peer.replies.flush()
    this.#letGo()
  }

  dropReplies(): void {
    this.peer.replies.drop()
    this.#letGo()
  }

  ignoreInput(): void {
    this.#closed = true
  }

  close(): void {
    this.dropReplies()
    this.dispose()
    this.peer.close()
  }

  dispose(): void {
    this.#closed = true
    this.#letGo()
    if (this.#upload !== undefined) this.engine.store.release(this.#upload.item)
    this.#upload = undefined
  }

  /** Fills `target`, which is the item's, from the input, then calls `complete`. */
  protected fill(item: Item, target: Buffer, complete: () => void): void {
    this.#upload = { item, target, filled: 0, complete }
  }

  /** One command, value or read; false when there is nothing to do before more input. */
  #step(): boolean {
    if (this.#swallow > 0) return this.#continueSwallow()
    if (this.#upload !== undefined) return this.#continueUpload(this.#upload)
    if (!this.runNext()) return !this.#closed && this.#readMore()
    if (this.#upload === undefined && this.#swallow === 0) this.#commandDone()
    return true
  }

  #continueSwallow(): boolean {
    this.#swallow -= this.input.skip(this.#swallow)
    if (this.#swallow > 0) return false
    this.#commandDone()
    return true
  }

  #continueUpload(upload: Upload): boolean {
    upload.filled += this.input.take(upload.target, upload.filled)
    if (upload.filled < upload.target.length) return false
    this.#upload = undefined
    upload.complete()
    this.#commandDone()
    return true
  }

  #commandDone(): void {
    this.peer.replies.end()
    if (this.#turn-- > 0) return
    this.flush()
    this.engine.store.counters.conn_yields++
    this.#turn = COMMANDS_PER_TURN - 1
  }

  #readMore(): boolean {
    this.flush()
    this.#turn = COMMANDS_PER_TURN
    if (this.input.read()) return true
    // What does not fit into the read buffer will never be there as a whole.
    if (this.input.full) this.close()
    return false
  }

  #letGo(): void {
    for (const item of this.#held) {
      item.holds--
      this.engine.store.release(item)
    }
    this.#held = []
  }
}

/// <reference types="node" preserve="true" />

import { Authentication } from './authentication.ts'
import { ReadBuffer } from './read-buffer.ts'
import { runCommand } from './text-commands.ts'
import type { Item } from './item.ts'
import type { Engine, Peer, Session } from './session.ts'
import type { TextContext } from './text-command.ts'

/** A line that has not ended after this many bytes ends the connection, unless it is a get. */
const LINE_LIMIT = 2048
/** Blanks in front of a long get that are let pass. */
const BLANKS_LIMIT = 100
/** Commands after which memcached turns to its other connections, and sends the replies so far. */
const COMMANDS_PER_TURN = 20

/** Receives an item's value, then tells whether it ended with CRLF. */
interface Upload { readonly item: Item; filled: number; readonly complete: (endsWell: boolean) => void }

/**
 * The text protocol on one connection: lines, the data blocks behind some of them, and when replies leave. What the
 * lines mean is in text-commands.ts.
 */
export class TextSession implements Session, TextContext {
  readonly engine: Engine
  readonly peer: Peer
  muted = false
  #input = new ReadBuffer()
  #upload: Upload | undefined
  #swallow = 0
  #held: Item[] = []
  /** Commands since the last flush, with the one at hand. */
  #unflushed = 0
  #turn = COMMANDS_PER_TURN
  #closed = false
  /** Until it has succeeded; `undefined` as well on a server without users. */
  #authentication: Authentication | undefined

  constructor(engine: Engine, peer: Peer) {
    this.engine = engine
    this.peer = peer
    const { auth } = engine.settings
    if (auth !== undefined) this.#authentication = new Authentication(auth, this)
  }

  get hasPending(): boolean {
    return this.#unflushed > 1
  }

  receive(chunk: Buffer): void {
    if (this.#closed) return
    this.engine.store.sweepFlushed()
    this.#input.append(chunk)
    this.#turn = COMMANDS_PER_TURN
    while (!this.#closed && this.#step()) { /* until more input is needed */ }
  }

  reply(line: string): void {
    if (this.muted) this.muted = false
    else this.peer.replies.write(`${line}\r\n`)
  }

  fail(line: string): void {
    this.muted = false
    this.reply(line)
  }

  hold(item: Item): void {
    item.holds++
    this.#held.push(item)
  }

  upload(item: Item, complete: (endsWell: boolean) => void): void {
    this.#upload = { item, filled: 0, complete }
  }

  swallow(bytes: number): void {
    this.#swallow = bytes
  }

  flush(): void {
    this.peer.replies.end()
    this.peer.replies.flush()
    this.#forgetCommands()
  }

  dropReplies(): void {
    this.peer.replies.drop()
    this.#forgetCommands()
    this.#unflushed = 1
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
    this.#forgetCommands()
    if (this.#upload !== undefined) this.engine.store.release(this.#upload.item)
    this.#upload = undefined
  }

  /** One command, data block or read; false when there is nothing to do before more input. */
  #step(): boolean {
    if (this.#swallow > 0) return this.#continueSwallow()
    if (this.#upload !== undefined) return this.#continueUpload(this.#upload)
    if (this.#authentication !== undefined) return this.#authenticate(this.#authentication)
    const line = this.#input.line()
    if (line === undefined) {
      if (this.#input.length > LINE_LIMIT) {
        if (!this.#isLongGet()) {
          this.close()
          return false
        }
        this.#input.grow()
      }
      return this.#readMore()
    }
    this.peer.lastCommandAt = this.engine.store.lifetimes.clock
    this.muted = false
    this.#unflushed++
    runCommand(this, line)
    if (this.#upload === undefined && this.#swallow === 0) this.#commandDone()
    return true
  }

  #continueSwallow(): boolean {
    this.#swallow -= this.#input.skip(this.#swallow)
    if (this.#swallow > 0) return false
    this.#commandDone()
    return true
  }

  #continueUpload(upload: Upload): boolean {
    const { data } = upload.item
    upload.filled += this.#input.take(data, upload.filled)
    if (upload.filled < data.length) return false
    this.#upload = undefined
    upload.complete(data[data.length - 2] === 0x0d && data[data.length - 1] === 0x0a)
    this.#commandDone()
    return true
  }

  #authenticate(authentication: Authentication): boolean {
    switch (authentication.step(this.#input)) {
      case 'wait':
        return this.#readMore()
      case 'refused':
        this.close()
        return false
      case 'authenticated':
        this.#authentication = undefined
    }
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
    return this.#input.read()
  }

  #forgetCommands(): void {
    this.#unflushed = 0
    if (this.#held.length === 0) return
    for (const item of this.#held) item.holds--
    this.#held = []
  }

  #isLongGet(): boolean {
    const start = this.#input.peek(BLANKS_LIMIT + 'gets '.length)
    return /^ {0,100}gets? /.test(start)
  }
}

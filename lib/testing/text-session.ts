/// <reference types="node" preserve="true" />

import { Authentication } from './authentication.ts'
import { CommandSession } from './command-session.ts'
import { runCommand } from './text-commands.ts'
import type { Item } from './item.ts'
import type { Engine, Peer } from './session.ts'
import type { TextContext } from './text-command.ts'

/** A line that has not ended after this many bytes ends the connection, unless it is a get. */
const LINE_LIMIT = 2048
/** Blanks in front of a long get that are let pass. */
const BLANKS_LIMIT = 100
const CR = 0x0d
const LF = 0x0a

/** The text protocol on one connection: commands are lines, and what they mean is in text-commands.ts. */
export class TextSession extends CommandSession implements TextContext {
  muted = false
  /** Commands since the last flush, with the one at hand. */
  #unflushed = 0
  /** Until it has succeeded; `undefined` as well on a server without users. */
  #authentication: Authentication | undefined

  constructor(engine: Engine, peer: Peer) {
    super(engine, peer)
    const { auth } = engine.settings
    if (auth !== undefined) this.#authentication = new Authentication(auth, this)
  }

  get hasPending(): boolean {
    return this.#unflushed > 1
  }

  reply(line: string): void {
    if (this.muted) this.muted = false
    else this.peer.replies.write(`${line}\r\n`)
  }

  fail(line: string): void {
    this.muted = false
    this.reply(line)
  }

  upload(item: Item, complete: (endsWell: boolean) => void): void {
    const { data } = item
    this.fill(item, data, () => { complete(data.at(-2) === CR && data.at(-1) === LF) })
  }

  override flush(): void {
    super.flush()
    this.#unflushed = 0
  }

  override dropReplies(): void {
    super.dropReplies()
    this.#unflushed = 1
  }

  protected override runNext(): boolean {
    if (this.#authentication !== undefined) return this.#authenticate(this.#authentication)
    const line = this.input.line()
    if (line === undefined) {
      if (this.input.length > LINE_LIMIT) this.#readLong()
      return false
    }
    this.peer.lastCommandAt = this.engine.store.lifetimes.clock
    this.muted = false
    this.#unflushed++
    runCommand(this, line)
    return true
  }

  #authenticate(authentication: Authentication): boolean {
    const step = authentication.step(this.input)
    if (step === 'refused') this.close()
    else if (step === 'authenticated') this.#authentication = undefined
    return step !== 'wait'
  }

  #readLong(): void {
    const start = this.input.peek(BLANKS_LIMIT + 'gets '.length)
    if (/^ {0,100}gets? /.test(start)) this.input.grow()
    else this.close()
  }
}

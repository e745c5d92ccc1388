/// <reference types="node" preserve="true" />

import { CRLF_BYTES } from './item.ts'
import { ReadBuffer } from './read-buffer.ts'
import type { OpenRead, QueueContext, QueueDialect } from './queue-dialect.ts'
import type { QueueItem, Source } from './queue-source.ts'
import type { QueueStore } from './queue-store.ts'
import type { Engine, Peer, Session } from './session.ts'

const CR = 0x0d
const LF = 0x0a
/** The longest time that Node's timers know. */
const LONGEST_TIMER = 2 ** 31 - 1

/** A value on its way in. */
interface Upload { readonly length: number; readonly complete: (data: Buffer, endsWell: boolean) => void }

/** One connection of a server that plays a queue server: one command after the other, and none while one waits. */
export class QueueSession implements Session, QueueContext {
  readonly engine: Engine
  readonly dialect: QueueDialect
  readonly openReads: OpenRead[] = []
  #peer: Peer
  #input = new ReadBuffer()
  #upload: Upload | undefined
  #swallow = 0
  /** Ends the wait for an item, without an answer. */
  #stopWaiting: (() => void) | undefined
  #closed = false

  constructor(engine: Engine, peer: Peer, dialect: QueueDialect) {
    this.engine = engine
    this.#peer = peer
    this.dialect = dialect
  }

  get store(): QueueStore {
    return this.engine.queues
  }

  receive(chunk: Buffer): void {
    if (this.#closed) return
    this.#input.append(chunk)
    this.#run()
  }

  reply(line: string): void {
    this.#peer.replies.write(`${line}\r\n`)
  }

  replyItem(name: string, { flags, data }: QueueItem): void {
    this.#peer.replies.write(`VALUE ${name} ${flags} ${data.length}\r\n`)
    this.#peer.replies.write(data)
    this.#peer.replies.write('\r\n')
  }

  refuse(line?: string): void {
    if (line !== undefined) this.reply(line)
    this.#flush()
    this.dispose()
    this.#peer.close()
  }

  upload(length: number, complete: (data: Buffer, endsWell: boolean) => void): void {
    this.#upload = { length: length + CRLF_BYTES, complete }
  }

  swallow(bytes: number): void {
    this.#swallow = bytes
  }

  wait(source: Source, time: number, attempt: () => boolean, giveUp: () => void): void {
    const due = performance.now() + time
    let timer: NodeJS.Timeout
    const stop = (): void => {
      clearTimeout(timer)
      source.waiters.delete(waiter)
      this.#stopWaiting = undefined
    }
    const end = (): void => {
      stop()
      giveUp()
      this.#resume()
    }
    const waiter = (): void => {
      if (attempt()) {
        stop()
        this.#resume()
      } else if (source.closed && this.dialect.endsWaits) {
        end()
      } else {
        source.waiters.add(waiter)
        this.#send() // what the attempt has answered so far
      }
    }
    // Node's timers may come a little early; the servers' do not.
    const arm = (): void => {
      const left = due - performance.now()
      if (left <= 0) end()
      else timer = setTimeout(arm, Math.min(left, LONGEST_TIMER)).unref()
    }
    source.waiters.add(waiter)
    this.#stopWaiting = stop
    arm()
  }

  crash(): void {
    this.refuse()
    this.engine.crash()
  }

  dispose(): void {
    this.#closed = true
    this.#upload = undefined
    if (!(this.dialect.hasGhosts && this.#peer.gone)) this.#stopWaiting?.()
    for (const read of this.openReads.splice(0)) {
      read.source.openReads--
      this.dialect.giveBack(this.store, read)
    }
  }

  #run(): void {
    while (!this.#closed && this.#stopWaiting === undefined && this.#step()) { /* until more input is needed */ }
  }

  /** One command, or the value behind one; false when it is not there as a whole. */
  #step(): boolean {
    if (this.#swallow > 0) return this.#continueSwallow()
    if (this.#upload !== undefined) return this.#continueUpload(this.#upload)
    const line = this.#line()
    if (line === undefined) return false
    const words = this.dialect.words(line)
    const command = this.dialect.commands.get(words[0] ?? '') ?? this.dialect.unknown
    command(this, words)
    this.#flush()
    return true
  }

  /** The next line, however long it is. */
  #line(): string | undefined {
    const line = this.#input.line()
    if (line !== undefined) return line
    this.#readAll()
    return this.#input.line()
  }

  #continueSwallow(): boolean {
    this.#swallow -= this.#input.skip(this.#swallow)
    return this.#swallow === 0
  }

  #continueUpload({ length, complete }: Upload): boolean {
    this.#readAll()
    if (this.#input.length < length) return false
    const bytes = Buffer.allocUnsafeSlow(length)
    this.#input.take(bytes, 0)
    this.#upload = undefined
    complete(bytes.subarray(0, length - CRLF_BYTES), bytes.at(-2) === CR && bytes.at(-1) === LF)
    this.#flush()
    return true
  }

  #readAll(): void {
    this.#input.grow()
    while (this.#input.read()) this.#input.grow()
  }

  /** The command that waited was answered. */
  #resume(): void {
    if (this.#closed) this.dispose() // a ghost: gives back what it has opened
    this.#flush()
    this.#run()
    this.#send()
  }

  #flush(): void {
    this.#peer.replies.end()
    this.#peer.replies.flush()
  }

  #send(): void {
    this.#flush()
    this.#peer.replies.send()
  }
}

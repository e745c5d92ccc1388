/// <reference types="node" preserve="true" />

import { ReadBuffer } from './read-buffer.ts'
import { CRLF_BYTES } from './item.ts'
import type { OpenRead, QueueContext, QueueDialect } from './queue-dialect.ts'
import type { Queue, QueueItem, QueueStore } from './queue-store.ts'
import type { Engine, Peer, Session } from './session.ts'

const CR = 0x0d
const LF = 0x0a

/** A value on its way in. */
interface Upload { readonly length: number; readonly complete: (data: Buffer, endsWell: boolean) => void }

/** One connection of a server that plays a queue server: one command after the other, and none while one waits. */
export class QueueSession implements Session, QueueContext {
  readonly engine: Engine
  readonly peer: Peer
  readonly dialect: QueueDialect
  readonly openReads: OpenRead[] = []
  #input = new ReadBuffer()
  #upload: Upload | undefined
  /** Ends the wait for an item, without an answer. */
  #stopWaiting: (() => void) | undefined
  #closed = false

  constructor(engine: Engine, peer: Peer, dialect: QueueDialect) {
    this.engine = engine
    this.peer = peer
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
    this.peer.replies.write(`${line}\r\n`)
  }

  replyItem(name: string, { flags, data }: QueueItem): void {
    this.peer.replies.write(`VALUE ${name} ${flags} ${data.length}\r\n`)
    this.peer.replies.write(data)
    this.peer.replies.write('\r\nEND\r\n')
  }

  refuse(line?: string): void {
    if (line !== undefined) this.reply(line)
    this.#flush()
    this.dispose()
    this.peer.close()
  }

  upload(length: number, complete: (data: Buffer, endsWell: boolean) => void): void {
    this.#upload = { length: length + CRLF_BYTES, complete }
  }

  wait(queue: Queue, time: number, attempt: () => boolean, giveUp: () => void): void {
    const due = performance.now() + time
    let timer: NodeJS.Timeout
    const stop = (): void => {
      clearTimeout(timer)
      queue.waiters.delete(waiter)
      this.#stopWaiting = undefined
    }
    const waiter = (): void => {
      if (attempt()) {
        stop()
        this.#resume()
      } else {
        queue.waiters.add(waiter)
      }
    }
    // Node's timers may come a little early; the servers' do not.
    const arm = (): void => {
      const left = due - performance.now()
      if (left > 0) {
        timer = setTimeout(arm, left)
        timer.unref()
        return
      }
      stop()
      giveUp()
      this.#resume()
    }
    queue.waiters.add(waiter)
    this.#stopWaiting = stop
    arm()
  }

  crash(): void {
    for (const peer of this.engine.peers) peer.close()
  }

  dispose(): void {
    this.#closed = true
    this.#upload = undefined
    if (!(this.dialect.hasGhosts && this.peer.gone)) this.#stopWaiting?.()
    for (const read of this.openReads.splice(0)) {
      read.queue.openReads--
      this.dialect.giveBack(this.store, read)
    }
  }

  #run(): void {
    while (!this.#closed && this.#stopWaiting === undefined && this.#step()) { /* until more input is needed */ }
  }

  /** One command, or the value behind one; false when it is not there as a whole. */
  #step(): boolean {
    if (this.#upload !== undefined) return this.#continueUpload(this.#upload)
    const line = this.#line()
    if (line === undefined) return false
    const words = this.dialect.words(line)
    const command = this.dialect.commands.get(words[0] ?? '') ?? this.dialect.unknown
    command(this, words)
    this.#flush()
    return true
  }

  /** The next line; however long it is, it is waited for. */
  #line(): string | undefined {
    const line = this.#input.line()
    if (line !== undefined) return line
    this.#readAll()
    return this.#input.line()
  }

  #readAll(): void {
    this.#input.grow()
    while (this.#input.read()) this.#input.grow()
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

  /** The command that waited was answered. */
  #resume(): void {
    if (this.#closed) {
      this.dispose()
      return
    }
    this.#flush()
    this.#run()
    this.peer.replies.send()
  }

  #flush(): void {
    this.peer.replies.end()
    this.peer.replies.flush()
  }
}

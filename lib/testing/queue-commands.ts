/// <reference types="node" preserve="true" />

/** The commands that queue servers have in common, and the rules in which they differ. */

import type { OpenRead, QueueCommand, QueueContext } from './queue-dialect.ts'
import type { Queue, QueueItem } from './queue-store.ts'

/** What a line asks for that no server gives: the connection ends behind `line`, or without a word. */
export interface Refusal {
  readonly refused: true
  readonly line?: string
}

/** A queue's name and the words behind it: `jobs/t=500/close/open`. */
export interface ReadRequest {
  readonly refused?: undefined
  readonly name: string
  readonly open: boolean
  readonly close: boolean
  readonly abort: boolean
  readonly peek: boolean
  /** Milliseconds to wait for an item; 0 = not at all. */
  readonly wait: number
}

/** How a server reads. */
export interface ReadRules {
  parse(key: string): ReadRequest | Refusal
  /** Whether a connection may have one open item, or some of each queue. It is what `close` and `abort` are about, too. */
  readonly scope: 'connection' | 'queue'
  /** The line for a read while an item is open that would have to be closed first. */
  readonly busy: string
  readonly peeksWhileOpen: boolean
}

/** What a line announces to be stored. */
export interface PutRequest {
  readonly refused?: undefined
  readonly name: string
  readonly flags: number
  /** In milliseconds since the epoch; Infinity = never. */
  readonly expiresAt: number
  readonly length: number
}

/** How a server stores. */
export interface PutRules {
  parse(words: readonly string[], now: number): PutRequest | Refusal
  /** The line for a value that does not end with CRLF; without one, nobody looks. */
  readonly badData?: string
  /** The line for what was stored, or not. */
  store(session: QueueContext, request: PutRequest, data: Buffer): string
}

/** `get <queue>[/<option>…]` */
export function reading(rules: ReadRules): QueueCommand {
  return (session, words) => {
    const { store, openReads, engine } = session
    const { counters } = store
    const request = rules.parse(words[1]!)
    if (request.refused) {
      session.refuse(request.line)
      return
    }
    const { name, open, close, abort, peek, wait } = request
    const concerns = (read: OpenRead): boolean => rules.scope === 'connection' || read.queue.name === name
    if (close || abort) finish(session, openReads.findIndex(concerns), close)
    if (abort || close && !open) {
      counters.finishes++
      session.reply('END')
      return
    }
    const most = rules.scope === 'queue' && open ? engine.settings.maxOpenTransactions : 1
    if (!(peek && rules.peeksWhileOpen) && openReads.filter(concerns).length >= most) {
      session.refuse(rules.busy)
      return
    }
    const queue = store.queue(name)
    if (peek) counters.peeks++
    else counters.gets++
    const attempt = (): boolean => {
      const item = peek ? queue.peek() : queue.take()
      if (item === undefined) return false
      counters.hits++
      session.replyItem(name, item)
      if (open) hold(session, queue, item)
      return true
    }
    const giveUp = (): void => {
      counters.misses++
      session.reply('END')
    }
    if (attempt()) return
    if (wait > 0) session.wait(queue, wait, attempt, giveUp)
    else giveUp()
  }
}

/** The item is the connection's until it is closed. */
export function hold({ openReads }: QueueContext, queue: Queue, item: QueueItem): void {
  openReads.push({ queue, item })
  queue.openReads++
  queue.counters.transactions++
}

/** Ends the open read of this index, if there is one: its item is gone, or back in its queue. */
function finish({ store, openReads, dialect }: QueueContext, index: number, close: boolean): void {
  const [read] = openReads.splice(index, index === -1 ? 0 : 1)
  if (read === undefined) return
  read.queue.openReads--
  if (!close) dialect.giveBack(store, read)
}

/** `set <queue> <flags> <expiry> <length>`, then the value. */
export function putting(rules: PutRules): QueueCommand {
  return (session, words) => {
    const request = rules.parse(words, session.engine.settings.now())
    if (request.refused) {
      session.refuse(request.line)
      return
    }
    session.upload(request.length, (data, endsWell) => {
      if (endsWell || rules.badData === undefined) session.reply(rules.store(session, request, data))
      else session.refuse(rules.badData)
    })
  }
}

/** `version` */
export const runVersion: QueueCommand = (session) => {
  session.reply(`VERSION ${session.engine.settings.version}`)
}

/** `quit` */
export const runQuit: QueueCommand = (session) => {
  session.refuse()
}

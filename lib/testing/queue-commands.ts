/// <reference types="node" preserve="true" />

/** The commands that queue servers have in common, and the rules in which they differ. */

import type { OpenRead, QueueCommand, QueueContext, Refusal } from './queue-dialect.ts'
import type { QueueItem, Source } from './queue-source.ts'

/** A queue's name and the words behind it: `jobs/t=500/close/open`. */
export interface ReadRequest {
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
  /** What is read by this name, made now if there is no such thing. */
  source(session: QueueContext, name: string): Source | Refusal
  /** Whether a connection may have one open item, or some of each queue. It is what `close` and `abort` are about, too. */
  readonly scope: 'connection' | 'queue'
  /** The line for a read while an item is open that would have to be closed first. */
  readonly busy: string
  readonly peeksWhileOpen?: boolean
  /** The statistics of a closed item are those of the queue that `close` named. */
  readonly countsByName?: boolean
  /** An empty value is taken and not shown. */
  readonly hidesEmpty?: boolean
}

/** `get <queue>[/<option>…]` */
export function reading(rules: ReadRules): QueueCommand {
  return (session, words) => {
    const request = rules.parse(words[1]!)
    const refusal = 'refused' in request ? request : run(session, rules, request)
    if (refusal !== undefined) session.refuse(refusal.line)
  }
}

function run(session: QueueContext, rules: ReadRules, request: ReadRequest): Refusal | undefined {
  const { name, open, close, abort, peek } = request
  const concerns = (read: OpenRead): boolean => rules.scope === 'connection' || read.source.name === name
  const opened = session.openReads.find(concerns)
  if (close) {
    const counted = rules.countsByName ? rules.source(session, name) : opened?.source
    if (counted !== undefined && 'refused' in counted) return counted
    if (opened !== undefined) confirm(session, opened, counted)
  } else if (abort && opened !== undefined) {
    const refusal = session.dialect.giveBack(session.store, opened)
    if (refusal !== undefined) return refusal
    release(session, opened)
  }
  if (abort || close && !open) {
    session.store.counters.finishes++
    session.reply('END')
    return undefined
  }
  const most = rules.scope === 'queue' && open ? session.engine.settings.maxOpenTransactions : 1
  if (!(peek && rules.peeksWhileOpen) && session.openReads.filter(concerns).length >= most) return { refused: true, line: rules.busy }
  const source = rules.source(session, name)
  if ('refused' in source) return source
  read(session, source, request, rules.hidesEmpty ?? false)
  return undefined
}

function read(session: QueueContext, source: Source, { open, peek, wait }: ReadRequest, hidesEmpty: boolean): void {
  const { counters } = session.store
  if (peek) counters.peeks++
  else counters.gets++
  const attempt = (): boolean => {
    const item = peek ? source.peek() : source.take(open)
    if (item === undefined) return false
    counters.hits++
    const hidden = hidesEmpty && item.data.length === 0
    if (!hidden) session.replyItem(source.name, item)
    session.reply('END')
    if (open && !hidden) hold(session, source, item)
    else if (!peek) source.remove(item)
    return true
  }
  const giveUp = (): void => {
    counters.misses++
    session.reply('END')
  }
  if (attempt()) return
  if (wait > 0) session.wait(source, wait, attempt, giveUp)
  else giveUp()
}

/** The item is the connection's until it is closed. */
export function hold({ openReads }: QueueContext, source: Source, item: QueueItem): void {
  openReads.push({ source, item })
  source.openReads++
}

/** Closes an open read: its item is gone for good. */
export function confirm(session: QueueContext, read: OpenRead, counted = read.source): void {
  read.source.remove(read.item)
  release(session, read, counted)
}

/** The connection has it no more. */
function release({ openReads }: QueueContext, read: OpenRead, counted = read.source): void {
  counted.openReads--
  openReads.splice(openReads.indexOf(read), 1)
}

/** What a line announces to be stored. */
export interface PutRequest {
  readonly name: string
  readonly length: number
  readonly flags?: number
  /** In milliseconds since the epoch; without it, never. */
  readonly expiresAt?: number
}

/** How a server stores. */
export interface PutRules {
  parse(words: readonly string[], session: QueueContext): PutRequest | Refusal
  /** What is done with the value, and answered. */
  store(session: QueueContext, request: PutRequest, data: Buffer): void
  /** What is done with one that does not end with CRLF. Without it, nobody looks. */
  badData?(session: QueueContext, request: PutRequest): void
}

/** `set <queue> <flags> <expiry> <length>`, then the value. */
export function putting({ parse, store, badData }: PutRules): QueueCommand {
  return (session, words) => {
    const request = parse(words, session)
    if ('refused' in request) {
      session.refuse(request.line)
      return
    }
    session.upload(request.length, (data, endsWell) => {
      if (endsWell || badData === undefined) store(session, request, data)
      else badData(session, request)
    })
  }
}

/** Always answers this line. */
export function saying(line: string): QueueCommand {
  return (session) => { session.reply(line) }
}

/** Always ends the connection, behind this line or without a word. */
export function refusing(line?: string): QueueCommand {
  return (session) => { session.refuse(line) }
}

/** `version` */
export const runVersion: QueueCommand = (session) => {
  session.reply(`VERSION ${session.engine.settings.version}`)
}

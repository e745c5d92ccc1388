import { onAbort } from './abort-watch.ts'
import type { Item, Op, Reply, Request } from './commands.ts'
import type { Bytes, Fold } from './driver.ts'

/** One request that answers several. */
export interface Joint {
  readonly members: readonly Pending<'get'>[]
  readonly request: Request<'getMulti'>
  readonly fold: Fold<Reply<'getMulti'>, never>
  /** What the member of this index gets of the reply. */
  itemFor(index: number, items: Reply<'getMulti'>): Item | undefined
}

/** A request from its call until its reply: what has to be written, how its reply is read, and whom it is owed to. */
export abstract class Pending<O extends Op = Op> {
  readonly request: Request<O>
  /** What has to be written; empty once the socket has it. */
  bytes: Bytes = ''
  /** Its bytes in all, counted against `maxPendingBytes` until the reply is there. */
  size = 0
  fold: Fold<Reply<O>, never> = unread
  /** When it has to be settled, in milliseconds of `performance.now()`. */
  deadline = 0
  /** Milliseconds from the call to the deadline. */
  timeout = 0
  /** Its outcome is told. A reply that still comes has its place in the order all the same: it is read and dropped. */
  settled = false
  unwatch: (() => void) | undefined = undefined
  /** The request in which it travels together with others. */
  joined: Joint | undefined = undefined
  /** It has travelled with others before, in vain. */
  alone = false

  constructor(request: Request<O>) {
    this.request = request
  }

  /** Takes the reply to where it is waited for. */
  protected abstract answer(reply: Reply<O>): void

  /** Takes what went wrong to where the reply is waited for. */
  protected abstract fail(reason: unknown): void

  /** It is now a connection's, in a turn that began at `started`. The deadline of one that was another's before stays. */
  begin(bytes: Bytes, fold: Fold<Reply<O>, never>, started: number, timeout: number): void {
    this.bytes = bytes
    this.size = byteLength(bytes)
    this.fold = fold
    this.joined = undefined
    if (this.deadline > 0) return
    this.deadline = started + timeout
    this.timeout = timeout
  }

  /** What has to be written, to whoever writes it. */
  take(): Bytes {
    const { bytes } = this
    this.bytes = ''
    return bytes
  }

  /** Whether what has to be written is still as long as it was: the memory of a caller's Buffer can be resized or given away. */
  get intact(): boolean {
    return typeof this.bytes === 'string' || byteLength(this.bytes) === this.size
  }

  resolve(reply: Reply<O>): void {
    if (this.#settle()) this.answer(reply)
  }

  reject(reason: unknown): void {
    if (this.#settle()) this.fail(reason)
  }

  /** Rejects with the signal's reason as soon as it is aborted, and then calls `abandoned`. */
  watch(signal: AbortSignal, abandoned: () => void): void {
    this.unwatch = onAbort(signal, () => {
      this.reject(signal.reason)
      abandoned()
    })
  }

  #settle(): boolean {
    if (this.settled) return false
    this.settled = true
    this.unwatch?.()
    return true
  }
}

function unread(): never {
  throw new Error('no connection has taken this request')
}

function byteLength(bytes: Bytes): number {
  if (typeof bytes === 'string') return bytes.length // latin1: a character is a byte
  return bytes.reduce((sum, part) => sum + part.length, 0)
}

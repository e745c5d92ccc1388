import { onAbort } from './abort-watch.ts'
import type { Op, Reply, Request } from './commands.ts'
import type { Bytes, Exchange, Fold, more } from './driver.ts'
import type { Way } from './ways.ts'

/** One request that answers several. */
export interface Joint {
  readonly members: readonly Pending<'get'>[]
  readonly request: Request<'getMulti'>
  readonly fold: Fold<Reply<'getMulti'>, never>
  /** How many frames of the reply have come, and how many items its members have got. */
  frames: number
  readonly arrived: number
  /** Whether the reply, which has no item for the member of this index, has one for another member with the same key. */
  hasTwin(index: number, items: Reply<'getMulti'>): boolean
}

/** Whom replies are owed to: it settles the promises that the requests were made with. */
export interface Recipient {
  answer(reply: Reply, pending: Pending): void
  fail(reason: unknown, pending: Pending): void
}

/** A request from its call until its reply: what has to be written, how its reply is read, and whom it is owed to. */
export class Pending<O extends Op = Op> {
  readonly request: Request<O>
  readonly resolvePromise: (result: unknown) => void
  /** What has to be written; empty once the socket has it. */
  bytes: Bytes
  /** Its bytes in all, counted against `maxPendingBytes` until the reply is there. */
  size: number
  /** When it has to be settled, in milliseconds of `performance.now()`. */
  deadline: number
  /** Milliseconds from the call to the deadline. */
  timeout: number
  /** Its outcome is told. A reply that still comes has its place in the order all the same: it is read and dropped. */
  settled: boolean
  /** Ends to listen to its caller's signal, if there is one. */
  unwatch: (() => void) | undefined
  /** Called when its caller has given up, by the connection that it is on. */
  abandoned: ((pending: Pending) => void) | undefined
  /** The request in which it travels together with others. */
  joined: Joint | undefined
  /** It has travelled with others before, in vain. */
  alone: boolean
  private readonly recipient: Recipient
  /** How its connection's protocol says it. */
  private way: Way | undefined
  private opaque: number
  /** Reads its reply, once the first of several frames has come. */
  private fold: Fold<Reply<O>, never> | undefined

  /** `resolve` is its promise's, for the recipient to call. */
  constructor(request: Request<O>, recipient: Recipient, resolve: (result: unknown) => void = nobody) {
    this.request = request
    this.resolvePromise = resolve
    this.bytes = ''
    this.size = 0
    this.deadline = 0
    this.timeout = 0
    this.settled = false
    this.unwatch = undefined
    this.abandoned = undefined
    this.joined = undefined
    this.alone = false
    this.recipient = recipient
    this.way = undefined
    this.opaque = 0
    this.fold = undefined
  }

  /** It is now a connection's, in a turn that began at `started`, as request number `opaque`. The deadline of one that was another's before stays. */
  begin(way: Way, opaque: number, started: number, timeout: number): void {
    this.bytes = way.encode(this.request as Request<never>, opaque)
    this.size = byteLength(this.bytes)
    this.way = way
    this.opaque = opaque
    this.fold = undefined
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
    return byteLength(this.bytes) === this.size
  }

  /** Takes a frame of its reply. @throws what the protocol throws. */
  read(frame: never): Reply<O> | typeof more {
    const exchange = this.way as unknown as Exchange<O, never>
    if (exchange.reply !== undefined) return exchange.reply(frame, this.request, this.opaque)
    this.fold ??= exchange.decode(this.request, this.opaque)
    return this.fold(frame)
  }

  /** Rejects its promise. It has no function for that: few need one, and all would have to make it. */
  rejectPromise(reason: unknown): void {
    this.resolvePromise(Promise.reject(reason))
  }

  resolve(reply: Reply<O>): void {
    if (this.#settle()) this.recipient.answer(reply, this)
  }

  reject(reason: unknown): void {
    if (this.#settle()) this.recipient.fail(reason, this)
  }

  /** Rejects with the signal's reason as soon as it is aborted, and then calls `abandoned`. */
  watch(signal: AbortSignal): void {
    this.unwatch = onAbort(signal, () => {
      this.reject(signal.reason)
      this.abandoned?.(this as unknown as Pending)
    })
  }

  #settle(): boolean {
    if (this.settled) return false
    this.settled = true
    this.unwatch?.()
    return true
  }
}

/** Where there is no promise. */
function nobody(): void {}

function byteLength(bytes: Bytes): number {
  if (typeof bytes === 'string') return bytes.length // latin1: a character is a byte
  return bytes.reduce((sum, part) => sum + part.length, 0)
}

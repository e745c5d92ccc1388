import { onAbort } from './abort-watch.ts'
import type { Op, Reply, Request } from './commands.ts'
import type { Bytes, Fold } from './driver.ts'

/** Written as a method, so that a request of one operation can stand in a queue of requests of any. */
interface Resolve<O extends Op> {
  resolve(reply: Reply<O>): void
}

/** A request from its call until its reply: what has to be written, how its reply is read, and whom it is owed to. */
export class Pending<Frame, O extends Op = Op> {
  readonly request: Request<O>
  /** What has to be written; empty once the socket has it. */
  bytes: Bytes
  /** Its bytes in all, counted against `maxPendingBytes` until the reply is there. */
  readonly size: number
  readonly fold: Fold<Reply<O>, Frame>
  /** When it has to be settled, in milliseconds of `performance.now()`. */
  readonly deadline: number
  /** Milliseconds from the call to the deadline. */
  readonly timeout: number
  /** The promise is settled. A reply that still comes has its place in the order all the same: it is read and dropped. */
  settled = false
  readonly #resolve: Resolve<O>['resolve']
  readonly #reject: (reason: unknown) => void
  #unwatch: (() => void) | undefined

  constructor(
    request: Request<O>,
    bytes: Bytes,
    fold: Fold<Reply<O>, Frame>,
    resolve: Resolve<O>['resolve'],
    reject: (reason: unknown) => void,
    started: number,
    timeout: number,
  ) {
    this.request = request
    this.bytes = bytes
    this.size = byteLength(bytes)
    this.fold = fold
    this.#resolve = resolve
    this.#reject = reject
    this.deadline = started + timeout
    this.timeout = timeout
  }

  /** Whether what has to be written is still as long as it was: the memory of a caller's Buffer can be resized or given away. */
  get intact(): boolean {
    return typeof this.bytes === 'string' || byteLength(this.bytes) === this.size
  }

  resolve(reply: Reply<O>): void {
    if (this.#settle()) this.#resolve(reply)
  }

  reject(reason: unknown): void {
    if (this.#settle()) this.#reject(reason)
  }

  /** Rejects with the signal's reason as soon as it is aborted, and then calls `abandoned`. */
  watch(signal: AbortSignal, abandoned: () => void): void {
    this.#unwatch = onAbort(signal, () => {
      this.reject(signal.reason)
      abandoned()
    })
  }

  #settle(): boolean {
    if (this.settled) return false
    this.settled = true
    this.#unwatch?.()
    return true
  }
}

function byteLength(bytes: Bytes): number {
  if (typeof bytes === 'string') return bytes.length // latin1: a character is a byte
  return bytes.reduce((sum, part) => sum + part.length, 0)
}

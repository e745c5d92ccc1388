import { onAbort } from './abort-watch.ts'
import { commandName, type Request } from './commands.ts'
import { MemcacheTimeoutError, MemcacheValueError } from './errors.ts'

/** What a call tells the driver that it was made on. */
export interface AskedEvents {
  /** Its time has passed, and what had come by then was read. */
  overdue(): void
  /** Its caller has given up. */
  aborted(): void
}

/** A call to another library until that has answered, whether or not its caller still waits. */
export class Asked {
  readonly request: Request
  /** Its caller's bytes, which the library may hold on to: counted against `maxPendingBytes`. */
  readonly size: number
  /** Milliseconds from the call to its deadline. */
  readonly timeout: number
  readonly #deadline: number
  /** The library has it. */
  sent = false
  /** The caller has neither an answer nor given up. */
  waiting = true
  readonly #reject: (reason: unknown) => void
  readonly #events: AskedEvents
  #over = false
  #timer: NodeJS.Timeout | undefined
  #unwatch: (() => void) | undefined

  constructor(request: Request, timeout: number, reject: (reason: unknown) => void, events: AskedEvents) {
    this.request = request
    this.size = byteLength(request)
    this.timeout = timeout
    this.#deadline = performance.now() + timeout
    this.#reject = reject
    this.#events = events
  }

  /** The library gets it now. @throws MemcacheValueError when it is not what it was: a Buffer's memory can be resized or given away. */
  leave(): void {
    if (byteLength(this.request) !== this.size) throw new MemcacheValueError('the Buffer has changed its length since it was given')
    this.sent = true
  }

  /** Sets the time for its answer. A process that was busy when that passed reads what has come before it says so. */
  wait(milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => setImmediate(() => this.#over || this.#events.overdue()), milliseconds)
  }

  /** Whether its time has passed, or does so within a millisecond, which is as exact as timers are. */
  get due(): boolean {
    return performance.now() + 1 >= this.#deadline
  }

  /** Rejects with the signal's reason as soon as it is aborted. */
  watch(signal: AbortSignal): void {
    this.#unwatch = onAbort(signal, () => {
      this.reject(signal.reason)
      this.#events.aborted()
    })
  }

  /** Rejects, if the caller still waits. */
  reject(reason: unknown): void {
    if (!this.waiting) return
    this.waiting = false
    this.#unwatch?.()
    this.#reject(reason)
  }

  /** It is answered, or never will be. */
  end(): void {
    this.#over = true
    clearTimeout(this.#timer)
    this.#unwatch?.()
  }

  /** The error for an answer that has not come in time. */
  late(): MemcacheTimeoutError {
    const { request, timeout, sent } = this
    return new MemcacheTimeoutError(`no ${sent ? 'reply to' : 'connection for'} "${commandName(request)}" within ${Math.ceil(timeout)} ms`, { sent })
  }
}

function byteLength(request: Request): number {
  if (request.op === 'store') return request.key.length + request.item.value.length
  if (request.op === 'getMulti') return request.keys.reduce((sum, key) => sum + key.length, 0)
  return 'key' in request ? request.key.length : 0
}

import { Asked } from './asked.ts'
import { commandName, type CallOptions, type Op, type Reply, type Request } from './commands.ts'
import { broken, connectedTooLate, lostClass, isOverload, overload, unopened } from './connection-faults.ts'
import type { ConnectionEvents } from './current-connection.ts'
import type { Backend, Endpoint } from './driver.ts'
import {
  complete,
  MemcacheClosedError,
  MemcacheDriverError,
  MemcacheError,
  MemcacheProtocolError,
  MemcacheSocketError,
} from './errors.ts'
import { showThrown } from './show.ts'

/** How another library executes one operation. */
type Command<O extends Op> = (request: Request<O>) => Promise<Reply<O>> | Reply<O>

/**
 * One connection of another library, from the attempt to make it to its end. What is asked on it, its deadlines and the
 * library's late words live and die with it, so that nothing of an old connection can reach a new one.
 *
 * It ends when the library says so, when a command of the library rejects with MemcacheSocketError, and when the next answer
 * is late by the client's own `timeout`. Then every call on it is rejected, once, and told whether the library had it.
 */
export class WrappedConnection {
  readonly #name: string
  readonly #endpoint: Endpoint
  readonly #events: ConnectionEvents
  /** The attempt to connect. */
  readonly #opening: Promise<void>
  #settleOpening: (failure?: MemcacheError) => void = () => {}
  readonly #connectTimer: NodeJS.Timeout
  #state: 'connecting' | 'open' | 'ended' = 'connecting'
  #wasOpen = false
  /** What the library has not answered, in the order of the calls: memcached answers in that order. */
  readonly #pending = new Set<Asked>()
  #pendingBytes = 0

  /** `free` = when the library has let go of the connection before this one. */
  constructor(name: string, backend: Backend, free: Promise<void> | undefined, endpoint: Endpoint, events: ConnectionEvents) {
    this.#name = name
    this.#endpoint = endpoint
    this.#events = events
    this.#opening = new Promise((resolve, reject) => (this.#settleOpening = (failure) => (failure === undefined ? resolve() : reject(failure))))
    this.#opening.catch(() => {}) // it may be that nobody waits for it
    this.#connectTimer = setTimeout(() => setImmediate(() => this.#giveUp()), endpoint.connectTimeout)
    void this.#connect(backend, free)
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  /** Settles when the attempt to connect has. */
  async whenOpen(): Promise<void> {
    try {
      await this.#opening
    } catch (reason) {
      throw unopened(reason as MemcacheError)
    }
  }

  execute<O extends Op>(request: Request<O>, command: Command<O>, call: CallOptions | undefined): Promise<Reply<O>> {
    return new Promise((resolve, reject) => {
      call?.signal?.throwIfAborted()
      const asked = this.#admit(request as Request, call, reject)
      const run = async (): Promise<void> => {
        if (!this.open || !this.#pending.has(asked)) return // given up meanwhile: it must not run
        try {
          asked.leave()
          const reply = await command(request)
          if (this.#forget(asked)) resolve(reply)
        } catch (error) {
          if (this.#forget(asked)) this.#failed(asked, error)
        }
      }
      this.#opening.then(run, () => {}) // it is rejected with all that is pending
    })
  }

  /** Ends the connection, or the attempt to make it, unless it has ended already: what is pending rejects. */
  end(reason: MemcacheError): void {
    if (this.#leave(reason)) this.#rejectAll(reason)
  }

  async #connect(backend: Backend, free: Promise<void> | undefined): Promise<void> {
    // What the library answered just before comes first: a promise takes a moment to tell.
    const lost = (cause: unknown): void => {
      const reason = cause instanceof MemcacheError ? cause : broken(this.#endpoint, this.open, cause)
      if (this.#leave(reason)) setImmediate(() => this.#lost(reason))
    }
    try {
      await free
      if (this.#state !== 'connecting') return
      await backend.connect?.(lost)
      this.#opened()
    } catch (error) {
      lost(error)
    }
  }

  #opened(): void {
    if (this.#state !== 'connecting') return // given up before it stood
    this.#state = 'open'
    this.#wasOpen = true
    clearTimeout(this.#connectTimer)
    this.#events.opened()
    this.#settleOpening()
  }

  #giveUp(): void {
    if (this.#state === 'connecting') this.end(connectedTooLate(this.#endpoint))
  }

  /** From now on nothing is asked on it. Gives false where that was so already. */
  #leave(reason: MemcacheError): boolean {
    if (this.#state === 'ended') return false
    this.#state = 'ended'
    clearTimeout(this.#connectTimer)
    this.#events.ended(reason, this.#wasOpen)
    this.#settleOpening(reason)
    return true
  }

  /** What is wrong with an answer is told to the one who waits for it; the others only have their connection lost. */
  #lost(reason: MemcacheError): void {
    const [next] = this.#pending
    if (reason instanceof MemcacheProtocolError || reason instanceof MemcacheDriverError) next?.reject(complete(reason, { sent: next.sent }))
    this.#rejectAll(reason)
  }

  #rejectAll(reason: MemcacheError): void {
    for (const asked of this.#pending) {
      this.#forget(asked)
      asked.reject(this.#wasOpen ? unanswered(asked, reason) : unopened(reason))
    }
  }

  #admit(request: Request, call: CallOptions | undefined, reject: (reason: unknown) => void): Asked {
    const asked = new Asked(request, call?.timeout ?? this.#endpoint.timeout, reject, {
      overdue: () => this.#overdue(asked),
      aborted: () => this.#abandoned(asked),
    })
    const { size: count } = this.#pending
    if (isOverload(this.#endpoint, count, this.#pendingBytes, asked.size)) throw overload(this.#endpoint, count, this.#pendingBytes, asked.size)
    this.#pending.add(asked)
    this.#pendingBytes += asked.size
    asked.wait(asked.timeout)
    if (call?.signal !== undefined) asked.watch(call.signal)
    return asked
  }

  /** A call has its answer, or will have none. Gives false where that was so already. */
  #forget(asked: Asked): boolean {
    if (!this.#pending.delete(asked)) return false
    this.#pendingBytes -= asked.size
    asked.end()
    return true
  }

  /** A caller's own shorter deadline says nothing of the server, nor does an answer for which others have to wait first. */
  #overdue(asked: Asked): void {
    const late = asked.late()
    const [next] = this.#pending
    const patient = !asked.waiting || asked.timeout >= this.#endpoint.timeout
    asked.reject(late)
    if (!asked.sent || asked !== next || !patient) return this.#abandoned(asked)
    // Calls of one moment are overdue in one moment, though each has a clock of its own.
    for (const other of this.#pending) if (other.due) other.reject(other.late())
    this.end(late)
  }

  /** Nobody waits for this answer any more: it gets one more `timeout` to come. */
  #abandoned(asked: Asked): void {
    if (asked.sent) asked.wait(this.#endpoint.timeout)
    else this.#forget(asked)
  }

  #failed(asked: Asked, error: unknown): void {
    const { sent } = asked
    const fault =
      error instanceof MemcacheError
        ? complete(error, { sent })
        : new MemcacheDriverError(`${this.#name}: ${showThrown(error)}`, { cause: error, sent })
    asked.reject(fault)
    if (fault instanceof MemcacheSocketError) this.end(fault)
  }
}

/** What a call is told whose connection has ended, as an error of its own. */
function unanswered({ request, sent }: Asked, reason: MemcacheError): MemcacheError {
  if (reason instanceof MemcacheClosedError) return new MemcacheClosedError(reason.message, { sent })
  return new (lostClass(reason))(`no answer to "${commandName(request)}": ${reason.message}`, { cause: reason, sent })
}

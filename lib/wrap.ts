import { onAbort } from './abort-watch.ts'
import { commandName, type CallOptions, type Execute, type Op, type Reply, type Request } from './commands.ts'
import { unsupported, type Backend, type Driver, type DriverFactory, type Endpoint } from './driver.ts'
import { MemcacheClosedError, MemcacheDriverError, MemcacheError, MemcacheOverloadError, MemcacheTimeoutError } from './errors.ts'

/**
 * Makes a driver of another library, or of nothing. Deadlines, signals and the bound on what is pending come with it:
 * whatever the library does or leaves undone, each call settles in time. What it lacks is Unsupported.
 */
export function wrap(name: string, makeBackend: (endpoint: Endpoint) => Backend): DriverFactory {
  return (endpoint) => new Wrapped(name, makeBackend(endpoint), endpoint)
}

/** A call that the backend has not answered. */
interface Waiting {
  /** Whether the backend was asked. */
  sent: boolean
  readonly fail: (reason: unknown) => void
  /** Nobody waits any more: the deadline and the signal are let go. */
  readonly end: () => void
}

class Wrapped implements Driver {
  readonly #name: string
  readonly #backend: Backend
  readonly #endpoint: Endpoint
  readonly #pending = new Set<Waiting>()
  #connecting: Promise<void> | undefined
  #connected = false
  /** Counts the attempts to connect and their ends, so that one that was given up knows it when it succeeds. */
  #attempt = 0

  constructor(name: string, backend: Backend, endpoint: Endpoint) {
    this.#name = name
    this.#backend = backend
    this.#endpoint = endpoint
  }

  get connected(): boolean {
    return this.#connected
  }

  get longestBinaryKey(): number | undefined {
    return this.#backend.longestBinaryKey
  }

  connect(): Promise<void> {
    this.#connecting ??= this.#connect()
    return this.#connecting
  }

  readonly execute: Execute = <O extends Op>(request: Request<O>, call?: CallOptions): Promise<Reply<O>> =>
    new Promise((resolve, reject) => {
      const command = this.#backend.commands[request.op]
      if (command === undefined) throw unsupported(this.#name, request)
      const { maxPending } = this.#endpoint
      if (this.#pending.size >= maxPending) {
        throw new MemcacheOverloadError(`${this.#pending.size} requests are pending, as many as maxPending allows`)
      }
      call?.signal?.throwIfAborted()
      const waiting = this.#watch(request, call, reject)
      this.connect()
        .then(() => {
          if (!this.#pending.has(waiting)) return undefined as never // settled meanwhile: it must not run
          waiting.sent = true
          return command(request)
        })
        .then(resolve, (error: unknown) => reject(this.#fault(error)))
        .finally(waiting.end)
    })

  async disconnect(reason: MemcacheError): Promise<void> {
    const wasConnected = this.#connected
    this.#connected = false
    this.#connecting = undefined
    this.#attempt += 1
    for (const { fail, sent } of [...this.#pending]) fail(new MemcacheClosedError(reason.message, { sent }))
    if (wasConnected) this.#endpoint.onDisconnect(reason)
    await this.#backend.close()
  }

  async #connect(): Promise<void> {
    const attempt = (this.#attempt += 1)
    try {
      await (async () => this.#backend.connect?.())() // what it throws at once comes a moment later, as a rejection does
    } catch (error) {
      if (attempt === this.#attempt) this.#connecting = undefined
      throw error
    }
    if (attempt !== this.#attempt) throw new MemcacheClosedError('the connection was ended before it stood')
    this.#connected = true
    this.#endpoint.onConnect()
  }

  /** Sees to it that a call settles by its deadline, its signal or the end of the connection. Gives what ends the watch. */
  #watch<O extends Op>(request: Request<O>, call: CallOptions | undefined, reject: (reason: unknown) => void): Waiting {
    const timeout = call?.timeout ?? this.#endpoint.timeout
    const signal = call?.signal
    const fail = (reason: unknown): void => {
      end()
      reject(reason)
    }
    const late = (): void => {
      const command = commandName(request)
      fail(new MemcacheTimeoutError(`no reply to "${command}" within ${timeout} ms`, { sent: waiting.sent }))
    }
    const timer = setTimeout(late, timeout)
    const unwatch = signal && onAbort(signal, () => fail(signal.reason))
    const end = (): void => {
      clearTimeout(timer)
      unwatch?.()
      this.#pending.delete(waiting)
    }
    const waiting: Waiting = { fail, end, sent: false }
    this.#pending.add(waiting)
    return waiting
  }

  #fault(error: unknown): unknown {
    if (error instanceof MemcacheError) return error
    const why = error instanceof Error ? error.message : String(error)
    return new MemcacheDriverError(`${this.#name}: ${why}`, { cause: error, sent: true })
  }
}

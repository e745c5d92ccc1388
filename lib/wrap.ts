import type { CallOptions, Execute, Op, Reply, Request } from './commands.ts'
import { ConnectPause } from './connect-pause.ts'
import { unsupported, type Backend, type Driver, type DriverFactory, type Endpoint } from './driver.ts'
import { MemcacheClosedError, type MemcacheError } from './errors.ts'
import { WrappedConnection } from './wrapped-connection.ts'

/**
 * Makes a driver of another library, or of nothing. Deadlines, signals, the bounds on what is pending and the rules of when
 * a connection ends come with it: whatever the library does or leaves undone, each call settles in time. What it lacks is
 * Unsupported.
 */
export function wrap(name: string, makeBackend: (endpoint: Endpoint) => Backend): DriverFactory {
  return (endpoint) => new Wrapped(name, makeBackend(endpoint), endpoint)
}

/** One connection at a time, made by the first request that needs it. */
class Wrapped implements Driver {
  readonly #name: string
  readonly #backend: Backend
  readonly #endpoint: Endpoint
  readonly #pause = new ConnectPause()
  #connection: WrappedConnection | undefined
  /** The backend's last `close()`. */
  #closing: Promise<void> | undefined

  constructor(name: string, backend: Backend, endpoint: Endpoint) {
    this.#name = name
    this.#backend = backend
    this.#endpoint = endpoint
  }

  get connected(): boolean {
    return this.#connection?.open ?? false
  }

  get socket(): Driver['socket'] {
    return this.#connection && this.#backend.socket
  }

  get longestBinaryKey(): number | undefined {
    return this.#backend.longestBinaryKey
  }

  connect(): Promise<void> {
    this.#connection ??= this.#connect()
    return this.#connection.whenOpen()
  }

  readonly execute: Execute = <O extends Op>(request: Request<O>, call?: CallOptions): Promise<Reply<O>> => {
    const command = this.#backend.commands[request.op]
    if (command === undefined) return Promise.reject(unsupported(this.#name, request))
    if (this.#connection === undefined) {
      const refusal = this.#pause.refusal()
      if (refusal !== undefined) return Promise.reject(refusal)
      this.#connection = this.#connect()
    }
    return this.#connection.execute(request, command, call)
  }

  async disconnect(reason: MemcacheError): Promise<void> {
    if (this.#connection === undefined) this.#close()
    else this.#connection.end(reason)
    await this.#closing
  }

  #connect(): WrappedConnection {
    return new WrappedConnection(this.#name, this.#backend, this.#closing, this.#endpoint, {
      opened: () => {
        this.#pause.end()
        this.#endpoint.onConnect()
      },
      ended: (reason, wasOpen) => {
        this.#connection = undefined
        if (wasOpen) this.#endpoint.onDisconnect(reason)
        else if (!(reason instanceof MemcacheClosedError)) this.#pause.begin(reason)
        this.#close()
      },
    })
  }

  #close(): void {
    this.#closing = (async () => this.#backend.close())().catch(() => {}) // nobody could mend it
  }
}

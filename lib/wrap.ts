import type { CallOptions, Execute, Op, Reply, Request } from './commands.ts'
import { CurrentConnection } from './current-connection.ts'
import { asksNothing, unsupported, type Backend, type Driver, type DriverFactory, type Endpoint } from './driver.ts'
import type { MemcacheError } from './errors.ts'
import { WrappedConnection } from './wrapped-connection.ts'

/**
 * Makes a driver of another library, or of nothing. Deadlines, signals, the bounds on what is pending and the rules of when
 * a connection ends come with it: whatever the library does or leaves undone, each call settles in time. What it lacks is
 * Unsupported.
 */
export function wrap(name: string, makeBackend: (endpoint: Endpoint) => Backend): DriverFactory {
  return (endpoint) => new Wrapped(name, makeBackend(endpoint), endpoint)
}

class Wrapped implements Driver {
  readonly #name: string
  readonly #backend: Backend
  readonly #connection: CurrentConnection<WrappedConnection>
  /** The backend's last `close()`. */
  #closing: Promise<void> | undefined

  constructor(name: string, backend: Backend, endpoint: Endpoint) {
    this.#name = name
    this.#backend = backend
    this.#connection = new CurrentConnection(endpoint, ({ opened, ended }) => {
      const ends = (reason: MemcacheError, wasOpen: boolean): void => {
        ended(reason, wasOpen)
        this.#close()
      }
      return new WrappedConnection(name, backend, this.#closing, endpoint, { opened, ended: ends })
    })
  }

  get connected(): boolean {
    return this.#connection.present?.open ?? false
  }

  get socket(): Driver['socket'] {
    return this.#connection.present && this.#backend.socket
  }

  get longestBinaryKey(): number | undefined {
    return this.#backend.longestBinaryKey
  }

  get transports(): Driver['transports'] {
    return this.#backend.transports
  }

  connect(): Promise<void> {
    return this.#connection.get().whenOpen()
  }

  readonly execute: Execute = <O extends Op>(request: Request<O>, call?: CallOptions): Promise<Reply<O>> => {
    const command = this.#backend.commands[request.op]
    if (command === undefined) return Promise.reject(unsupported(this.#name, request))
    if (asksNothing(request)) return Promise.resolve([] as unknown as Reply<O>)
    try {
      return this.#connection.forRequest().execute(request, command, call)
    } catch (refusal) {
      return Promise.reject(refusal)
    }
  }

  async disconnect(reason: MemcacheError): Promise<void> {
    const { present } = this.#connection
    if (present === undefined) this.#close()
    else present.end(reason)
    await this.#closing
  }

  #close(): void {
    this.#closing = (async () => this.#backend.close())().catch(() => {}) // nobody could mend it
  }
}

/// <reference types="node" preserve="true" />
import type { Socket } from 'node:net'
import type { CallOptions, Execute, Op, Reply, Request } from './commands.ts'
import { Connection } from './connection.ts'
import { CurrentConnection } from './current-connection.ts'
import { unsupported, type Driver, type DriverFactory, type Endpoint, type Protocol, type Transports } from './driver.ts'
import type { MemcacheError } from './errors.ts'

/** Makes a driver of a protocol: the socket, the pipeline, batching, deadlines and reconnecting come with it. */
export function wire<Frame>(protocol: Protocol<Frame>): DriverFactory {
  return (endpoint) => new Wire(protocol, endpoint)
}

class Wire<Frame> implements Driver {
  readonly #protocol: Protocol<Frame>
  readonly #connection: CurrentConnection<Connection<Frame>>

  constructor(protocol: Protocol<Frame>, endpoint: Endpoint) {
    this.#protocol = protocol
    if (endpoint.credentials !== undefined) protocol.authenticate?.(endpoint.credentials) // refuses what it cannot say
    this.#connection = new CurrentConnection(endpoint, (events) => new Connection(endpoint, protocol, events))
  }

  get connected(): boolean {
    return this.#connection.present?.open ?? false
  }

  get socket(): Socket | undefined {
    return this.#connection.present?.socket
  }

  get longestBinaryKey(): number | undefined {
    return this.#protocol.longestBinaryKey
  }

  get queues(): boolean | undefined {
    return this.#protocol.queues
  }

  get transports(): Transports {
    return { tls: true, credentials: this.#protocol.authenticate !== undefined }
  }

  connect(): Promise<void> {
    return this.#connection.get().whenOpen()
  }

  execute: Execute = <O extends Op>(request: Request<O>, call?: CallOptions): Promise<Reply<O>> => {
    const exchange = this.#protocol.commands[request.op]
    if (exchange === undefined) return Promise.reject(unsupported(this.#protocol.name, request))
    const refusal = this.#connection.refusal()
    if (refusal !== undefined) return Promise.reject(refusal)
    return this.#connection.get().execute(request, exchange, call)
  }

  disconnect(reason: MemcacheError): Promise<void> {
    const connection = this.#connection.present
    if (connection === undefined) return Promise.resolve()
    // Asked for first: a socket says that it is closed as soon as it is destroyed, which is before it has let go of the port.
    const closed = new Promise<void>((resolve) => connection.socket.once('close', () => resolve()))
    connection.end(reason)
    return closed
  }
}

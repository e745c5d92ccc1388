/// <reference types="node" preserve="true" />
import type { Socket } from 'node:net'
import type { CallOptions, Execute, Op, Reply, Request } from './commands.ts'
import { ConnectPause } from './connect-pause.ts'
import { Connection } from './connection.ts'
import { unsupported, type Driver, type DriverFactory, type Endpoint, type Protocol } from './driver.ts'
import { MemcacheClosedError, type MemcacheError } from './errors.ts'

/** Makes a driver of a protocol: the socket, the pipeline, batching, deadlines and reconnecting come with it. */
export function wire<Frame>(protocol: Protocol<Frame>): DriverFactory {
  return (endpoint) => new Wire(protocol, endpoint)
}

/** One connection at a time, made by the first request that needs it. */
class Wire<Frame> implements Driver {
  readonly #protocol: Protocol<Frame>
  readonly #endpoint: Endpoint
  readonly #pause = new ConnectPause()
  #connection: Connection<Frame> | undefined

  constructor(protocol: Protocol<Frame>, endpoint: Endpoint) {
    this.#protocol = protocol
    this.#endpoint = endpoint
  }

  get connected(): boolean {
    return this.#connection?.open ?? false
  }

  get socket(): Socket | undefined {
    return this.#connection?.socket
  }

  get longestBinaryKey(): number | undefined {
    return this.#protocol.longestBinaryKey
  }

  get queues(): boolean | undefined {
    return this.#protocol.queues
  }

  connect(): Promise<void> {
    this.#connection ??= this.#connect()
    return this.#connection.whenOpen()
  }

  execute: Execute = <O extends Op>(request: Request<O>, call?: CallOptions): Promise<Reply<O>> => {
    const exchange = this.#protocol.commands[request.op]
    if (exchange === undefined) return Promise.reject(unsupported(this.#protocol.name, request))
    if (this.#connection === undefined) {
      const refusal = this.#pause.refusal()
      if (refusal !== undefined) return Promise.reject(refusal)
      this.#connection = this.#connect()
    }
    return this.#connection.execute(request, exchange, call)
  }

  disconnect(reason: MemcacheError): Promise<void> {
    const connection = this.#connection
    if (connection === undefined) return Promise.resolve()
    // Asked for first: a socket says that it is closed as soon as it is destroyed, which is before it has let go of the port.
    const closed = new Promise<void>((resolve) => connection.socket.once('close', () => resolve()))
    connection.end(reason)
    return closed
  }

  #connect(): Connection<Frame> {
    return new Connection(this.#endpoint, this.#protocol, {
      opened: () => {
        this.#pause.end()
        this.#endpoint.onConnect()
      },
      ended: (reason, wasOpen) => {
        this.#connection = undefined
        if (wasOpen) this.#endpoint.onDisconnect(reason)
        else if (!(reason instanceof MemcacheClosedError)) this.#pause.begin(reason)
      },
    })
  }
}

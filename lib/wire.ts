/// <reference types="node" preserve="true" />
import type { Socket } from 'node:net'
import type { CallOptions, Execute, Op, Reply, Request } from './commands.ts'
import { Connection } from './connection.ts'
import { unsupported, type Driver, type DriverFactory, type Endpoint, type Protocol } from './driver.ts'
import { MemcacheClosedError, MemcacheError, MemcacheSocketError } from './errors.ts'

/** The pause after the first failed attempt to connect, in milliseconds; it doubles with each further one up to the longest. */
const SHORTEST_PAUSE = 10
const LONGEST_PAUSE = 500

/** Makes a driver of a protocol: the socket, the pipeline, batching, deadlines and reconnecting come with it. */
export function wire<Frame>(protocol: Protocol<Frame>): DriverFactory {
  return (endpoint) => new Wire(protocol, endpoint)
}

/** One connection at a time, made by the first request that needs it. */
class Wire<Frame> implements Driver {
  readonly #protocol: Protocol<Frame>
  readonly #endpoint: Endpoint
  #connection: Connection<Frame> | undefined
  /** Attempts to connect that failed in a row, the last one's error, and until when no other is made. */
  #failures = 0
  #failure: MemcacheError | undefined
  #pausedUntil = 0

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
      const pause = this.#pausedUntil - performance.now()
      if (pause > 0) return Promise.reject(this.#paused(pause))
      this.#connection = this.#connect()
    }
    return this.#connection.execute(request, exchange, call)
  }

  disconnect(reason: MemcacheError): Promise<void> {
    const socket = this.#connection?.socket
    this.#connection?.end(reason)
    if (socket === undefined || socket.closed) return Promise.resolve()
    return new Promise((resolve) => socket.once('close', () => resolve()))
  }

  #connect(): Connection<Frame> {
    return new Connection(this.#endpoint, this.#protocol, {
      opened: () => {
        this.#failures = 0
        this.#failure = undefined
        this.#endpoint.onConnect()
      },
      ended: (reason, wasOpen) => {
        this.#connection = undefined
        if (wasOpen) this.#endpoint.onDisconnect(reason)
        else if (!(reason instanceof MemcacheClosedError)) this.#pause(reason)
      },
    })
  }

  /** No attempt for a while, a longer one each time; the jitter keeps many clients from coming back at the same moment. */
  #pause(failure: MemcacheError): void {
    const longest = Math.min(SHORTEST_PAUSE * 2 ** this.#failures, LONGEST_PAUSE)
    this.#failures += 1
    this.#failure = failure
    this.#pausedUntil = performance.now() + longest * (0.5 + Math.random() / 2)
  }

  #paused(milliseconds: number): MemcacheSocketError {
    const why = this.#failure?.message ?? 'unreachable'
    return new MemcacheSocketError(`${why} (no new attempt for ${Math.ceil(milliseconds)} ms)`, { cause: this.#failure?.cause ?? this.#failure })
  }
}

import { ConnectPause } from './connect-pause.ts'
import type { Endpoint } from './driver.ts'
import { MemcacheAuthError, MemcacheClosedError, type MemcacheError } from './errors.ts'
import { ConnectTrace } from './tracing.ts'

/** What a connection tells the driver that made it, each at most once. */
export interface ConnectionEvents {
  opened(): void
  ended(reason: MemcacheError, wasOpen: boolean): void
}

/** One connection at a time, made when it is needed and there is none. */
export class CurrentConnection<Connection> {
  readonly #endpoint: Endpoint
  readonly #make: (events: ConnectionEvents) => Connection
  readonly #pause = new ConnectPause()
  #present: Connection | undefined
  #trace: ConnectTrace | undefined

  constructor(endpoint: Endpoint, make: (events: ConnectionEvents) => Connection) {
    this.#endpoint = endpoint
    this.#make = make
  }

  /** The one there is, or the attempt to make it. */
  get present(): Connection | undefined {
    return this.#present
  }

  /** The one there is, or else a new one. @throws when the last attempt to make one has failed only just now. */
  forRequest(): Connection {
    if (this.#present !== undefined) return this.#present
    const refusal = this.#pause.refusal()
    if (refusal !== undefined) throw refusal
    return this.get()
  }

  /** The one there is, or else a new one. */
  get(): Connection {
    return (this.#present ??= this.#begin())
  }

  #begin(): Connection {
    const { connection, trace } = ConnectTrace.begin(this.#endpoint, () => this.#make(this.#events))
    this.#trace = trace
    return connection
  }

  readonly #events: ConnectionEvents = {
    opened: () => {
      this.#pause.end()
      this.#trace?.settle()
      this.#endpoint.onConnect()
    },
    ended: (reason, wasOpen) => {
      this.#present = undefined
      if (!wasOpen) this.#trace?.settle(reason)
      if (wasOpen) this.#endpoint.onDisconnect(reason)
      // A server that wants credentials says so only to the first command.
      if (reason instanceof MemcacheAuthError || !(wasOpen || reason instanceof MemcacheClosedError)) this.#pause.begin(reason)
    },
  }
}

/// <reference types="node" preserve="true" />
import type { Socket } from 'node:net'
import { kept } from './byte-reader.ts'
import type { CallOptions, Execute, Item, MetaItem, Op, Reply, Request } from './commands.ts'
import { Connection } from './connection.ts'
import { CurrentConnection } from './current-connection.ts'
import { asksNothing, unsupported, type Driver, type DriverFactory, type Endpoint, type Protocol, type Transports } from './driver.ts'
import type { MemcacheError } from './errors.ts'
import type { Joining } from './get-joiner.ts'
import { Pending, type Recipient } from './pending.ts'
import { waysOf, type Way, type Ways } from './ways.ts'

/** Makes a driver of a protocol: the socket, the pipeline, batching, deadlines and reconnecting come with it. */
export function wire<Frame>(protocol: Protocol<Frame>): DriverFactory {
  return (endpoint) => {
    const driver = new Wire(protocol, endpoint)
    directs.set(driver, driver)
    return driver
  }
}

/** What a client has of a driver of `wire` beyond what all drivers have. */
export interface Direct {
  /** For who looks it up only once; `undefined` where the driver does not know the operation. */
  wayOf(op: Op): Way | undefined
  /**
   * Begins a request, whose outcome its Pending is told: `execute` for who makes the promise himself.
   * @throws what refuses the request, before anything of it is queued.
   */
  begin(pending: Pending, way: Way | undefined, call: CallOptions | undefined): void
  /** See {@link Protocol.latin1Values}. */
  readonly latin1Values: boolean
}

/** Of the very drivers that `wire` has made: what somebody has put around one must not be passed by. */
const directs = new WeakMap<Driver, Direct>()

/** The short way into a driver that `wire` has made. */
export function directWay(driver: Driver): Direct | undefined {
  return directs.get(driver)
}

/** A request whose caller has the promise of its reply. */
const execution: Recipient = {
  answer: (reply, { request, resolvePromise }) => resolvePromise(lasting(request, reply)),
  fail: (reason, pending) => pending.rejectPromise(reason),
}

/** The reply, good for longer than the turn in which its bytes were read: who waits for a promise reads it after that. */
function lasting<O extends Op>({ op }: Request<O>, reply: Reply<O>): Reply<O> {
  if (op === 'get') return (reply && lastingItem(reply as Item)) as Reply<O>
  if (op === 'getMulti') return (reply as Reply<'getMulti'>).map((item) => item && lastingItem(item)) as unknown as Reply<O>
  if (op === 'metaGet' && reply !== undefined) return { ...(reply as MetaItem), value: kept((reply as MetaItem).value) } as Reply<O>
  return reply
}

function lastingItem({ value, flags, cas }: Item): Item {
  return { value: kept(value), flags, cas }
}

class Wire<Frame> implements Driver, Direct {
  readonly #protocol: Protocol<Frame>
  readonly #ways: Ways
  readonly #connection: CurrentConnection<Connection<Frame>>

  constructor(protocol: Protocol<Frame>, endpoint: Endpoint) {
    this.#protocol = protocol
    this.#ways = waysOf(protocol)
    if (endpoint.credentials !== undefined) protocol.authenticate?.(endpoint.credentials) // refuses what it cannot say
    const joining: Joining = {
      allowed: endpoint.joinGets,
      again: (pending) => {
        try {
          this.begin(pending, this.wayOf(pending.request.op), undefined)
        } catch (error) {
          pending.reject(error)
        }
      },
    }
    this.#connection = new CurrentConnection(endpoint, (events) => new Connection(endpoint, protocol, this.#ways, events, joining))
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

  get latin1Values(): boolean {
    return this.#protocol.latin1Values ?? false
  }

  get transports(): Transports {
    return { tls: true, credentials: this.#protocol.authenticate !== undefined }
  }

  connect(): Promise<void> {
    return this.#connection.get().whenOpen()
  }

  readonly execute: Execute = <O extends Op>(request: Request<O>, call?: CallOptions): Promise<Reply<O>> =>
    // What throws here rejects the promise.
    new Promise((resolve) => this.begin(new Pending(request as Request, execution, resolve as (reply: unknown) => void), this.wayOf(request.op), call))

  wayOf(op: Op): Way | undefined {
    return this.#ways.get(op)
  }

  begin(pending: Pending, way: Way | undefined, call: CallOptions | undefined): void {
    const { request } = pending
    if (way === undefined) throw unsupported(this.#protocol.name, request)
    if (asksNothing(request)) return pending.resolve([])
    this.#connection.forRequest().dispatch(pending, way, call)
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

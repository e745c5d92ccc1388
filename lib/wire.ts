/// <reference types="node" preserve="true" />
import type { Socket } from 'node:net'
import { kept } from './byte-reader.ts'
import type { CallOptions, Execute, Item, MetaItem, Op, Reply, Request } from './commands.ts'
import { Connection } from './connection.ts'
import { CurrentConnection } from './current-connection.ts'
import { unsupported, type Driver, type DriverFactory, type Endpoint, type Exchange, type Protocol, type Transports } from './driver.ts'
import type { MemcacheError } from './errors.ts'
import type { Joining } from './get-joiner.ts'
import { Pending, type Recipient } from './pending.ts'

/** Makes a driver of a protocol: the socket, the pipeline, batching, deadlines and reconnecting come with it. */
export function wire<Frame>(protocol: Protocol<Frame>): DriverFactory {
  return (endpoint) => {
    const driver = new Wire(protocol, endpoint)
    directs.set(driver, driver)
    return driver
  }
}

/** How a driver says one operation, for who looks it up only once; `undefined` where it does not know the operation. */
export type Way = Exchange<never, never> | undefined

/** What a client has of a driver of `wire` beyond what all drivers have. */
export interface Direct {
  wayOf(op: Op): Way
  /**
   * Begins a request, whose outcome its Pending is told: `execute` for who makes the promise himself.
   * @throws what refuses the request, before anything of it is queued.
   */
  begin(pending: Pending, way: Way, call: CallOptions | undefined): void
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
  fail: (reason, { rejectPromise }) => rejectPromise(reason),
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

/** An exchange of which nothing is asked that somebody has written to Object.prototype; all of them have one shape, which V8 reads fastest. */
function ownOnly(exchange: Exchange<never, never>): Exchange<never, never> {
  const own = (name: keyof typeof exchange): unknown => (Object.hasOwn(exchange, name) ? exchange[name] : undefined)
  return { encode: exchange.encode, reply: own('reply'), decode: own('decode'), waits: own('waits') } as Exchange<never, never>
}

class Wire<Frame> implements Driver, Direct {
  readonly #protocol: Protocol<Frame>
  readonly #ways: ReadonlyMap<string, Way>
  readonly #connection: CurrentConnection<Connection<Frame>>

  constructor(protocol: Protocol<Frame>, endpoint: Endpoint) {
    this.#protocol = protocol
    this.#ways = new Map(Object.entries(protocol.commands).map(([op, exchange]) => [op, ownOnly(exchange as unknown as Exchange<never, never>)]))
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
    this.#connection = new CurrentConnection(endpoint, (events) => new Connection(endpoint, protocol, events, joining))
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
    new Promise((resolve, reject) => this.begin(new Pending(request as Request, execution, resolve as (reply: unknown) => void, reject), this.wayOf(request.op), call))

  wayOf(op: Op): Way {
    return this.#ways.get(op)
  }

  begin(pending: Pending, way: Way, call: CallOptions | undefined): void {
    if (way === undefined) throw unsupported(this.#protocol.name, pending.request)
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

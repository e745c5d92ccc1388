/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { ByteReader } from './byte-reader.ts'
import { commandName, type Content, type Execute, type Item, type Op, type Reply, type Request } from './commands.ts'
import type { Credentials } from './credentials.ts'
import { MemcacheUnsupportedError, type MemcacheDriverError, type MemcacheError } from './errors.ts'

/** The one server that a client talks to, and how: what a driver needs to know of the client's options. */
export interface Endpoint {
  /** A name, an IPv4 or an IPv6 address. Not used where there is a `path`. */
  readonly host: string
  readonly port: number
  /** A unix socket. */
  readonly path: string | undefined
  /** How TLS is spoken, beside where to: what `tls.connect` takes. `undefined` = it is not. */
  readonly tls: ConnectionOptions | undefined
  /** Whom the server has to take the client for, before anything else is written. `undefined` = it is not asked to. */
  readonly credentials: Credentials | undefined
  /** The server's name in errors: `host:port`, `[address]:port` or the path. */
  readonly name: string
  /** Milliseconds until a connection has to be made, TLS and authentication included. */
  readonly connectTimeout: number
  /** Milliseconds from a call to its settled promise, unless the call says otherwise. */
  readonly timeout: number
  readonly disableNagle: boolean
  readonly keepAlive: boolean
  /** Whether concurrent `get`s may travel as one. */
  readonly joinGets: boolean
  /** Whether a connection on which nothing is waited for lets the process end. */
  readonly unref: boolean
  /** How many requests may be waiting for their reply. */
  readonly maxPending: number
  /** How many bytes these requests may have together. */
  readonly maxPendingBytes: number
  /** The longest value, in bytes, that is accepted from the server: nothing is reserved for one that claims more. */
  readonly maxReplyLength: number
  /** To be called when a connection stands. */
  readonly onConnect: () => void
  /** To be called when a connection that stood has ended, with why. */
  readonly onDisconnect: (cause: MemcacheError) => void
}

/** What executes requests against one server. `wire` makes one of a protocol, `wrap` one of another library. */
export interface Driver {
  readonly connected: boolean
  /** See {@link Protocol.longestBinaryKey}. */
  readonly longestBinaryKey?: number | undefined
  /** See {@link Protocol.queues}. */
  readonly queues?: boolean | undefined
  /** See {@link Transports}. Default: none. */
  readonly transports?: Transports | undefined
  /** The socket of the present connection, where the driver has one. */
  readonly socket?: Socket | undefined
  /** Connects, or joins the attempt that is under way; does nothing where there is a connection. */
  connect(): Promise<void>
  readonly execute: Execute
  /** Ends the connection. What is pending rejects with `reason`. A later request connects anew. */
  disconnect(reason: MemcacheError): Promise<void>
}

/** What of an endpoint a driver follows. What it does not say is refused to the client, and never left out silently. */
export interface Transports {
  /** It speaks TLS where the endpoint has `tls`. */
  readonly tls?: boolean
  /** It authenticates where the endpoint has `credentials`. */
  readonly credentials?: boolean
}

/** What a client's `driver` option takes: called once, by the client's constructor. */
export type DriverFactory = (endpoint: Endpoint) => Driver

/**
 * A request on its way to the socket: latin1 text (one character a byte), or several pieces where a long value is
 * better not copied. Either way it leaves as one.
 */
export type Bytes = string | readonly (string | Buffer)[]

/** Bytes: a value up to this length is copied into the text of its turn; a longer one goes to the socket as it is. */
export const SHORT_VALUE = 2048

/** A request with a value in it, as one piece: without what stands before it, it would be read as requests. */
export function withValue(before: string, value: Content, behind = ''): Bytes {
  if (typeof value === 'string') return before + value + behind
  if (value.length > SHORT_VALUE) return behind === '' ? [before, value] : [before, value, behind]
  return before + Buffer.prototype.toString.call(value, 'latin1') + behind // the prototype's: a caller's Buffer may have one of its own
}

/** What {@link Fold} answers while the reply is not whole. */
export const more: unique symbol = Symbol('more')

/**
 * Takes the frames of one reply, one by one, until it can say the reply.
 * @throws MemcacheDriverError when the server refused; MemcacheProtocolError for a frame that cannot be in this reply.
 */
export type Fold<R, Frame> = (frame: Frame) => R | typeof more

/** Takes the item of the key in this place of a request for many, which has come before the others have. */
export type Arrived = (place: number, item: Item) => void

/** How one operation is said. */
interface Saying<O extends Op> {
  /** @throws MemcacheUnsupportedError for a request that this protocol cannot say. */
  readonly encode: (request: Request<O>, opaque: number) => Bytes
  /** Milliseconds that the request asks the server to wait before it answers: they come on top of the client's `timeout`. */
  readonly waits?: (request: Request<O>) => number
}

/** The reply to an operation is one frame. */
interface OneFrame<O extends Op, Frame> extends Saying<O> {
  /** @throws as a {@link Fold}. */
  readonly reply: (frame: Frame, request: Request<O>, opaque: number) => Reply<O>
  readonly decode?: undefined
}

/** The reply to an operation is one frame or several. */
interface Frames<O extends Op, Frame> extends Saying<O> {
  readonly reply?: undefined
  /**
   * Called when the first of them is there. A `getMulti` may tell `arrived` of each item, while it takes the frame of that: whose it is
   * does not wait for the others then, and none of them has to be kept.
   */
  readonly decode: (request: Request<O>, opaque: number, arrived?: Arrived) => Fold<Reply<O>, Frame>
}

/**
 * How one operation is said, and how its reply is read: `reply` if that is one frame, `decode` if it can be several.
 * `opaque` is another number, of 32 bits, for each request of a connection: a protocol that can have it echoed sees by it
 * that a reply is the one to its request.
 */
export type Exchange<O extends Op, Frame> = OneFrame<O, Frame> | Frames<O, Frame>

/** What reads the reply to this request, however many frames it has. */
export function foldOf<O extends Op, Frame>(exchange: Exchange<O, Frame>, request: Request<O>, opaque: number, arrived?: Arrived): Fold<Reply<O>, Frame> {
  const { reply } = exchange
  return reply === undefined ? exchange.decode(request, opaque, arrived) : (frame) => reply(frame, request, opaque)
}

/**
 * Authentication, step by step: yields what is to be sent, and is given the frame of the reply to that. It is done when
 * it returns. @throws MemcacheAuthError when the server refuses, or does not ask for credentials.
 */
export type Authentication<Frame> = Generator<Bytes, void, Frame>

/** A wire protocol, without a socket: pure functions from requests to bytes, from bytes to frames, from frames to replies. */
export interface Protocol<Frame> {
  /** In messages. */
  readonly name: string
  /** An operation that is missing is Unsupported. */
  readonly commands: { readonly [O in Op]?: Exchange<O, Frame> }
  /** The longest key, in bytes, with blanks and control characters in it, that it can say. Default: none. */
  readonly longestBinaryKey?: number
  /** Whether the value of a `store` may be latin1 text, which `withValue` takes, too. Default: it is a Buffer. */
  readonly latin1Values?: boolean
  /** Whether kestrel, darner and their like speak it. Default: no. */
  readonly queues?: boolean
  /**
   * Whether concurrent `get`s may travel as one `getMulti` to a server of this version, one that answers to it with nothing but
   * the values and does not take them away. Default: to none.
   */
  readonly joinsGets?: (version: string) => boolean
  /**
   * How a connection begins for a client with credentials; nothing else is written before it is done. Without it they are
   * Unsupported. Also called by the client's constructor, for what it throws at once. @throws MemcacheValueError for
   * credentials that it cannot say.
   */
  readonly authenticate?: (credentials: Credentials) => Authentication<Frame>
  /**
   * Reads one whole frame, moving the reader behind it, or gives undefined and leaves the reader where it was: more
   * bytes have to come. @throws MemcacheProtocolError for what is outside the grammar, or longer than `maxLength`.
   */
  readonly frame: (reader: ByteReader, maxLength: number) => Frame | undefined
  /** What a server means that sends this frame unasked, just before it closes. */
  readonly unasked: (frame: Frame) => MemcacheError
  /** Whether replies can still be told apart after this refusal, so that the connection may go on. */
  readonly usableAfter: (refusal: MemcacheDriverError, request: Request) => boolean
  /** Whether the server closes after this refusal as soon as it has answered what it has read already. Default: never. */
  readonly closesAfter?: (refusal: MemcacheDriverError, request: Request) => boolean
}

/** Another library, or nothing at all, behind the same vocabulary. An operation that is missing is Unsupported. */
export interface Backend {
  /** See {@link Protocol.longestBinaryKey}. */
  readonly longestBinaryKey?: number
  /** See {@link Transports}. Default: none. */
  readonly transports?: Transports
  /** See {@link Driver.socket}. */
  readonly socket?: Socket | undefined
  /**
   * Asked in the order of the calls, while there is a connection. To reject with MemcacheSocketError ends that; an error
   * that is none of ours becomes a MemcacheDriverError.
   */
  readonly commands: { readonly [O in Op]?: (request: Request<O>) => Promise<Reply<O>> | Reply<O> }
  /**
   * Makes the connection. `lost` is to be called if it ends by itself, with why: what is pending rejects, and a later
   * request connects anew.
   */
  connect?(lost: (cause: unknown) => void): Promise<void>
  /** Leaves the connection, one that was lost too, or the attempt to make one. */
  close(): void | Promise<void>
}

/** Whether a request is for no key at all: nothing would be sent, so that no reply would come. The reply is empty. */
export function asksNothing<O extends Op>(asked: Request<O>): boolean {
  const request = asked as Request
  return request.op === 'getMulti' && request.keys.length === 0
}

/** The error for an operation that a driver does not have. */
export function unsupported<O extends Op>(driver: string, request: Request<O>): MemcacheUnsupportedError {
  return new MemcacheUnsupportedError(`the ${driver} driver has no "${commandName(request)}"`)
}

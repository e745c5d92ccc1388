/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { tracingChannel } from 'node:diagnostics_channel'
import type { Key, Op, Reply, Request } from './commands.ts'
import type { Endpoint } from './driver.ts'
import {
  atCaller,
  MemcacheClientError,
  MemcacheError,
  MemcacheKeyError,
  MemcacheProtocolError,
  MemcacheServerError,
  MemcacheValueError,
} from './errors.ts'
import type { Middleware } from './middleware.ts'

/** What a trace says in the words of OpenTelemetry's conventions for databases, ready to be a span's attributes. */
export type TraceAttributes = {
  readonly 'db.system.name': 'memcached'
  /** A host, or the path of a unix socket. */
  readonly 'server.address': string
  readonly 'server.port'?: number
  readonly 'network.transport': 'tcp' | 'unix'
  /** The error's `code`, else its name. */
  'error.type'?: string
  /** The protocol's word for a refusal, whatever the driver: `SERVER_ERROR`, `CLIENT_ERROR`. */
  'db.response.status_code'?: string
}

/** The context that the channels of `tracing:ermc:connect` publish: one object for each attempt to connect. */
export interface ConnectContext {
  readonly attributes: TraceAttributes
  /** Seconds. There from `asyncStart` on. */
  duration?: number
  error?: unknown
}

/** The context that the channels of `tracing:ermc:command` publish: one object for each call of a command. */
export interface CommandContext {
  readonly attributes: TraceAttributes & {
    /** The client's method: `get`, `setMulti`, `incr`, … */
    readonly 'db.operation.name': string
    /** How many keys, where there are several. */
    'db.operation.batch.size'?: number
  }
  /** As they go on the wire, prefix included. Only with the client's option `traceKeys`. */
  keys?: string[]
  /** How many values were found, of a command that reads. */
  hits?: number
  /** How many were not. A fault is no miss. */
  misses?: number
  /** Bytes of the values that were stored or found, as they go on the wire: serialized, compressed. */
  valueBytes?: number
  /** Seconds. There from `asyncStart` on. */
  duration?: number
  /** What the caller gets, or what `errorAsMiss` keeps from it; without its words, where those may be a key's or a value's. */
  error?: unknown
}

const commands = tracingChannel<unknown, CommandContext>('ermc:command')
const connects = tracingChannel<unknown, ConnectContext>('ermc:connect')

/** Tells who listens to `ermc:command` of a client's commands. */
export class Tracer {
  readonly #server: TraceAttributes
  readonly #traceKeys: boolean

  constructor(endpoint: Endpoint, traceKeys: boolean) {
    this.#server = attributesOf(endpoint)
    this.#traceKeys = traceKeys
  }

  /** Whether anybody listens. It is asked for each command, and is all that a command costs when nobody does. */
  get active(): boolean {
    return commands.hasSubscribers
  }

  /** Runs a command, whose requests all have to go through the layer that it is given. */
  trace<R>(command: string, run: (observe: Middleware) => Promise<R>): Promise<R> {
    const trace = new CommandTrace({ ...this.#server, 'db.operation.name': command }, this.#traceKeys)
    const { context } = trace
    const fail = (error: unknown): never => {
      trace.settle(error, fail)
      throw atCaller(error, {}, fail)
    }
    const finish = (result: R): R => {
      trace.settle(undefined, finish)
      return result
    }
    return commands.start.runStores(context, () => {
      const result = run(trace.observe)
      commands.end.publish(context)
      return result.then(finish, fail)
    })
  }
}

/** What becomes of one command, from what is asked of the driver for it. */
class CommandTrace {
  readonly context: CommandContext
  readonly #traceKeys: boolean
  readonly #began = performance.now()
  readonly #keys = new Set<Key>()
  /** What was asked, with the fault that it ended in. One that found no room is asked again. */
  readonly #faults = new Map<Request, unknown>()

  constructor(attributes: CommandContext['attributes'], traceKeys: boolean) {
    this.context = { attributes }
    this.#traceKeys = traceKeys
  }

  readonly observe: Middleware = (next) => (request, call) => {
    if (!this.#faults.has(request as Request)) this.#asked(request as Request)
    const answered = <R extends Reply>(reply: R): R => {
      this.#faults.set(request as Request, undefined)
      this.#answered(request as Request, reply)
      return reply
    }
    const failed = (fault: unknown): never => {
      this.#faults.set(request as Request, fault)
      throw fault
    }
    return next(request, call).then(answered, failed)
  }

  /** `below`: see atCaller. */
  settle(error: unknown, below: (...args: never[]) => unknown): void {
    const { context } = this
    context.duration = (performance.now() - this.#began) / 1000
    const fault = error ?? [...this.#faults.values()].find((each) => each !== undefined)
    if (fault !== undefined) {
      describe(context, fault, this.#traceKeys, below)
      commands.error.publish(context)
    }
    commands.asyncStart.publish(context)
    commands.asyncEnd.publish(context)
  }

  #asked(request: Request): void {
    const { context } = this
    this.#faults.set(request, undefined)
    for (const key of keysOf(request)) {
      if (this.#traceKeys && !this.#keys.has(key)) (context.keys ??= []).push(Buffer.from(key, 'latin1').toString())
      this.#keys.add(key)
    }
    if (this.#keys.size > 1) context.attributes['db.operation.batch.size'] = this.#keys.size
    if (request.op === 'store') this.#addBytes(request.item.value.length)
  }

  #answered(request: Request, reply: Reply): void {
    if (request.op === 'get' || request.op === 'metaGet') this.#read(reply as Reply<'get'>)
    else if (request.op === 'getMulti') for (const item of reply as Reply<'getMulti'>) this.#read(item)
  }

  #read(item: Reply<'get'>): void {
    const { context } = this
    context.hits = (context.hits ?? 0) + (item === undefined ? 0 : 1)
    context.misses = (context.misses ?? 0) + (item === undefined ? 1 : 0)
    if (item !== undefined) this.#addBytes(item.value.length)
  }

  #addBytes(length: number): void {
    this.context.valueBytes = (this.context.valueBytes ?? 0) + length
  }
}

/** Tells who listens to `ermc:connect` of one attempt to connect. */
export class ConnectTrace {
  readonly #context: ConnectContext
  readonly #began = performance.now()

  private constructor(endpoint: Endpoint) {
    this.#context = { attributes: { ...attributesOf(endpoint) } }
  }

  /** Begins an attempt; `trace` is `undefined` where nobody listens. */
  static begin<Connection>(endpoint: Endpoint, make: () => Connection): { connection: Connection; trace: ConnectTrace | undefined } {
    if (!connects.hasSubscribers) return { connection: make(), trace: undefined }
    const trace = new ConnectTrace(endpoint)
    const connection = connects.start.runStores(trace.#context, () => {
      try {
        return make()
      } finally {
        connects.end.publish(trace.#context)
      }
    })
    return { connection, trace }
  }

  /** The attempt is over: it has failed with this error, if there is one. */
  settle(error?: MemcacheError): void {
    const context = this.#context
    context.duration = (performance.now() - this.#began) / 1000
    if (error !== undefined) {
      describe(context, error, false)
      connects.error.publish(context)
    }
    connects.asyncStart.publish(context)
    connects.asyncEnd.publish(context)
  }
}

function attributesOf({ path, host, port }: Endpoint): TraceAttributes {
  const system = { 'db.system.name': 'memcached' } as const
  return path === undefined
    ? { ...system, 'server.address': host, 'server.port': port, 'network.transport': 'tcp' }
    : { ...system, 'server.address': path, 'network.transport': 'unix' }
}

function keysOf(request: Request<Op>): readonly Key[] {
  return 'keys' in request ? request.keys : 'key' in request ? [request.key] : []
}

function describe(context: CommandContext | ConnectContext, error: unknown, traceKeys: boolean, below?: (...args: never[]) => unknown): void {
  const { attributes } = context
  attributes['error.type'] = error instanceof MemcacheError ? error.code : error instanceof Error ? error.name : '_OTHER'
  const refusal = error instanceof MemcacheServerError ? 'SERVER_ERROR' : error instanceof MemcacheClientError ? 'CLIENT_ERROR' : undefined
  if (refusal !== undefined) attributes['db.response.status_code'] = refusal
  context.error = error instanceof MemcacheError && quotes(error, traceKeys) ? withoutWords(error, below) : error
}

/** Whether what an error says may be a key, a value, or bytes that a server has sent in the place of one. */
function quotes(error: MemcacheError, traceKeys: boolean): boolean {
  if (error instanceof MemcacheKeyError) return !traceKeys
  if (error instanceof MemcacheValueError || error instanceof MemcacheProtocolError) return true
  return error.cause instanceof MemcacheError && quotes(error.cause, traceKeys)
}

/** Of the same class, with all that can be told apart by a program. */
function withoutWords(error: MemcacheError, below?: (...args: never[]) => unknown): MemcacheError {
  const { code, command, server, sent } = error
  const copy = new MemcacheError('the message is left out of traces: it may quote a key or a value', { command, server, sent })
  Object.setPrototypeOf(Object.assign(copy, { code }), Object.getPrototypeOf(error))
  Error.captureStackTrace(copy, below)
  return copy
}

import { executeAll } from './bulk.ts'
import { Command, type Build, type CommandOwner, type Result } from './command.ts'
import { checkCall } from './call-options.ts'
import type { CallOptions, Execute, Op, Reply, Request } from './commands.ts'
import { countFrom, type CounterStart } from './counting.ts'
import { errorAsMiss, missFor } from './error-as-miss.ts'
import { atCaller, MemcacheClosedError } from './errors.ts'
import type { KeyLike } from './key.ts'
import type { Middleware } from './middleware.ts'
import { Pending } from './pending.ts'
import type { Tracer } from './tracing.ts'
import type { Direct } from './wire.ts'

/** What of a client's settings concerns its callers. */
export interface CallerSettings {
  /** The server's name in errors. */
  readonly server: string
  /** Milliseconds. */
  readonly timeout: number
  readonly maxPending: number
  readonly errorAsMiss: boolean
  /** Who hears of the commands, if they are to be heard of. */
  readonly tracer: Tracer | undefined
}

/** Whether a client is open, for all of its parts. */
export interface Life {
  closed: boolean
}

/**
 * Runs the commands of a client for their callers: options checked, nothing executed once the client is closed, replies
 * turned into results, errors made the caller's own. Whatever goes wrong rejects; nothing throws.
 */
export class Caller implements CommandOwner {
  /** Executes one request. */
  readonly execute: Execute
  /** Faults become a miss. */
  readonly errorAsMiss: boolean
  readonly #strict: Execute
  /** Executes one request without a promise of its own, where nothing stands between the client and its driver. */
  readonly #direct: Direct | undefined
  readonly #settings: CallerSettings
  readonly #life: Life
  readonly #tracer: Tracer | undefined
  #untraced: CallerSettings | undefined

  /** `execute` rejects with faults, whether or not the client's callers get them as misses. */
  constructor(execute: Execute, settings: CallerSettings, life: Life, direct?: Direct) {
    this.#strict = execute
    this.#direct = direct
    this.errorAsMiss = settings.errorAsMiss
    this.execute = settings.errorAsMiss ? errorAsMiss(execute) : execute
    this.#settings = settings
    this.#life = life
    this.#tracer = settings.tracer
  }

  /** A command that is one request. */
  call<O extends Op, R>(name: string, options: CallOptions | undefined, build: () => Request<O>, result: Result<O, R>): Promise<R> {
    return this.run(new Command(name, build, result, this), options)
  }

  /** A command that is called often, made once and for all, for `run`. */
  command<O extends Op, R>(name: string, op: O, build: Build<O>, result: Result<O, R>): Command<O, R> {
    return new Command(name, build, result, this, this.#direct?.wayOf(op))
  }

  /** Runs a command with what its request is made of. */
  run<O extends Op, R>(command: Command<O, R>, options: CallOptions | undefined, key?: KeyLike, value?: unknown): Promise<R> {
    if (this.#tracer?.active) return this.#tracer.trace(command.name, (observe) => this.#through(observe).run(command, options, key, value))
    const direct = this.#direct
    if (direct === undefined) return this.#runThrough(command, options, key, value)
    let pending: Pending<O> | undefined
    let resolve!: (result: unknown) => void
    const promise = new Promise<R>((settle) => {
      resolve = settle as (result: unknown) => void
    })
    try {
      this.#check(command.name, options)
      const request = command.build(key as KeyLike, value, options)
      pending = new Pending(request, command, resolve)
      direct.begin(pending, command.way ?? direct.wayOf(request.op), options)
    } catch (error) {
      if (pending === undefined || !this.errorAsMiss) return Promise.reject(this.fault(error, command.name))
      pending.reject(error)
    }
    return promise
  }

  /** The same through the user's layers, or on a driver that is none of ours. */
  #runThrough<O extends Op, R>(command: Command<O, R>, options: CallOptions | undefined, key: KeyLike | undefined, value: unknown): Promise<R> {
    const { name, result } = command
    const fail = (error: unknown): never => {
      throw this.fault(error, name, fail)
    }
    try {
      this.#check(name, options)
      const request = command.build(key as KeyLike, value, options)
      const finish = (reply: Reply<O>): R => {
        try {
          return result(reply, request)
        } catch (error) {
          return fail(error)
        }
      }
      return this.execute(request, options).then(finish, fail)
    } catch (error) {
      return Promise.reject(this.fault(error, name))
    }
  }

  /** A command that takes more than one request, or none. `body` asks by the caller that it is given. */
  async guard<R>(command: string, options: CallOptions | undefined, body: (caller: Caller) => Promise<R>): Promise<R> {
    if (this.#tracer?.active) return this.#tracer.trace(command, (observe) => this.#through(observe).guard(command, options, body))
    try {
      this.#check(command, options)
      return await body(this)
    } catch (error) {
      throw this.fault(error, command)
    }
  }

  /** The replies to any number of requests for different keys, in their order. */
  all<O extends Op>(requests: readonly Request<O>[], options: CallOptions | undefined): Promise<Reply<O>[]> {
    const { timeout, maxPending: most } = this.#settings
    // A request that finds no room behind others of its own call is no fault yet, so that misses are made above executeAll.
    const rescue = this.errorAsMiss ? missFor<O> : undefined
    return executeAll(this.#strict, requests, { signal: options?.signal, timeout: options?.timeout ?? timeout, most, rescue })
  }

  /** A count that makes the counter where there is none. */
  async countFrom(request: Request<'count'>, start: CounterStart, options: CallOptions | undefined): Promise<Reply<'count'>> {
    const { timeout } = this.#settings
    try {
      // A fault that looks like a missing counter would be taken for one.
      return await countFrom(this.#strict, request, start, { signal: options?.signal, timeout: options?.timeout ?? timeout })
    } catch (error) {
      if (!this.errorAsMiss) throw error
      return missFor(request, error)
    }
  }

  /** An error as the caller of a command gets it. */
  fault(error: unknown, command: string | undefined, below?: (error: unknown) => never): unknown {
    return atCaller(error, { command, server: this.#settings.server }, below)
  }

  /** The same, for one command that is traced: all it asks goes through this layer. */
  #through(observe: Middleware): Caller {
    this.#untraced ??= { ...this.#settings, tracer: undefined }
    return new Caller(observe(this.#strict), this.#untraced, this.#life)
  }

  #check(command: string, options: CallOptions | undefined): void {
    if (options !== undefined) {
      checkCall(command, options)
      options.signal?.throwIfAborted()
    }
    if (this.#life.closed) throw new MemcacheClosedError('close() was called')
  }
}

import type { CallOptions, Op, Reply, Request } from './commands.ts'
import { missFor } from './error-as-miss.ts'
import { MemcacheError } from './errors.ts'
import type { KeyLike } from './key.ts'
import type { Pending, Recipient } from './pending.ts'
import type { Way } from './ways.ts'

/** Makes a request of what the caller of a command passes; a command without a key, or a value, has none. @throws what that is refused with. */
export type Build<O extends Op> = (key: KeyLike, value: unknown, options: CallOptions | undefined) => Request<O>

/** What the caller of a command gets in place of a reply. */
export type Result<O extends Op, R> = (reply: Reply<O>, request: Request<O>) => R

/** Whose commands they are. */
export interface CommandOwner {
  readonly errorAsMiss: boolean
  /** An error as the caller of a command gets it; its stack begins behind `below`. */
  fault(error: unknown, command: string, below: (error: unknown) => never): unknown
}

/** A command that is one request, whoever calls it: what arguments become on their way to the server, and replies and errors on theirs to the caller. */
export class Command<O extends Op, R> implements Recipient {
  readonly name: string
  readonly build: Build<O>
  readonly result: Result<O, R>
  /** How the driver says it, if that has been looked up. */
  readonly way: Way | undefined
  readonly #owner: CommandOwner

  constructor(name: string, build: Build<O>, result: Result<O, R>, owner: CommandOwner, way?: Way) {
    this.name = name
    this.build = build
    this.result = result
    this.way = way
    this.#owner = owner
  }

  answer(reply: Reply<O>, call: Pending<O>): void {
    let result: R
    try {
      result = this.result(reply, call.request)
    } catch (error) {
      return this.#explain(error, call)
    }
    call.resolvePromise(result)
  }

  fail(reason: unknown, call: Pending<O>): void {
    if (!this.#owner.errorAsMiss) return this.#explain(reason, call)
    try {
      call.resolvePromise(this.result(missFor(call.request, reason), call.request))
    } catch (error) {
      this.#explain(error, call)
    }
  }

  /** Rejects the caller's promise; an error of ours gets the caller's stack. */
  #explain(error: unknown, call: Pending<O>): void {
    if (!(error instanceof MemcacheError)) return call.rejectPromise(error)
    const rethrow = (reason: unknown): never => {
      throw this.#owner.fault(reason, this.name, rethrow)
    }
    // While a promise settles that the caller's follows, V8 knows who awaits that: it does so from the second microtask on.
    call.resolvePromise(Promise.reject(error).then(undefined, asItIs).then(undefined, rethrow))
  }
}

function asItIs(reason: unknown): never {
  throw reason
}

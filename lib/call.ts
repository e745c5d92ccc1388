import type { Op, Reply, Request } from './commands.ts'
import { missFor } from './error-as-miss.ts'
import { MemcacheError } from './errors.ts'
import { Pending } from './pending.ts'

/** What the caller of a command gets in place of a reply. */
export type Result<O extends Op, R> = (reply: Reply<O>, request: Request<O>) => R

/** Whose commands they are. */
export interface CallOwner {
  readonly errorAsMiss: boolean
  /** An error as the caller of a command gets it; its stack begins behind `below`. */
  fault(error: unknown, command: string, below: (error: unknown) => never): unknown
}

/** A command that is one request, with the one promise that its caller has: the result is made when the reply comes. */
export class Call<O extends Op, R> extends Pending<O> {
  readonly #command: string
  readonly #result: Result<O, R>
  readonly #owner: CallOwner
  readonly #resolve: (result: R | PromiseLike<R>) => void
  readonly #reject: (reason: unknown) => void

  constructor(
    command: string,
    request: Request<O>,
    result: Result<O, R>,
    owner: CallOwner,
    resolve: (result: R | PromiseLike<R>) => void,
    reject: (reason: unknown) => void,
  ) {
    super(request)
    this.#command = command
    this.#result = result
    this.#owner = owner
    this.#resolve = resolve
    this.#reject = reject
  }

  protected override answer(reply: Reply<O>): void {
    let result: R
    try {
      result = this.#result(reply, this.request)
    } catch (error) {
      return this.#explain(error)
    }
    this.#resolve(result)
  }

  protected override fail(reason: unknown): void {
    if (!this.#owner.errorAsMiss) return this.#explain(reason)
    try {
      this.#resolve(this.#result(missFor(this.request, reason), this.request))
    } catch (error) {
      this.#explain(error)
    }
  }

  /** Rejects the caller's promise; an error of ours gets the caller's stack. */
  #explain(error: unknown): void {
    if (!(error instanceof MemcacheError)) return this.#reject(error)
    const rethrow = (reason: unknown): never => {
      throw this.#owner.fault(reason, this.#command, rethrow)
    }
    // While a promise settles that the caller's follows, V8 knows who awaits that: it does so from the second microtask on.
    this.#resolve(Promise.reject(error).then(undefined, asItIs).then(undefined, rethrow))
  }
}

function asItIs(reason: unknown): never {
  throw reason
}

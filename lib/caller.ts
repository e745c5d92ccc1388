import { checkCall } from './call-options.ts'
import type { CallOptions, Execute, Op, Reply, Request } from './commands.ts'
import { atCaller, MemcacheClosedError } from './errors.ts'

/**
 * Runs the commands of a client for their callers: options checked, nothing executed once the client is closed, replies
 * turned into results, errors made the caller's own. Whatever goes wrong rejects; nothing throws.
 */
export class Caller {
  readonly execute: Execute
  closed = false
  readonly #server: string

  constructor(execute: Execute, server: string) {
    this.execute = execute
    this.#server = server
  }

  /** A command that is one request. The promises are made by hand: an async function costs a `get` twice as much. */
  call<O extends Op, R>(
    command: string,
    options: CallOptions | undefined,
    build: () => Request<O>,
    result: (reply: Reply<O>, request: Request<O>) => R,
  ): Promise<R> {
    const fail = (error: unknown): never => {
      throw this.fault(error, command, fail)
    }
    try {
      this.#check(command, options)
      const request = build()
      const finish = (reply: Reply<O>): R => {
        try {
          return result(reply, request)
        } catch (error) {
          return fail(error)
        }
      }
      return this.execute(request, options).then(finish, fail)
    } catch (error) {
      return Promise.reject(this.fault(error, command))
    }
  }

  /** A command that takes more than one request, or none. */
  async guard<R>(command: string, options: CallOptions | undefined, body: () => Promise<R>): Promise<R> {
    try {
      this.#check(command, options)
      return await body()
    } catch (error) {
      throw this.fault(error, command)
    }
  }

  /** An error as the caller of a command gets it. */
  fault(error: unknown, command: string | undefined, below?: (error: unknown) => never): unknown {
    return atCaller(error, { command, server: this.#server }, below)
  }

  #check(command: string, options: CallOptions | undefined): void {
    if (options !== undefined) checkCall(command, options)
    options?.signal?.throwIfAborted()
    if (this.closed) throw new MemcacheClosedError('close() was called')
  }
}

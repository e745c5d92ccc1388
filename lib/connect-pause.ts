import { lostClass } from './connection-faults.ts'
import { MemcacheAuthError, type MemcacheError } from './errors.ts'

/** The pause after the first failed attempt to connect, in milliseconds; it doubles with each further one up to the longest. */
const SHORTEST = 10
const LONGEST = 500

/**
 * What keeps a client from storming a server that is down: after a failed attempt to connect no command makes another for a
 * while, longer each time; the jitter keeps many clients from coming back at the same moment.
 */
export class ConnectPause {
  /** Attempts that failed in a row, the last one's error, and until when no other is made. */
  #failures = 0
  #failure: MemcacheError | undefined
  #until = 0

  /** An attempt has failed. */
  begin(failure: MemcacheError): void {
    // Credentials do not become right by asking again.
    const longest = failure instanceof MemcacheAuthError ? LONGEST : Math.min(SHORTEST * 2 ** this.#failures, LONGEST)
    this.#failures += 1
    this.#failure = failure
    this.#until = performance.now() + longest * (0.5 + Math.random() / 2)
  }

  /** An attempt has succeeded. */
  end(): void {
    this.#failures = 0
    this.#failure = undefined
  }

  /** The error for a command that comes during the pause; `undefined` where it may make an attempt. */
  refusal(): MemcacheError | undefined {
    const left = this.#until - performance.now()
    if (this.#failure === undefined || left <= 0) return undefined
    const { message, cause } = this.#failure
    return new (lostClass(this.#failure))(`${message} (no new attempt for ${Math.ceil(left)} ms)`, { cause: cause ?? this.#failure })
  }
}

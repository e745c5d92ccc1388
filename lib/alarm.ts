/** Milliseconds; a longer timer would fire at once. */
export const LONGEST_TIMEOUT = 2 ** 31 - 1

/**
 * One timer for any number of deadlines: it is set for the earliest, and whoever it wakes says which is next. At a
 * steady load that is one wake-up a `timeout`, not one timer a request.
 */
export class Alarm {
  readonly #ring: (due: number) => void
  #timer: NodeJS.Timeout | undefined
  #at = Infinity

  constructor(ring: (due: number) => void) {
    this.#ring = ring
  }

  /**
   * Rings at `at`, in milliseconds of `performance.now()`, or earlier: if it is set for an earlier moment already, and where
   * that is further away than a timer can be set for.
   */
  setFor(at: number): void {
    if (at >= this.#at) return
    this.clear()
    this.#at = at
    // A process that was busy or stopped past a deadline finds the timer due and the replies unread: setImmediate lets
    // it read them first. The timer alone keeps no process alive, a connected socket does.
    const milliseconds = Math.min(Math.max(0, Math.ceil(at - performance.now())), LONGEST_TIMEOUT)
    this.#timer = setTimeout(this.#due, milliseconds).unref()
  }

  clear(): void {
    clearTimeout(this.#timer)
    this.#at = Infinity
  }

  readonly #due = (): void => {
    const now = performance.now()
    setImmediate(() => {
      this.clear()
      this.#ring(now)
    })
  }
}

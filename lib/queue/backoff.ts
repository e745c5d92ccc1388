import { onAbort } from '../abort-watch.ts'

/** The pause after the first fault, and the longest one, in milliseconds. */
const SHORTEST = 50
const LONGEST = 5000

/** How long to wait before something is tried again: longer each time, with jitter, so that many do not come back at once. */
export class Backoff {
  #faults = 0

  /** Milliseconds to wait after one more fault. */
  next(): number {
    const longest = Math.min(SHORTEST * 2 ** this.#faults, LONGEST)
    this.#faults += 1
    return longest * (0.5 + Math.random() / 2)
  }

  /** It has worked. */
  reset(): void {
    this.#faults = 0
  }
}

/** Waits, and no longer than until the signal is aborted. Never rejects. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted || milliseconds <= 0) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      unwatch()
      resolve()
    }
    const timer = setTimeout(done, milliseconds)
    const unwatch = onAbort(signal, done)
  })
}

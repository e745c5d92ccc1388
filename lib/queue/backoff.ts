import { onAbort } from '../abort-watch.ts'

/** The pause after the first fault, and the longest one, in milliseconds. */
const SHORTEST = 50
const LONGEST = 5000

/** How long to wait before a server is asked again: longer each time, with jitter, so that many do not come back at once. */
export class Backoff {
  #faults = 0
  /** Before this nobody has asked again: another fault is one more of the same outage, and makes no pause longer. */
  #until = 0

  /** Milliseconds to wait after one more fault. */
  next(): number {
    const now = performance.now()
    if (now >= this.#until) this.#faults += 1
    const longest = Math.min(SHORTEST * 2 ** (this.#faults - 1), LONGEST)
    if (now >= this.#until) this.#until = now + longest / 2
    return longest * (0.5 + Math.random() / 2)
  }

  /** It has worked. */
  reset(): void {
    this.#faults = 0
    this.#until = 0
  }
}

/** Waits, and no longer than until one of the signals is aborted. Never rejects. */
export function pause(milliseconds: number, ...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    if (milliseconds <= 0 || signals.some(({ aborted }) => aborted)) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      for (const unwatch of watches) unwatch()
      resolve()
    }
    const timer = setTimeout(done, milliseconds)
    const watches = signals.map((signal) => onAbort(signal, done))
  })
}

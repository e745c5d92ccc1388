import type { Key } from './commands.ts'

/** How many cas ids a client remembers; past that, the one that was remembered first is forgotten. */
const MOST = 10_000

/** The cas ids that `gets` has seen, for a `cas` that brings none. */
export class CasIds {
  readonly #ids = new Map<Key, bigint>()

  remember(key: Key, cas: bigint): void {
    this.#ids.delete(key) // so that it counts as remembered last
    this.#ids.set(key, cas)
    if (this.#ids.size <= MOST) return
    const [oldest] = this.#ids.keys()
    if (oldest !== undefined) this.#ids.delete(oldest)
  }

  get(key: Key): bigint | undefined {
    return this.#ids.get(key)
  }

  clear(): void {
    this.#ids.clear()
  }
}

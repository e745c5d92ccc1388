/** What is stored under a key: text that nobody else stores, or nothing. */
export type Content = string | undefined

/** What became of a call, as far as its caller knows. */
export type Fate =
  | { readonly result: unknown }
  /** It failed, and the server may have run it, now or later. */
  | 'unknown'
  /** It failed, and never left the client. */
  | 'undone'

/**
 * All that can be stored under one key. It is told of the calls of one client in their order, each with what became of it,
 * and says whether that can be. A call whose fate is unknown may have had its effect, and may still have it: what a client
 * has sent on a connection that is lost, the server may read when later calls are long done.
 */
export class Register {
  #now = new Set<Content>([undefined])
  readonly #late = new Set<Content>()

  /** A read that found this. */
  isFound(content: unknown): boolean {
    if (!this.#can().has(content as Content)) return false
    this.#now = new Set([content as Content])
    return true
  }

  /** A command that says whether there is anything. */
  isThere(there: unknown): boolean {
    const possible = [...this.#can()].filter((content) => (content !== undefined) === there)
    if (possible.length > 0) this.#now = new Set(possible)
    return possible.length > 0
  }

  /** A command after which this is stored. */
  leaves(content: Content): true {
    this.#now = new Set([content])
    return true
  }

  /** A command after which this may be stored, at any time. */
  mayLeave(content: Content): true {
    this.#late.add(content)
    return true
  }

  #can(): Set<Content> {
    return new Set([...this.#now, ...this.#late])
  }
}

/** A counter that only ever goes up by one. */
export class Count {
  #least: number
  #most: number

  constructor(from: number) {
    this.#least = from
    this.#most = from
  }

  isCount(count: unknown): boolean {
    this.#least += 1
    this.#most += 1
    const possible = typeof count === 'number' && count >= this.#least && count <= this.#most
    if (possible) this.#least = count
    return possible
  }

  mayCount(): true {
    this.#most += 1
    return true
  }
}

/// <reference types="node" preserve="true" />

/**
 * The faults a test can switch on, and the way that replies take through them: in batches, one for all that one read
 * of a connection brought. A fault stops, delays, replaces or cuts them.
 */

/** What stands at the end of a connection's way out. */
export interface Outlet {
  write(batch: readonly Buffer[]): void
  /** Sends FIN after what was written, and closes. */
  end(): void
}

/** A server's switches. */
export class Faults {
  #stalled = false
  #delay = 0
  #garble: Buffer[] = []
  /** Reply bytes left until one connection is closed. */
  #bytesLeft = Infinity
  #gates = new Set<ReplyGate>()

  get stalled(): boolean {
    return this.#stalled
  }

  /** Milliseconds that every batch is held back. */
  get delay(): number {
    return this.#delay
  }

  stall(): void {
    this.#stalled = true
  }

  resume(): void {
    this.#stalled = false
    for (const gate of this.#gates) gate.release()
  }

  delayBy(milliseconds: number): void {
    this.#delay = milliseconds
  }

  garble(bytes: Buffer): void {
    this.#garble.push(bytes)
  }

  closeAfter(bytes: number): void {
    this.#bytesLeft = bytes
  }

  /** What to send in place of the next reply, if anything. */
  takeGarble(): Buffer | undefined {
    return this.#garble.shift()
  }

  /** The part of a batch that may be sent, and whether the connection ends behind it. */
  cut(batch: readonly Buffer[]): { readonly allowed: readonly Buffer[]; readonly last: boolean } {
    const length = batch.reduce((sum, bytes) => sum + bytes.length, 0)
    if (length < this.#bytesLeft) {
      this.#bytesLeft -= length
      return { allowed: batch, last: false }
    }
    const allowed = [Buffer.concat(batch, this.#bytesLeft)]
    this.#bytesLeft = Infinity
    return { allowed, last: true }
  }

  /** A new connection's way out. */
  gate(outlet: Outlet): ReplyGate {
    const gate = new ReplyGate(this, outlet)
    this.#gates.add(gate)
    return gate
  }

  /** The connection is gone, and with it what was held back. */
  forget(gate: ReplyGate): void {
    gate.discard()
    this.#gates.delete(gate)
  }
}

/** One connection's replies on their way out: in order, none before it is due. */
export class ReplyGate {
  #faults: Faults
  #outlet: Outlet
  /** What is held back; without a batch it is the end of the connection. */
  #held: { readonly batch: readonly Buffer[] | undefined; readonly due: number }[] = []
  #timer: NodeJS.Timeout | undefined
  #ended = false

  constructor(faults: Faults, outlet: Outlet) {
    this.#faults = faults
    this.#outlet = outlet
  }

  send(batch: readonly Buffer[]): void {
    this.#add(batch)
  }

  end(): void {
    this.#add(undefined)
  }

  /** Lets out what is due, if the server is not stalled. */
  release(): void {
    clearTimeout(this.#timer)
    while (!this.#faults.stalled && this.#held.length > 0) {
      const { batch, due } = this.#held[0]!
      const wait = due - performance.now()
      if (wait > 0) {
        this.#timer = setTimeout(() => { this.release() }, wait)
        this.#timer.unref()
        return
      }
      this.#held.shift()
      this.#pass(batch)
    }
  }

  discard(): void {
    clearTimeout(this.#timer)
    this.#held = []
    this.#ended = true
  }

  #add(batch: readonly Buffer[] | undefined): void {
    if (this.#ended) return
    if (!this.#faults.stalled && this.#faults.delay === 0 && this.#held.length === 0) {
      this.#pass(batch)
      return
    }
    this.#held.push({ batch, due: performance.now() + this.#faults.delay })
    this.release()
  }

  #pass(batch: readonly Buffer[] | undefined): void {
    if (batch === undefined) {
      this.#finish()
      return
    }
    const { allowed, last } = this.#faults.cut(batch)
    this.#outlet.write(allowed)
    if (last) this.#finish()
  }

  #finish(): void {
    this.discard()
    this.#outlet.end()
  }
}

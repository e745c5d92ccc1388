/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { complete, MemcacheReservationLostError, MemcacheValueError, type MemcacheError } from '../errors.ts'

/** `acked`, `aborted`: the server has said so. `lost`: the connection ended before it did. */
export type Outcome = 'acked' | 'aborted' | 'lost'

/** What is said to the server about an item: `close` acknowledges, `abort` gives it back. */
export type Verb = 'close' | 'abort'

/** What a reservation tells, each once. */
export interface ReservationEvents {
  /** It has been settled, or will be with what is sent next: its connection may be used for another one. */
  released(): void
  /** What became of it is known. */
  finished(outcome: Outcome): void
}

/** The connection that an item is reserved for, and no other one. */
export interface Holder extends ReservationEvents {
  readonly queue: string
  /** The server's name in errors. */
  readonly server: string
  /** Resolves when the server has done it. */
  settle(verb: Verb): Promise<void>
  /** Puts bytes into a queue; `false` = it is full. */
  put(queue: string, bytes: Buffer): Promise<boolean>
}

/** An acknowledgement that has not left yet. Whoever takes it over sees to it that it is said, and tells how that went. */
export interface DeferredAck {
  resolve(): void
  reject(reason: unknown): void
}

/** An item that a server keeps for one connection, until it is acknowledged or given back, or the connection ends. */
export class Reservation {
  readonly bytes: Buffer
  readonly holder: Holder
  /** Resolves when it is known what became of it. */
  readonly settled: Promise<void>
  #resolveSettled!: () => void
  readonly #lost = new AbortController()
  #state: 'open' | 'settling' | Outcome = 'open'
  #said: { readonly verb: Verb; readonly done: Promise<void> } | undefined
  #deferred: DeferredAck | undefined
  /** While a copy is put elsewhere. What is said meanwhile waits for it. */
  #copying: Promise<unknown> | undefined

  constructor(bytes: Buffer, holder: Holder) {
    this.bytes = bytes
    this.holder = holder
    this.settled = new Promise((resolve) => (this.#resolveSettled = resolve))
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  /** When it is known what became of it, if something has been said. */
  get settling(): Promise<void> | undefined {
    return this.#state === 'settling' ? this.settled : undefined
  }

  get signal(): AbortSignal {
    return this.#lost.signal
  }

  ack(): Promise<void> {
    return this.#say('close', () => this.#deferAck())
  }

  abort(): Promise<void> {
    return this.#say('abort', () => this.holder.settle('abort'))
  }

  async retry(queue: string): Promise<boolean> {
    while (this.#copying !== undefined) await this.#copying
    this.#checkOpen()
    const copied = this.holder.put(queue, this.bytes)
    this.#copying = copied.catch(() => {})
    try {
      if (!(await copied)) return false
    } catch (error) {
      throw this.#state === 'lost' ? this.signal.reason : error
    } finally {
      this.#copying = undefined
    }
    await this.ack()
    return true
  }

  /** For the next command of the connection, which can carry it: the acknowledgement that has not left yet. */
  takeAck(): DeferredAck | undefined {
    const deferred = this.#deferred
    this.#deferred = undefined
    return deferred
  }

  /** The connection has ended. */
  lose(cause: MemcacheError): void {
    const wasOpen = this.open
    if (!wasOpen && this.#state !== 'settling') return
    const { queue, server } = this.holder
    const error = new MemcacheReservationLostError(`the job of ${JSON.stringify(queue)} is no longer reserved: ${cause.message}`, { cause, sent: true })
    this.#state = 'lost'
    this.takeAck()?.reject(error)
    this.#lost.abort(complete(error, { server }))
    if (wasOpen) this.holder.released()
    this.#finish('lost')
  }

  #say(verb: Verb, send: () => Promise<void>): Promise<void> {
    const done = this.#settle(verb, send)
    // Who does not wait for it learns of a loss by the signal and the counters: no process ends for it.
    done.catch(() => {})
    return done
  }

  async #settle(verb: Verb, send: () => Promise<void>): Promise<void> {
    while (this.#copying !== undefined) await this.#copying
    if (this.#said?.verb === verb) return this.#said.done
    this.#checkOpen()
    this.#state = 'settling'
    const done = this.#confirmed(verb, send())
    this.#said = { verb, done }
    this.holder.released()
    return done
  }

  async #confirmed(verb: Verb, reply: Promise<void>): Promise<void> {
    try {
      await reply
    } catch (error) {
      this.lose(error as MemcacheError)
    }
    if (this.#state === 'lost') throw this.signal.reason
    this.#finish(verb === 'close' ? 'acked' : 'aborted')
  }

  /** It leaves at the end of this turn, unless the next command of the connection takes it along before. */
  #deferAck(): Promise<void> {
    process.nextTick(() => {
      const ack = this.takeAck()
      if (ack !== undefined) this.holder.settle('close').then(ack.resolve, ack.reject)
    })
    return new Promise((resolve, reject) => (this.#deferred = { resolve, reject }))
  }

  #checkOpen(): void {
    if (this.#state === 'lost') throw this.signal.reason
    if (this.#said !== undefined) throw new MemcacheValueError(`the job is ${this.#said.verb === 'abort' ? 'aborted' : 'acknowledged'} already`)
  }

  #finish(outcome: Outcome): void {
    this.#state = outcome
    this.#resolveSettled()
    this.holder.finished(outcome)
  }
}

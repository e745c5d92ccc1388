/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { Alarm } from './alarm.ts'
import { ByteReader } from './byte-reader.ts'
import { commandName, type CallOptions, type Op, type Reply, type Request } from './commands.ts'
import { broken, connectedTooLate, lostClass, overload, unopened } from './connection-faults.ts'
import type { ConnectionEvents } from './current-connection.ts'
import { more, type Endpoint, type Exchange, type Protocol } from './driver.ts'
import {
  complete,
  MemcacheClosedError,
  MemcacheDriverError,
  MemcacheError,
  MemcacheProtocolError,
  MemcacheSocketError,
  MemcacheTimeoutError,
  MemcacheValueError,
  stackless,
} from './errors.ts'
import { Fifo } from './fifo.ts'
import { openSession } from './handshake.ts'
import { Outbox } from './outbox.ts'
import { Pending } from './pending.ts'

/**
 * One socket's life, from the attempt to connect to its end. Parser, requests and deadlines live and die with it, so
 * nothing of an old socket can reach a new one.
 *
 *     execute → outbox → (once a turn) socket        called, then sent
 *     socket → reader → frames → awaiting's head     replies come in the order of the requests
 *
 * It ends at the first thing that leaves open which reply belongs to whom: a reply outside the grammar, bytes that
 * nobody asked for, a reply that is overdue. Then every request in it is rejected, once, and told whether it was sent.
 */
export class Connection<Frame> {
  readonly socket: Socket
  readonly #endpoint: Endpoint
  readonly #protocol: Protocol<Frame>
  readonly #events: ConnectionEvents
  readonly #reader = new ByteReader()
  readonly #outbox = new Outbox<Frame>()
  readonly #awaiting = new Fifo<Pending<Frame>>()
  readonly #alarm = new Alarm((due) => this.#expire(due))
  readonly #connectTimer: NodeJS.Timeout
  readonly #opening: { resolve: () => void; reject: (reason: MemcacheError) => void }[] = []
  #state: 'connecting' | 'open' | 'ended' = 'connecting'
  /** Bytes of the requests whose reply has not come. */
  #pendingBytes = 0
  /** When this turn began to make requests, in milliseconds of `performance.now()`: read once however many it makes. */
  #now = 0
  /** The number of the last request, by which some protocols tell replies apart. */
  #opaque = 0
  /** Whether a flush at the end of this turn is on its way. */
  #flushing = false
  /** Until when an abandoned request at the head may keep the others waiting for its reply. */
  #grace = Infinity
  /** What the server refused last, in case that is why it closes the connection. */
  #refusal: MemcacheDriverError | undefined

  constructor(endpoint: Endpoint, protocol: Protocol<Frame>, events: ConnectionEvents) {
    this.#endpoint = endpoint
    this.#protocol = protocol
    this.#events = events
    this.socket = openSession(endpoint, protocol, {
      open: () => this.#open(),
      data: (bytes, length) => this.#receive(bytes, length),
      drain: () => this.#flush(),
      end: () => this.end(this.#closedByServer()),
      error: (error) => this.end(error instanceof MemcacheError ? error : broken(endpoint, this.open, error)),
    })
    this.#connectTimer = setTimeout(() => setImmediate(() => this.#giveUp()), endpoint.connectTimeout)
  }

  get open(): boolean {
    return this.#state === 'open'
  }

  /** Settles when the attempt to connect has. */
  whenOpen(): Promise<void> {
    if (this.open) return Promise.resolve()
    return new Promise((resolve, reject) => this.#opening.push({ resolve, reject }))
  }

  execute<O extends Op>(request: Request<O>, { encode, decode, waits }: Exchange<O, Frame>, call: CallOptions | undefined): Promise<Reply<O>> {
    return new Promise((resolve, reject) => {
      // What throws here rejects the promise, before anything of the request is queued.
      call?.signal?.throwIfAborted() // a layer may have taken its time
      const opaque = (this.#opaque = (this.#opaque + 1) >>> 0)
      const bytes = encode(request, opaque)
      const fold = decode(request, opaque)
      const timeout = call?.timeout ?? this.#endpoint.timeout + (waits?.(request) ?? 0)
      const pending: Pending<Frame> = new Pending<Frame, O>(request, bytes, fold, resolve, reject, this.#turn(), timeout)
      this.#admit(pending)
      if (call?.signal !== undefined) pending.watch(call.signal, () => this.#abandoned(pending))
      this.#outbox.push(pending)
      this.#alarm.setFor(pending.deadline)
    })
  }

  /** Ends the connection, unless it has ended already: what is pending rejects, the socket is destroyed. */
  end(reason: MemcacheError): void {
    if (this.#state === 'ended') return
    const wasOpen = this.open
    this.#state = 'ended'
    clearTimeout(this.#connectTimer)
    this.#alarm.clear()
    this.socket.destroy()
    this.#events.ended(reason, wasOpen)
    for (const { reject } of this.#opening) reject(unopened(reason))
    stackless(() => {
      for (const pending of this.#awaiting) pending.reject(this.#lost(pending, reason, wasOpen, true))
      for (const pending of this.#outbox) pending.reject(this.#lost(pending, reason, wasOpen, false))
    })
  }

  #giveUp(): void {
    if (this.#state === 'connecting') this.end(connectedTooLate(this.#endpoint))
  }

  #open(): void {
    if (this.#state !== 'connecting') return
    this.#state = 'open'
    clearTimeout(this.#connectTimer)
    this.#events.opened()
    for (const { resolve } of this.#opening.splice(0)) resolve()
    this.#flush()
  }

  /** The time of this turn, whose requests leave together when it ends. */
  #turn(): number {
    if (this.#flushing) return this.#now
    this.#flushing = true
    // Not a microtask: those of the whole turn come first, so that callers behind promises of their own are in time.
    process.nextTick(this.#endTurn)
    return (this.#now = performance.now())
  }

  readonly #endTurn = (): void => {
    this.#flushing = false
    this.#flush()
  }

  #admit({ size }: Pending<Frame>): void {
    const refusal = overload(this.#endpoint, this.#awaiting.length + this.#outbox.length, this.#pendingBytes, size)
    if (refusal !== undefined) throw refusal
    this.#pendingBytes += size
  }

  #flush(): void {
    if (this.open) this.#outbox.flush(this.socket, this.#leave)
  }

  /** Whether a request is still to be written, now that it is its turn: one that is settled is not sent at all. */
  readonly #leave = (pending: Pending<Frame>): boolean => {
    // Its line announces the old length: with less data the next command would be read as the rest of the value.
    if (!pending.intact) pending.reject(new MemcacheValueError('the Buffer has changed its length since it was given'))
    if (pending.settled) this.#pendingBytes -= pending.size
    else this.#awaiting.push(pending)
    return !pending.settled
  }

  #receive(bytes: Buffer, length: number): void {
    const reader = this.#reader
    try {
      if (this.open) reader.feed(bytes, length)
      while (this.open && reader.ready) {
        const frame = this.#protocol.frame(reader, this.#endpoint.maxReplyLength)
        if (frame === undefined) break
        this.#accept(frame)
      }
      if (this.open && this.#awaiting.length === 0 && reader.start < reader.end) {
        throw new MemcacheProtocolError('the server sent bytes that nobody asked for')
      }
      reader.keep()
    } catch (error) {
      const fault = error instanceof MemcacheError ? error : new MemcacheProtocolError('a reply could not be read', { cause: error })
      complete(fault, { server: this.#endpoint.name, sent: true })
      this.#awaiting.peek()?.reject(fault)
      this.end(fault)
    }
  }

  /** Gives a frame to the request whose turn it is. */
  #accept(frame: Frame): void {
    const pending = this.#awaiting.peek()
    if (pending === undefined) throw this.#protocol.unasked(frame)
    let reply: Reply | typeof more
    try {
      reply = pending.fold(frame)
    } catch (error) {
      if (!(error instanceof MemcacheDriverError)) throw error
      this.#shift(pending)
      this.#refuse(pending, error)
      return
    }
    if (reply === more) return
    this.#refusal = undefined
    this.#shift(pending)
    pending.resolve(reply)
  }

  #refuse(pending: Pending<Frame>, refusal: MemcacheDriverError): void {
    this.#refusal = complete(refusal, { command: commandName(pending.request), server: this.#endpoint.name, sent: true })
    pending.reject(refusal)
    if (!this.#protocol.usableAfter(refusal, pending.request)) this.end(refusal)
  }

  /** The head has its whole reply. */
  #shift(pending: Pending<Frame>): void {
    this.#awaiting.shift()
    this.#pendingBytes -= pending.size
    const head = this.#awaiting.peek()
    if (head?.settled === true) this.#abandoned(head)
  }

  /** Nobody waits for this request any more: if the others have to, its reply gets one more `timeout` to come, and at least its own time. */
  #abandoned(pending: Pending<Frame>): void {
    if (pending !== this.#awaiting.peek()) return
    this.#grace = Math.max(performance.now() + this.#endpoint.timeout, pending.deadline)
    this.#alarm.setFor(this.#grace)
  }

  /**
   * Rejects what is overdue. The connection ends when that is the head of the replies: a server that does not answer
   * within `timeout` is not worth waiting for. A caller's own shorter deadline says nothing of the server.
   */
  #expire(now: number): void {
    if (this.#state === 'ended') return
    const head = this.#awaiting.peek()
    const abandoned = head?.settled === true
    const { timeout } = this.#endpoint
    if (head?.settled === true && this.#grace <= now) return this.end(this.#overdue(head, true))
    const stalled = head !== undefined && !head.settled && head.deadline <= now && head.timeout >= timeout
    const next = Math.min(this.#rejectOverdue(this.#awaiting, now, true), this.#rejectOverdue(this.#outbox, now, false))
    if (stalled) return this.end(this.#overdue(head, true))
    if (abandoned) this.#alarm.setFor(this.#grace)
    else if (head?.settled === true) this.#abandoned(head)
    this.#alarm.setFor(next)
  }

  /** Rejects what is overdue among these; says when the next of them will be. */
  #rejectOverdue(queue: Iterable<Pending<Frame>>, now: number, sent: boolean): number {
    let next = Infinity
    for (const pending of queue) {
      if (pending.settled) continue
      if (pending.deadline <= now) stackless(() => pending.reject(this.#overdue(pending, sent)))
      else next = Math.min(next, pending.deadline)
    }
    return next
  }

  #overdue(pending: Pending<Frame>, sent: boolean): MemcacheTimeoutError {
    const command = commandName(pending.request)
    const what = sent ? `no reply to "${command}"` : this.open ? `"${command}" could not be sent` : `no connection for "${command}"`
    return new MemcacheTimeoutError(`${what} within ${Math.ceil(pending.timeout)} ms`, { command, server: this.#endpoint.name, sent })
  }

  /** What a request is told whose connection ended: an error of its own, since each has a caller of its own. */
  #lost(pending: Pending<Frame>, reason: MemcacheError, wasOpen: boolean, sent: boolean): MemcacheError {
    const command = commandName(pending.request)
    const context = { command, server: this.#endpoint.name, sent }
    const refusedFirst = reason.cause instanceof MemcacheDriverError // queue servers close after what they refuse
    if (wasOpen && !(reason instanceof MemcacheClosedError)) {
      return new (lostClass(reason))(`no answer to "${command}": ${reason.message}`, { ...context, cause: refusedFirst ? reason.cause : reason })
    }
    return unopened(reason, context)
  }

  #closedByServer(): MemcacheSocketError {
    const when = this.#reader.start < this.#reader.end ? ' in the middle of a reply' : ''
    return new MemcacheSocketError(`${this.#endpoint.name} closed the connection${when}`, {
      server: this.#endpoint.name,
      cause: this.#refusal,
    })
  }
}

/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { Alarm } from './alarm.ts'
import { ByteReader } from './byte-reader.ts'
import { commandName, type CallOptions, type Reply, type Request } from './commands.ts'
import { broken, closedByServer, connectedTooLate, isOverload, lost, overdue, overload, unopened } from './connection-faults.ts'
import type { ConnectionEvents } from './current-connection.ts'
import { more, type Endpoint, type Protocol } from './driver.ts'
import {
  complete,
  MemcacheClosedError,
  MemcacheDriverError,
  MemcacheError,
  MemcacheProtocolError,
  MemcacheTimeoutError,
  MemcacheValueError,
  stackless,
} from './errors.ts'
import { Fifo } from './fifo.ts'
import { GetJoiner, Question, type Joining } from './get-joiner.ts'
import { openSession } from './handshake.ts'
import { isRepeatable } from './joined-gets.ts'
import { Outbox } from './outbox.ts'
import type { Joint, Pending } from './pending.ts'
import type { Way, Ways } from './ways.ts'

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
  readonly #ways: Ways
  readonly #events: ConnectionEvents
  readonly #reader = new ByteReader()
  readonly #outbox = new Outbox()
  readonly #joining: Joining
  readonly #joiner: GetJoiner
  readonly #awaiting = new Fifo<Pending>()
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
  /** The refusal behind which the server closes, when it has answered what it has: nothing more is written. */
  #closing: MemcacheDriverError | undefined
  /** A memcached, or its proxy, has refused a joined get: gets that the end of the connection leaves unanswered are asked again. */
  #splitting = false
  /** Whether a flush at the end of this turn is on its way. */
  #flushing = false
  /** Until when an abandoned request at the head may keep the others waiting for its reply. */
  #grace = Infinity
  /** What the server refused last, in case that is why it closes the connection. */
  #refusal: MemcacheDriverError | undefined

  constructor(endpoint: Endpoint, protocol: Protocol<Frame>, ways: Ways, events: ConnectionEvents, joining: Joining) {
    this.#endpoint = endpoint
    this.#protocol = protocol
    this.#ways = ways
    this.#events = events
    this.#joining = joining
    this.#joiner = new GetJoiner(protocol, ways, joining, { nextOpaque: () => this.#nextOpaque(), ask: (question) => this.#ask(question) })
    this.socket = openSession(endpoint, protocol, {
      open: () => this.#open(),
      data: (bytes, length) => this.#receive(bytes, length),
      drain: () => this.#flush(),
      end: () => this.end(closedByServer(endpoint, this.#reader.start < this.#reader.end, this.#refusal)),
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

  /** @throws what refuses the request, before anything of it is queued. */
  dispatch(pending: Pending, way: Way, call: CallOptions | undefined): void {
    const { request } = pending
    const signal = call?.signal
    signal?.throwIfAborted() // a layer may have taken its time
    const timeout = call?.timeout ?? this.#endpoint.timeout + (way.waits?.(request as Request<never>) ?? 0)
    pending.begin(way, this.#nextOpaque(), this.#turn(), timeout)
    this.#admit(pending)
    if (signal !== undefined) pending.watch(signal)
    if (pending.unwatch !== undefined) pending.abandoned = this.#abandoned // one that is begun again is watched already
    this.#outbox.push(pending)
    this.#alarm.setFor(pending.deadline)
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
    if (!(reason instanceof MemcacheClosedError)) this.#joiner.end()
    for (const { reject } of this.#opening) reject(unopened(reason))
    const repeats = !(reason instanceof MemcacheClosedError)
    const again: Pending[] = []
    const lose = (queue: Iterable<Pending>, sent: boolean): void => {
      for (const pending of queue) {
        if (repeats && !pending.settled && ((this.#splitting && isRepeatable(pending)) || (!sent && this.#closing !== undefined))) again.push(pending)
        else pending.reject(lost(this.#endpoint, pending.request, reason, { wasOpen, sent }))
      }
    }
    stackless(() => {
      lose(this.#awaiting, true)
      lose(this.#outbox, false)
    })
    for (const pending of again) this.#joining.again(pending)
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

  /** The process is kept alive, where `unref` says so, only as long as there is a reply to wait for. */
  #hold(): void {
    if (!this.#endpoint.unref || !this.open) return // the attempt to connect is waited for in any case
    if (this.#awaiting.length + this.#outbox.length > 0) this.socket.ref()
    else this.socket.unref()
  }

  /** The time of this turn, whose requests leave together when it ends. */
  #turn(): number {
    if (this.#flushing) return this.#now
    this.#flushing = true
    // Not a microtask: those of the whole turn come first, so that callers behind promises of their own are in time.
    process.nextTick(this.#endTurn)
    return (this.#now = Math.ceil(performance.now())) // a whole number takes no memory of its own where a request has it
  }

  readonly #endTurn = (): void => {
    this.#flushing = false
    this.#flush()
  }

  #nextOpaque(): number {
    return (this.#opaque = (this.#opaque + 1) >>> 0)
  }

  /** A question of our own, which its place among what is pending makes no other than a caller's. */
  #ask(question: Pending<'version'>): void {
    const way = this.#ways.get('version')
    try {
      if (way !== undefined) this.dispatch(question, way, undefined)
    } catch (error) {
      question.reject(error) // no room
    }
  }

  #admit({ size }: Pending): void {
    const count = this.#awaiting.length + this.#outbox.length
    if (isOverload(this.#endpoint, count, this.#pendingBytes, size)) throw overload(this.#endpoint, count, this.#pendingBytes, size)
    this.#pendingBytes += size
  }

  #flush(): void {
    if (this.open && this.#closing === undefined) this.#outbox.flush(this.socket, this.#leave, this.#joiner)
    this.#hold()
  }

  /** Whether a request is still to be written, now that it is its turn: one that is settled is not sent at all. */
  readonly #leave = (pending: Pending): boolean => {
    // Its line announces the old length: with less data the next command would be read as the rest of the value.
    if (typeof pending.bytes !== 'string' && !pending.intact) pending.reject(new MemcacheValueError('the Buffer has changed its length since it was given'))
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
      this.#hold()
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
    const { joined } = pending
    let reply: Reply | typeof more
    try {
      reply = joined === undefined ? pending.read(frame as never) : joined.fold(frame as never)
    } catch (error) {
      if (error instanceof MemcacheDriverError) return joined === undefined ? this.#refuse(pending, error) : this.#split(joined, error)
      if (!(pending instanceof Question)) throw error
      this.#shift(pending) // a server that does not answer what it does not know: the frame is for the next
      pending.reject(error)
      return this.#accept(frame)
    }
    if (reply === more) return joined === undefined ? undefined : this.#pass(joined)
    this.#reader.release()
    this.#refusal = undefined
    if (joined !== undefined) return this.#deliver(joined, reply as Reply<'getMulti'>)
    this.#shift(pending)
    pending.resolve(reply)
  }

  /** Members that have got their item give way to the others. The last one stays until the reply has ended, which is not waited for without end. */
  #pass(joined: Joint): void {
    joined.frames += 1
    if (joined.arrived < joined.frames) return // something that came in them may still be needed
    this.#reader.release()
    for (let head = this.#awaiting.peek(); head?.settled === true; head = this.#awaiting.peek()) {
      if (head === joined.members.at(-1)) return this.#abandoned(head)
      this.#shift(head)
    }
  }

  /** The reply has ended: what has not come is not there, unless the server has answered a key once that was asked for twice. */
  #deliver(joined: Joint, items: Reply<'getMulti'>): void {
    this.#shiftAll(joined)
    joined.members.forEach((member, index) => {
      const item = items[index]
      if (item !== undefined || member.settled || !joined.hasTwin(index, items)) return member.resolve(item)
      member.alone = true
      this.#joining.again(member)
    })
  }

  /** One key's trouble is not the others': they are asked for again, each alone. */
  #split(joined: Joint, refusal: MemcacheDriverError): void {
    this.#refusal = complete(refusal, { server: this.#endpoint.name, sent: true })
    this.#joiner.refused()
    this.#splitting = true
    this.#shiftAll(joined)
    for (const member of joined.members) member.alone = true
    this.#goOnAfter(refusal, joined.request)
    for (const member of joined.members) if (!member.settled) this.#joining.again(member)
  }

  #refuse(pending: Pending, refusal: MemcacheDriverError): void {
    this.#shift(pending)
    this.#refusal = complete(refusal, { command: commandName(pending.request), server: this.#endpoint.name, sent: true })
    pending.reject(refusal)
    this.#goOnAfter(refusal, pending.request)
  }

  #goOnAfter(refusal: MemcacheDriverError, request: Request): void {
    if (!this.#protocol.usableAfter(refusal, request)) return this.end(refusal)
    if (this.#protocol.closesAfter?.(refusal, request) !== true) return
    this.#closing = refusal
    if (this.#awaiting.length === 0) this.end(refusal)
  }

  /** The head has its whole reply. */
  #shift(pending: Pending): void {
    this.#awaiting.shift()
    this.#pendingBytes -= pending.size
    const head = this.#awaiting.peek()
    if (head?.settled === true) this.#abandoned(head)
    else if (head === undefined && this.#closing !== undefined) this.end(this.#closing)
  }

  /** The members of the request at the head that are still here. */
  #shiftAll(joined: Joint): void {
    for (let head = this.#awaiting.peek(); head?.joined === joined; head = this.#awaiting.peek()) this.#shift(head)
  }

  /** Nobody waits for this request any more: if the others have to, its reply gets one more `timeout` to come, and at least its own time. */
  readonly #abandoned = (pending: Pending): void => {
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
    if (abandoned && this.#grace < Infinity) this.#alarm.setFor(this.#grace)
    else if (head?.settled === true) this.#abandoned(head)
    this.#alarm.setFor(next)
  }

  /** Rejects what is overdue among these; says when the next of them will be. */
  #rejectOverdue(queue: Iterable<Pending>, now: number, sent: boolean): number {
    let next = Infinity
    for (const pending of queue) {
      if (pending.settled) continue
      if (pending.deadline <= now) stackless(() => pending.reject(this.#overdue(pending, sent)))
      else next = Math.min(next, pending.deadline)
    }
    return next
  }

  #overdue({ request, timeout }: Pending, sent: boolean): MemcacheTimeoutError {
    return overdue(this.#endpoint, request, timeout, sent ? 'sent' : this.open ? 'unsent' : 'connecting')
  }
}

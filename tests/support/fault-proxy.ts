import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { listening } from './servers.ts'

/**
 * A proxy that harms connections as it is told: it stands between a client and a real server, knows no protocol, and counts
 * bytes. What befalls a connection is programmed before it comes, so that it is the same in every run; besides, everything
 * that passes can be held, cut or refused at any moment.
 */

/** How a connection ends: FIN behind what has passed, or RST. */
export type End = 'fin' | 'reset'

/** What befalls one direction of a connection, when so many bytes have passed (default: none). */
export type Fault =
  /** Both sides of the proxy are ended. */
  | { readonly does: End; readonly after?: number }
  /** Nothing passes any more; what comes is read, and thrown away. */
  | { readonly does: 'swallow'; readonly after?: number }
  /** These bits of the next byte are turned over. */
  | { readonly does: 'flip'; readonly after?: number; readonly bits: number }
  /** All that has passed is sent a second time. */
  | { readonly does: 'repeat'; readonly after: number }
  /** Of each piece that comes, so many bytes pass one at a time. */
  | { readonly does: 'drip'; readonly bytes: number }
  /** Each piece is held back: milliseconds. */
  | { readonly does: 'delay'; readonly for: number }

/** What befalls a connection: its two directions, or at once its end. */
export type Plan = End | { readonly request?: Fault; readonly reply?: Fault }

/** A connection that nothing befalls. */
export const HARMLESS: Plan = {}

/** How many bytes have passed in each direction. */
export interface Passed {
  readonly request: number
  readonly reply: number
}

/** One direction of a connection, and what befalls it. */
class Way {
  /** How many bytes have passed since it was told what befalls it. */
  passed = 0
  #fault: Fault | undefined
  #past: Buffer = Buffer.alloc(0)
  #shut = false

  suffer(fault: Fault | undefined): void {
    this.passed = 0
    this.#fault = fault
    this.#past = Buffer.alloc(0)
  }

  /** The pieces in which a chunk passes, with pauses between them; an End is the connection's. */
  async *through(chunk: Buffer): AsyncGenerator<Buffer | End, void, undefined> {
    const fault = this.#fault
    if (this.#shut) return
    if (fault === undefined) return yield chunk
    switch (fault.does) {
      case 'delay':
        await sleep(fault.for)
        return yield chunk
      case 'drip':
        for (const byte of chunk.subarray(0, fault.bytes)) {
          yield Buffer.of(byte)
          await nextTurn()
        }
        return yield chunk.subarray(fault.bytes)
      default:
        yield* this.#strike(fault, chunk)
    }
  }

  /** What befalls it once, at its place. */
  *#strike(fault: Exclude<Fault, { does: 'delay' | 'drip' }>, chunk: Buffer): Generator<Buffer | End, void, undefined> {
    const { does, after = 0 } = fault
    const at = after - this.#past.length
    const past = (this.#past = Buffer.concat([this.#past, chunk]))
    const due = does === 'flip' ? at < chunk.length : at <= chunk.length
    if (!due) return yield chunk
    this.#fault = undefined
    if (does === 'flip') {
      chunk[at] = (chunk[at] as number) ^ fault.bits
      yield chunk
    } else if (does === 'repeat') yield Buffer.concat([chunk.subarray(0, at), past.subarray(0, after), chunk.subarray(at)])
    else {
      this.#shut = true
      yield chunk.subarray(0, at)
      if (does !== 'swallow') yield does
    }
  }
}

/** One connection of a client, and the one to the server that belongs to it. */
class Link {
  readonly closed: Promise<unknown>
  readonly #front: Socket
  readonly #back: Socket
  readonly #ways = { request: new Way(), reply: new Way() }

  constructor(front: Socket, back: Socket, plan: Exclude<Plan, End>, gate: () => Promise<void> | undefined) {
    this.#front = front
    this.#back = back
    this.closed = Promise.all([front, back].map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()))))
    this.suffer(plan)
    void this.#carry(front, back, this.#ways.request, gate)
    void this.#carry(back, front, this.#ways.reply, gate)
  }

  suffer({ request, reply }: Exclude<Plan, End>): void {
    this.#ways.request.suffer(request)
    this.#ways.reply.suffer(reply)
  }

  end(how: End): void {
    for (const socket of [this.#front, this.#back]) {
      if (how === 'reset') reset(socket)
      else socket.end()
    }
  }

  destroy(): void {
    for (const socket of [this.#front, this.#back]) if (!resetting.has(socket)) socket.destroy()
  }

  get passed(): Passed {
    return { request: this.#ways.request.passed, reply: this.#ways.reply.passed }
  }

  /** Whether the client has ended its side. */
  get left(): boolean {
    return this.#front.readableEnded || this.#front.destroyed
  }

  async #carry(from: Socket, to: Socket, way: Way, gate: () => Promise<void> | undefined): Promise<void> {
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        while (gate() !== undefined) await gate()
        for await (const piece of way.through(chunk)) {
          if (typeof piece === 'string') {
            await written(to)
            this.end(piece)
          } else if (piece.length > 0 && to.writable) {
            way.passed += piece.length
            if (!to.write(piece)) await Promise.race([once(to, 'drain'), once(to, 'close')])
          }
        }
      }
      to.end()
    } catch {
      if (to.destroyed) from.resume() // nobody hears the rest of it
      else reset(to) // the one side was, and the other is to see that
    }
  }
}

/** Sockets that are about to send RST. */
const resetting = new WeakSet<Socket>()

/** RST, where the socket is fit for it: Node never closes one that is to be reset while its FIN is on the way, or destroyed while its RST is. */
function reset(socket: Socket): void {
  if (resetting.has(socket)) return
  if (socket.destroyed || !socket.writable || socket.writableLength > 0) {
    socket.destroy()
    return
  }
  resetting.add(socket)
  socket.resetAndDestroy()
}

/** Waits until the kernel has what was written. */
async function written(socket: Socket): Promise<void> {
  if (socket.writable) await new Promise<void>((resolve) => socket.write('', () => resolve()))
}

/** Where a server listens. */
interface Address {
  readonly host?: string | undefined
  readonly port: number
}

/** A running proxy. */
export class FaultProxy {
  readonly host = '127.0.0.1'
  readonly port: number
  /** What befalls a connection for which nothing else was programmed. */
  plan: Plan = HARMLESS
  /** How many connections have come. */
  accepted = 0
  readonly #target: Address
  readonly #links = new Set<Link>()
  #server: Server | undefined
  #programmed: Plan[] = []
  #held: Promise<void> | undefined
  #release: () => void = () => {}
  #last: Link | undefined
  #closed = false
  #listening: Promise<unknown> | undefined

  /** Stands before a server of this machine. */
  static async start(target: Address): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true })
    return new FaultProxy(target, server, await listening(server, 0))
  }

  private constructor(target: Address, server: Server, port: number) {
    this.#target = target
    this.port = port
    this.#listen(server)
  }

  /** What befalls the next connections, in their order. */
  program(...plans: readonly Plan[]): void {
    this.#programmed.push(...plans)
  }

  /** Nothing that was programmed and has not come yet befalls anybody. */
  forget(): void {
    this.#programmed = []
    for (const link of this.#links) link.suffer({})
  }

  /** What befalls the connection that came last, from now on: its bytes are counted anew. */
  inflict(plan: Exclude<Plan, End>): void {
    this.#last?.suffer(plan)
  }

  /** What has passed on the connection that came last. */
  get passed(): Passed {
    return this.#last?.passed ?? { request: 0, reply: 0 }
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#links.size
  }

  /** Nothing passes until {@link FaultProxy.release}; then all of it does. */
  hold(): void {
    this.#held ??= new Promise((resolve) => (this.#release = resolve))
  }

  release(): void {
    this.#held = undefined
    this.#release()
  }

  /** Ends all connections. */
  cut(how: End): void {
    for (const link of this.#links) link.end(how)
  }

  /** From now on connections are refused, until {@link FaultProxy.accept}. Those that there are stay. */
  async refuse(): Promise<void> {
    await this.#listening // one that does not listen yet cannot be closed
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    server.close() // it calls back when the connections have ended, too; it listens no longer as soon as this returns
    await nextTurn()
  }

  async accept(): Promise<void> {
    if (this.#server === undefined && !this.#closed) {
      const server = createServer({ allowHalfOpen: true })
      this.#listen(server)
      this.#listening = listening(server, this.port)
    }
    await this.#listening
  }

  /** Waits until the server has read all that clients have sent which are gone. */
  async drained(): Promise<void> {
    await Promise.all([...this.#links].filter(({ left }) => left).map(({ closed }) => closed))
  }

  async close(): Promise<void> {
    this.#closed = true
    this.release()
    await this.refuse()
    const links = [...this.#links]
    for (const link of links) link.destroy()
    await Promise.all(links.map(({ closed }) => closed))
  }

  #listen(server: Server): void {
    this.#server = server
    server.on('connection', (socket) => this.#take(socket))
  }

  #take(front: Socket): void {
    this.accepted += 1
    front.on('error', () => {})
    const plan = this.#programmed.shift() ?? this.plan
    if (typeof plan === 'string') {
      if (plan === 'reset') reset(front)
      else front.end().resume()
      return
    }
    const { host = this.host, port } = this.#target
    const back = connect({ port, host, noDelay: true, allowHalfOpen: true })
    back.on('error', () => reset(front))
    front.setNoDelay(true)
    const link = new Link(front, back, plan, () => this.#held)
    this.#links.add(link)
    this.#last = link
    void link.closed.then(() => this.#links.delete(link))
  }
}

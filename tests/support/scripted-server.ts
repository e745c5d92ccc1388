import { Buffer } from 'node:buffer'
import { createServer, type Server, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { OPCODES, packetEnd, REQUEST } from './packets.ts'
import { listening } from './servers.ts'

/**
 * A server that does exactly what a test says, right or wrong: it plays bytes, stalls, drips, cuts with FIN or RST, and
 * records what it received. A test gives one function, which is run for each connection.
 */

/** Latin1 text, one character a byte, or the bytes. */
type Wire = string | Buffer

/** Ends the script of a connection that the client has closed. */
class Gone extends Error {}

/** One connection, from the server's side. */
export class Peer {
  /** How many connections came before it. */
  readonly index: number
  readonly socket: Socket
  /** Everything that arrived, as latin1. */
  received = ''
  /** The client has sent FIN or RST, or the script has ended the connection. */
  gone = false
  /** What of it is no whole request yet. */
  #unread = ''
  #wake: (() => void)[] = []

  constructor(index: number, socket: Socket) {
    this.index = index
    this.socket = socket
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.received += text
      this.#unread += text
      this.#notify()
    })
    const end = (): void => {
      this.gone = true
      this.#notify()
    }
    socket.on('end', end).on('close', end).on('error', end)
  }

  /** The next whole request, in whatever protocol. Ends the script when the client goes. */
  async request(): Promise<string> {
    for (;;) {
      const end = requestEnd(this.#unread)
      if (end !== undefined) {
        const request = this.#unread.slice(0, end)
        this.#unread = this.#unread.slice(end)
        return request
      }
      if (this.gone) throw new Gone()
      await this.#more()
    }
  }

  /** Waits until the client has closed the connection. */
  async closed(): Promise<void> {
    while (!this.gone) await this.#more()
  }

  send(bytes: Wire): void {
    if (!this.socket.destroyed) this.socket.write(bytes, 'latin1')
  }

  /** Sends these pieces apart from each other: each is read before the next is sent, as far as the kernel lets us see that. */
  async pieces(parts: Iterable<Wire>): Promise<void> {
    for (const part of parts) {
      this.send(part)
      await nextTurn()
      await nextTurn()
    }
  }

  /** Sends one byte at a time. */
  drip(text: string): Promise<void> {
    return this.pieces(text)
  }

  /** FIN, behind what was sent. */
  fin(): void {
    this.socket.end()
  }

  /** RST: what the client has not read may be lost. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  #more(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve))
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

/**
 * Where the first request ends; `undefined` while it is not whole. A storage command's data belong to it, and to what is
 * quiet belongs all up to the first that is answered in any case.
 */
function requestEnd(bytes: string): number | undefined {
  for (let start = 0; ; ) {
    const binary = bytes.charCodeAt(start) === REQUEST
    const end = binary ? packetEnd(bytes, start) : commandEnd(bytes, start)
    if (end === undefined) return undefined
    const quiet = binary ? bytes.charCodeAt(start + 1) === OPCODES.getkq : bytes.startsWith('mg ', start) && bytes.startsWith(' q\r\n', end - 4)
    if (!quiet) return end
    start = end
  }
}

/** Where a line with its CRLF ends, and the data of a storage command with it. */
function commandEnd(bytes: string, start: number): number | undefined {
  const newline = bytes.indexOf('\r\n', start)
  if (newline === -1) return undefined
  const words = bytes.slice(start, newline).split(' ')
  const length = /^(?:set|add|replace|append|prepend|cas)$/.test(words[0] ?? '') ? words[4] : words[0] === 'ms' ? words[2] : undefined
  const end = newline + 2 + (length === undefined ? 0 : Number(length) + 2)
  return bytes.length < end ? undefined : end
}

/** A running scripted server. */
export class ScriptedServer {
  readonly port: number
  readonly host = '127.0.0.1'
  /** All connections, in the order in which they came. */
  readonly peers: Peer[]
  readonly #server: Server
  readonly #failures: unknown[]

  constructor(server: Server, port: number, peers: Peer[], failures: unknown[]) {
    this.#server = server
    this.port = port
    this.peers = peers
    this.#failures = failures
  }

  /** Everything that arrived on any connection. */
  get received(): string {
    return this.peers.map((peer) => peer.received).join('')
  }

  /** Waits until this many connections have come. */
  async connections(count: number): Promise<void> {
    while (this.peers.length < count) await nextTurn()
  }

  /** Ends all connections. @throws what a script has thrown. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      for (const { socket } of this.peers) socket.destroy()
    })
    for (const failure of this.#failures.splice(0)) throw failure
  }
}

/** Starts a server that runs `script` for each connection. */
export async function startScripted(script: (peer: Peer) => void | Promise<void>): Promise<ScriptedServer> {
  const peers: Peer[] = []
  const failures: unknown[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = new Peer(peers.length, socket)
    peers.push(peer)
    void (async () => script(peer))()
      .catch((error: unknown) => {
        if (!(error instanceof Gone)) failures.push(error)
      })
      .finally(() => {
        // The client has gone and the script is done with it.
        if (peer.gone) socket.destroy()
        else socket.once('end', () => socket.destroy())
      })
  })
  const port = await listening(server, 0)
  return new ScriptedServer(server, port, peers, failures)
}

/** A script that answers every request with what `answer` gives for it. */
export function answering(answer: (request: string, peer: Peer) => Wire): (peer: Peer) => Promise<void> {
  return async (peer) => {
    for (;;) peer.send(answer(await peer.request(), peer))
  }
}

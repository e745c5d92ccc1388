/// <reference types="node" preserve="true" />
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/** What a server does with a connection each time that something has come on it. */
export type Misbehaviour = (socket: Socket) => void

/** What every connection to such a server finds, whichever protocol is spoken on it. */
export const misbehaviours = {
  /** Reads, and never answers. */
  silent: () => {},
  /** Ends the connection, without an answer. */
  closing: (socket) => void socket.end(),
  /** Ends it by RST. */
  resetting: (socket) => void socket.resetAndDestroy(),
  /** Answers what is in no grammar of memcached's, and enough of it to be longer than any header. */
  babbling: (socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(4)),
} satisfies { readonly [name: string]: Misbehaviour }

/** A server that accepts connections, and does with each the wrong thing. */
export class FaultyServer {
  /** What leads a client to it. */
  readonly address: { readonly host: string; readonly port: number; readonly path: undefined }
  /** Connections that were accepted. */
  connections = 0
  /** Bytes that have come. */
  received = 0
  /** Settles when the first of them have. */
  readonly reached: Promise<void>
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  static async start(misbehaviour: Misbehaviour): Promise<FaultyServer> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new FaultyServer(server, misbehaviour)
  }

  private constructor(server: Server, misbehaviour: Misbehaviour) {
    this.#server = server
    this.address = { host: '127.0.0.1', port: (server.address() as AddressInfo).port, path: undefined }
    let reach: () => void
    this.reached = new Promise((resolve) => (reach = resolve))
    server.on('connection', (socket) => {
      this.connections += 1
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('data', (bytes) => {
        this.received += bytes.length
        reach()
        misbehaviour(socket)
      })
    })
  }

  /** Settles when its clients have closed their connections, and all that they sent has come. */
  async left(): Promise<void> {
    await Promise.all([...this.#sockets].map((socket) => once(socket, 'close')))
  }

  /** From then on connections are refused. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}

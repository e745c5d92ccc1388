import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A client that knows no protocol: it sends bytes, and tells what comes back. */

/** Where to connect to: a server of ours, or a port of this machine. */
export interface Address { readonly port: number; readonly host?: string; readonly path?: string | undefined }

/** One connection. What it receives is latin1 text, one character a byte. */
export class RawConnection {
  readonly socket: Socket
  /** What has come, and was not taken yet. */
  received = ''
  /** How the server closed it: `end` for FIN, or the code of the error. */
  ended: string | undefined
  readonly closed: Promise<string>

  constructor({ port, host = '127.0.0.1', path }: Address) {
    this.socket = connect(path === undefined ? { host, port, noDelay: true } : { path })
    this.socket.setEncoding('latin1')
    this.socket.on('data', (data: string) => { this.received += data })
    this.closed = new Promise((resolve) => {
      this.socket.on('end', () => { resolve((this.ended ??= 'end')) })
      this.socket.on('error', ({ code, message }: NodeJS.ErrnoException) => { resolve((this.ended ??= code ?? message)) })
    })
  }

  /** A string is sent as latin1. */
  send(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  }

  /** Waits until so many bytes came, and takes what there is. */
  async take(length: number): Promise<string> {
    await waitFor(() => this.received.length >= length)
    const taken = this.received
    this.received = ''
    return taken
  }

  /** Whether exactly this comes back. */
  async ask(bytes: string, reply: string): Promise<boolean> {
    this.send(bytes)
    return await this.take(reply.length) === reply
  }

  /** Has nothing more to say; all that still comes. */
  async finish(): Promise<string> {
    this.socket.end()
    await waitFor(() => this.ended !== undefined)
    this.socket.destroy()
    return this.received
  }
}

/** Sends this on a connection of its own; all that comes back. */
export async function ask(server: Address, ...writes: readonly (string | Buffer)[]): Promise<string> {
  const connection = new RawConnection(server)
  for (const write of writes) connection.send(write)
  connection.socket.end()
  await connection.closed
  return connection.received
}

/** Waits until it holds, or for so long that it never will; whether it does. */
export async function waitFor(condition: () => boolean): Promise<boolean> {
  const deadline = Date.now() + 10_000
  while (!condition() && Date.now() < deadline) await sleep(1)
  return condition()
}

/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import { readMemory } from './byte-reader.ts'
import type { Endpoint } from './driver.ts'

/** What a socket tells its connection. */
export interface SocketEvents {
  /** The connection stands. */
  open(): void
  /** What was read: the first `length` of these bytes, which are only good until this returns. */
  data(bytes: Buffer, length: number): void
  /** Everything written is with the kernel: there is room for more. */
  drain(): void
  /** The server has closed its side, or the socket is gone. */
  end(): void
  /** Host not found, refused, reset, …: the socket is of no more use. */
  error(error: Error): void
}

/** Begins to connect. Since 'error' has a listener for the socket's whole life, nothing that it does later can throw. */
export function openSocket(endpoint: Endpoint, events: SocketEvents): Socket {
  const { path, host, port } = endpoint
  const memory = readMemory()
  const socket = connect({
    ...(path === undefined ? { host, port } : { path }),
    noDelay: endpoint.disableNagle,
    keepAlive: endpoint.keepAlive,
    onread: {
      buffer: memory,
      callback: (length) => {
        events.data(memory, length)
        return true
      },
    },
  })
  socket.on('connect', () => events.open())
  socket.on('drain', () => events.drain())
  socket.on('end', () => events.end())
  socket.on('close', () => events.end())
  socket.on('error', (error) => events.error(error))
  return socket
}

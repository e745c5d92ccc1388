/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
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

/**
 * All sockets read into the same memory: what is read is parsed at once, and what has to outlive that is copied.
 * 64 KiB is what Node reads at a time; larger falls out of a processor's cache.
 */
let memory: Buffer | undefined

/** Begins to connect. Since 'error' has a listener for the socket's whole life, nothing that it does later can throw. */
export function openSocket(endpoint: Endpoint, events: SocketEvents): Socket {
  const { path, host, port } = endpoint
  const slab = (memory ??= Buffer.allocUnsafeSlow(64 * 1024))
  const socket = connect({
    ...(path === undefined ? { host, port } : { path }),
    noDelay: endpoint.disableNagle,
    keepAlive: endpoint.keepAlive,
    onread: {
      buffer: slab,
      callback: (length) => {
        events.data(slab, length)
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

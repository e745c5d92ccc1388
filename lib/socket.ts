/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import { connect, type Socket } from 'node:net'
import { readMemory } from './byte-reader.ts'
import type { ConnectionOptions } from 'node:tls'
import type { Endpoint } from './driver.ts'
import { openTlsSocket, type Address } from './tls-socket.ts'

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
  const { path, host, port, disableNagle: noDelay, keepAlive } = endpoint
  const to = path === undefined ? { host, port, path, noDelay, keepAlive } : { path, noDelay, keepAlive }
  const socket = endpoint.tls === undefined ? openPlain(to, events) : openTls(to, endpoint.tls, events)
  socket.on('drain', () => events.drain())
  socket.on('end', () => events.end())
  socket.on('close', () => events.end())
  socket.on('error', (error) => events.error(error))
  return socket
}

function openPlain(to: Address, events: SocketEvents): Socket {
  const memory = readMemory()
  const socket = connect({
    ...to,
    onread: {
      buffer: memory,
      callback: (length) => {
        events.data(memory, length)
        return true
      },
    },
  })
  socket.on('connect', () => events.open())
  return socket
}

function openTls(to: Address, options: ConnectionOptions, events: SocketEvents): Socket {
  const socket = openTlsSocket(to, options)
  socket.on('secureConnect', () => events.open())
  socket.on('data', (bytes: Buffer) => events.data(bytes, bytes.length))
  return socket
}

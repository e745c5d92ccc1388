/// <reference types="node" preserve="true" />
import type { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { ByteReader } from './byte-reader.ts'
import { broken } from './connection-faults.ts'
import type { Bytes, Endpoint, Protocol } from './driver.ts'
import { complete, MemcacheAuthError, MemcacheProtocolError, MemcacheSocketError } from './errors.ts'
import { openSocket, type SocketEvents } from './socket.ts'

/** A reply to authentication is one line, or one packet: nothing longer is waited for. */
const LONGEST_REPLY = 64 * 1024

/**
 * Begins to connect, as `openSocket`. Where the endpoint has credentials, the connection is open when the server has
 * accepted them: what comes before that is read here, and one thing is said at a time, because a server with ASCII
 * authentication gives one reply to all that it reads at once.
 */
export function openSession<Frame>(endpoint: Endpoint, protocol: Protocol<Frame>, events: SocketEvents): Socket {
  const steps = endpoint.credentials && protocol.authenticate?.(endpoint.credentials)
  if (steps === undefined) return openSocket(endpoint, events)
  const { name } = endpoint
  const reader = new ByteReader()
  let authenticated = false

  const go = (step: IteratorResult<Bytes, void>): void => {
    if (step.done !== true) return send(socket, step.value)
    authenticated = true
    events.open()
  }
  const receive = (bytes: Buffer, length: number): void => {
    reader.feed(bytes, length)
    const frame = reader.ready ? protocol.frame(reader, LONGEST_REPLY) : undefined
    if (frame !== undefined && reader.start < reader.end) throw new MemcacheProtocolError('the server sent bytes that nobody asked for')
    const step = frame && steps.next(frame) // as long as the frame's bytes are where they were read
    reader.keep()
    if (step !== undefined) go(step)
  }
  const socket = openSocket(endpoint, {
    open: () => go(steps.next()),
    data(bytes, length) {
      if (authenticated) return events.data(bytes, length)
      try {
        receive(bytes, length)
      } catch (error) {
        events.error(failed(endpoint, error))
      }
    },
    drain: () => authenticated && events.drain(),
    end() {
      if (authenticated) events.end()
      else events.error(new MemcacheSocketError(`${name} closed the connection instead of an answer to authentication`, { server: name }))
    },
    error: (error) => events.error(error),
  })
  return socket
}

function send(socket: Socket, bytes: Bytes): void {
  socket.cork()
  for (const part of typeof bytes === 'string' ? [bytes] : bytes) socket.write(part, 'latin1')
  socket.uncork()
}

function failed(endpoint: Endpoint, error: unknown): Error {
  const server = endpoint.name
  if (error instanceof MemcacheAuthError) return new MemcacheAuthError(`cannot authenticate at ${server}: ${error.message}`, { server })
  return error instanceof MemcacheSocketError ? complete(error, { server }) : broken(endpoint, false, error)
}

import { commandName, type Request } from './commands.ts'
import type { Endpoint } from './driver.ts'
import {
  MemcacheAuthError,
  MemcacheClosedError,
  MemcacheDriverError,
  MemcacheOverloadError,
  MemcacheProtocolError,
  MemcacheSocketError,
  MemcacheTimeoutError,
  stackless,
  type FaultContext,
  type MemcacheError,
} from './errors.ts'
import { showThrown } from './show.ts'

/** What callers are told of a connection that is not there, breaks, or has too much to do: our own, or another library's. */

/** Whether a request of `size` bytes finds no room behind `count` others, which have `bytes` together. */
export function isOverload({ maxPending, maxPendingBytes }: Endpoint, count: number, bytes: number, size: number): boolean {
  return count >= maxPending || bytes + size > maxPendingBytes
}

/** The error for such a request. */
export function overload({ name, maxPending, maxPendingBytes }: Endpoint, count: number, bytes: number, size: number): MemcacheOverloadError {
  const why =
    count >= maxPending
      ? `${count} requests to ${name} are pending, as many as maxPending allows`
      : `${bytes} bytes are pending, ${size} more would exceed maxPendingBytes (${maxPendingBytes})`
  return stackless(() => new MemcacheOverloadError(why))
}

/** The error for an attempt to connect that takes too long. */
export function connectedTooLate({ name, connectTimeout }: Endpoint): MemcacheTimeoutError {
  return new MemcacheTimeoutError(`no connection to ${name} within ${connectTimeout} ms`, { server: name })
}

/** The error for a connection that something has gone wrong with; `open`: it stood. */
export function broken({ name }: Endpoint, open: boolean, cause: unknown): MemcacheSocketError {
  const what = open ? `the connection to ${name} broke` : `cannot connect to ${name}`
  return new MemcacheSocketError(`${what}: ${showThrown(cause)}`, { server: name, cause })
}

/** The error for a connection that the server has ended; `refusal`: what it refused last, which may be why. */
export function closedByServer({ name }: Endpoint, inReply: boolean, refusal: MemcacheDriverError | undefined): MemcacheSocketError {
  return new MemcacheSocketError(`${name} closed the connection${inReply ? ' in the middle of a reply' : ''}`, { server: name, cause: refusal })
}

/** Why there is no connection, as an error of its own for one of those who waited for it. */
export function unopened(reason: MemcacheError, context: FaultContext = {}): MemcacheError {
  const known = [MemcacheClosedError, MemcacheTimeoutError, MemcacheProtocolError, MemcacheAuthError].find((each) => reason instanceof each)
  const cause = known !== undefined || reason instanceof MemcacheSocketError ? reason.cause : reason
  return new (known ?? MemcacheSocketError)(reason.message, { ...context, cause })
}

/** What a request is told whose connection ended: an error of its own, since each has a caller of its own. */
export function lost({ name }: Endpoint, request: Request, reason: MemcacheError, { wasOpen, sent }: { wasOpen: boolean; sent: boolean }): MemcacheError {
  const command = commandName(request)
  const context = { command, server: name, sent }
  if (!wasOpen || reason instanceof MemcacheClosedError) return unopened(reason, context)
  const cause = reason.cause instanceof MemcacheDriverError ? reason.cause : reason // queue servers close after what they refuse
  return new (lostClass(reason))(`no answer to "${command}": ${reason.message}`, { ...context, cause })
}

/** What a request is told whose time is over, and how far it had come. */
export function overdue({ name }: Endpoint, request: Request, timeout: number, state: 'sent' | 'unsent' | 'connecting'): MemcacheTimeoutError {
  const command = commandName(request)
  const what = { sent: `no reply to "${command}"`, unsent: `"${command}" could not be sent`, connecting: `no connection for "${command}"` }[state]
  return new MemcacheTimeoutError(`${what} within ${Math.ceil(timeout)} ms`, { command, server: name, sent: state === 'sent' })
}

/** The kind of error for those who had nothing to do with the end of their connection, except that they need one. */
export function lostClass(reason: MemcacheError): typeof MemcacheAuthError | typeof MemcacheSocketError {
  return reason instanceof MemcacheAuthError ? MemcacheAuthError : MemcacheSocketError
}

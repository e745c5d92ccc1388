/**
 * Everything that ermc rejects with. A miss, not-stored, exists and not-found are results, never errors; what stands
 * here is a fault, a refusal, or an argument that cannot be right.
 */

/** What is known about a fault beyond its message. */
export interface FaultContext {
  /** What lies behind this error: a system error, the first fault of a connection, what a decoder threw. */
  readonly cause?: unknown
  /** The command as the caller knows it: `get`, `set`, `incr`, … */
  readonly command?: string | undefined
  /** The server as `host:port`, `[address]:port` or the path of a unix socket. Never holds credentials. */
  readonly server?: string | undefined
  /** See {@link MemcacheError.sent}. Default `false`. */
  readonly sent?: boolean
}

/**
 * Gives a class its name and a brand that holds across copies of this package: an application that loads ermc both as
 * an ES module and as CommonJS gets two sets of classes, and `instanceof` has to be true between them.
 */
function brand(errorClass: { prototype: object }, name: string): void {
  Object.defineProperty(errorClass.prototype, 'name', { value: name, writable: true, configurable: true })
  Object.defineProperty(errorClass.prototype, Symbol.for(`ermc.${name}`), { value: true })
}

/** The root of all errors of ermc: `error instanceof MemcacheError` is true for every one of them. */
export class MemcacheError extends Error {
  static {
    brand(this, 'MemcacheError')
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    const prototype: MemcacheError = this.prototype
    if (!Object.hasOwn(prototype, 'name')) return Function.prototype[Symbol.hasInstance].call(this, value) // a user's subclass
    return typeof value === 'object' && value !== null && Symbol.for(`ermc.${prototype.name}`) in value
  }

  /** A stable string to tell the kinds of error apart without their classes. */
  readonly code: string = 'ERR_MEMCACHE'
  /** The command that failed, as the caller knows it; `undefined` where there was none, as in `connect()`. */
  readonly command: string | undefined
  /** The server as `host:port`, `[address]:port` or the path of a unix socket. */
  readonly server: string | undefined
  /**
   * `false`: the request never left this process, so repeating it is safe.
   * `true`: the server may have run it.
   */
  readonly sent: boolean

  constructor(message: string, context: FaultContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause })
    this.command = context.command
    this.server = context.server
    this.sent = context.sent ?? false
  }
}

/** The key is empty, too long, holds blanks or control characters, is no string or Buffer, or has a lone surrogate. */
export class MemcacheKeyError extends MemcacheError {
  static {
    brand(this, 'MemcacheKeyError')
  }
  override readonly code = 'ERR_MEMCACHE_KEY'
}

/** A value that is too large, cannot be serialized or decoded, or an argument (ttl, delta, option) that cannot be right. */
export class MemcacheValueError extends MemcacheError {
  static {
    brand(this, 'MemcacheValueError')
  }
  override readonly code = 'ERR_MEMCACHE_VALUE'
}

/** This driver or server cannot do this command. */
export class MemcacheUnsupportedError extends MemcacheError {
  static {
    brand(this, 'MemcacheUnsupportedError')
  }
  override readonly code = 'ERR_MEMCACHE_UNSUPPORTED'
}

/** More is pending than `maxPending` or `maxPendingBytes` allow: the call was refused at once, nothing was sent. */
export class MemcacheOverloadError extends MemcacheError {
  static {
    brand(this, 'MemcacheOverloadError')
  }
  override readonly code = 'ERR_MEMCACHE_OVERLOAD'
}

/** The connection could not be made or was lost: refused, reset, closed, host not found. Ends the connection. */
export class MemcacheSocketError extends MemcacheError {
  static {
    brand(this, 'MemcacheSocketError')
  }
  override readonly code: string = 'ERR_MEMCACHE_SOCKET'
}

/** A deadline passed: `connectTimeout`, the client's `timeout`, or the call's own. */
export class MemcacheTimeoutError extends MemcacheSocketError {
  static {
    brand(this, 'MemcacheTimeoutError')
  }
  override readonly code = 'ERR_MEMCACHE_TIMEOUT'
}

/**
 * The connection that a job was taken on was lost before the job was acknowledged: the queue server gives the job to
 * somebody else, or has done so already. What was done for it may be done again.
 */
export class MemcacheReservationLostError extends MemcacheSocketError {
  static {
    brand(this, 'MemcacheReservationLostError')
  }
  override readonly code = 'ERR_MEMCACHE_RESERVATION_LOST'
}

/** The server sent what the protocol's grammar does not allow at that place, so nothing after it can be trusted. */
export class MemcacheProtocolError extends MemcacheSocketError {
  static {
    brand(this, 'MemcacheProtocolError')
  }
  override readonly code = 'ERR_MEMCACHE_PROTOCOL'
}

/** `close()` was called: on a request that was pending then, or on one that came after it. */
export class MemcacheClosedError extends MemcacheSocketError {
  static {
    brand(this, 'MemcacheClosedError')
  }
  override readonly code = 'ERR_MEMCACHE_CLOSED'
}

/** The server answered with a refusal. The connection stays usable, unless the refused command's data may still run. */
export class MemcacheDriverError extends MemcacheError {
  static {
    brand(this, 'MemcacheDriverError')
  }
  override readonly code: string = 'ERR_MEMCACHE_DRIVER'
}

/** `SERVER_ERROR …`: the server could not do what it was asked to: out of memory, object too large, a proxy's dead backend. */
export class MemcacheServerError extends MemcacheDriverError {
  static {
    brand(this, 'MemcacheServerError')
  }
  override readonly code = 'ERR_MEMCACHE_SERVER'
}

/** `CLIENT_ERROR …` or `ERROR`: the server refused the command as malformed, not allowed or unknown. */
export class MemcacheClientError extends MemcacheDriverError {
  static {
    brand(this, 'MemcacheClientError')
  }
  override readonly code = 'ERR_MEMCACHE_CLIENT'
}

/** The server wants credentials, or refused those that were given. */
export class MemcacheAuthError extends MemcacheDriverError {
  static {
    brand(this, 'MemcacheAuthError')
  }
  override readonly code = 'ERR_MEMCACHE_AUTH'
}

/** Says of an error what it did not know where it was made. The command is the one that the caller called. */
export function complete<E extends MemcacheError>(error: E, context: FaultContext): E {
  const open = error as { -readonly [K in keyof MemcacheError]: MemcacheError[K] }
  if (context.command !== undefined) open.command = context.command
  open.server ??= context.server
  open.sent ||= context.sent ?? false
  return error
}

/**
 * Makes errors without a stack, at a fraction of the cost: those of a whole queue, each of which gets its caller's later.
 * `make` must not run anybody else's code.
 */
export function stackless<T>(make: () => T): T {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/**
 * An error as its caller gets it: it says which command and server it was, and its stack is the caller's own instead of
 * a socket handler's, from behind `below` on. To be called in the continuation of an awaited promise: only there does V8
 * know who awaits.
 */
export function atCaller(error: unknown, context: FaultContext, below: (...args: never[]) => unknown = atCaller): unknown {
  if (!(error instanceof MemcacheError)) return error // an AbortSignal's reason, or what a user's layer threw
  Error.captureStackTrace(error, below)
  return complete(error, context)
}

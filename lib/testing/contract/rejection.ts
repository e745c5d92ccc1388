import { AssertionError } from 'node:assert/strict'
import { inspect } from 'node:util'
import type { MemcacheError } from '../../index.ts'

/** What a call has to reject with: by names and codes, which hold between copies of the package where classes do not. */
export interface Fault {
  /** The name of the error's class, or of those of which it may be one. */
  readonly name: string | readonly string[]
  readonly command?: string
  readonly sent?: boolean
}

/** How a connection fails, whatever it was that went wrong. */
export const LOST = ['MemcacheSocketError', 'MemcacheTimeoutError', 'MemcacheProtocolError'] as const

/** How a server refuses. */
export const REFUSED = ['MemcacheClientError', 'MemcacheServerError', 'MemcacheDriverError'] as const

/** Asks that a call rejects so; gives the error. @throws AssertionError where it resolves, or rejects with anything else. */
export async function rejects(call: Promise<unknown>, fault: Fault, what = 'the call'): Promise<MemcacheError> {
  const error = await rejection(call, what)
  const names = [fault.name].flat()
  const right =
    names.includes(error.name) &&
    error.code === codeOf(error.name) &&
    (fault.command === undefined || error.command === fault.command) &&
    (fault.sent === undefined || error.sent === fault.sent)
  if (!right) throw new AssertionError({ message: `${what} rejected with ${inspect(error)}\nand not with ${inspect(fault)}`, actual: error, expected: fault })
  return error
}

/** What a call rejects with. @throws AssertionError where it resolves. */
export async function rejection(call: Promise<unknown>, what = 'the call'): Promise<MemcacheError> {
  let value: unknown
  try {
    value = await call
  } catch (error) {
    return error as MemcacheError
  }
  throw new AssertionError({ message: `${what} did not reject, but gave ${inspect(value, { maxStringLength: 200 })}` })
}

/** A promise that is looked at later: until then it is nobody's unhandled rejection. */
export function later<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/** MemcacheKeyError: ERR_MEMCACHE_KEY. */
function codeOf(name: string): string {
  const [words = ''] = name.split(/Error$/)
  return `ERR_${words.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()}`
}

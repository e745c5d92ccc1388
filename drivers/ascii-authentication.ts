import { Buffer } from 'node:buffer'
import type { Credentials } from '../lib/credentials.ts'
import type { Authentication } from '../lib/driver.ts'
import { MemcacheAuthError } from '../lib/errors.ts'
import { refusal, unexpected } from './line.ts'

/**
 * ASCII authentication, for memcached that was started with `-Y`: a storage command whose data are `<user> <password>`.
 * memcached without `-Y` would store them as an item, for everybody to read. So it is first asked for its version, which
 * only a server without authentication tells to strangers.
 */
export function authenticateInText(credentials: Credentials): Authentication<unknown> {
  credentials.refuse(/ /, 'has a blank in it, which ASCII authentication cannot say')
  return steps(Buffer.from(`${credentials.username} ${credentials.password}`).toString('latin1'))
}

function* steps(words: string): Authentication<unknown> {
  const stranger = lineOf(yield 'version\r\n')
  if (stranger.startsWith('VERSION ')) {
    throw new MemcacheAuthError('the server does not ask for credentials, so that they were not sent: it would store them as an item')
  }
  if (!(refusal(stranger) instanceof MemcacheAuthError)) throw unexpected(stranger, 'version')
  const answer = lineOf(yield `set auth 0 0 ${words.length}\r\n${words}\r\n`)
  if (answer !== 'STORED') throw unexpected(answer, 'authentication')
}

function lineOf(frame: unknown): string {
  return typeof frame === 'string' ? frame : 'a value'
}

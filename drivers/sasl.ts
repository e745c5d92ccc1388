import { Buffer } from 'node:buffer'
import type { Credentials } from '../lib/credentials.ts'
import type { Authentication } from '../lib/driver.ts'
import { MemcacheAuthError, MemcacheProtocolError } from '../lib/errors.ts'
import { printable, unexpected } from './line.ts'
import { HEADER, hex, refused, STATUS } from './packet.ts'

const LIST = 0x20
const START = 0x21
const MECHANISM = 'PLAIN'

/** What of a packet authentication looks at; or a line of text, which is no packet. */
type Frame = { readonly opcode: number; readonly status: number; readonly value: Buffer } | string

/**
 * SASL on the binary protocol, with the mechanism PLAIN (RFC 4616), for memcached that was started with `-S`. It is first
 * asked for its mechanisms: a server that has none does not see the password.
 */
export function* authenticateBySasl({ username, password }: Credentials): Authentication<Frame> {
  const mechanisms = answered(yield packet(LIST, '', ''), LIST)
  if (!mechanisms.toUpperCase().split(' ').includes(MECHANISM)) {
    throw new MemcacheAuthError(`the server does not take a username and a password (${MECHANISM}); its SASL mechanisms are: ${printable(mechanisms)}`)
  }
  answered(yield packet(START, MECHANISM, `\0${username}\0${password}`), START)
}

function packet(opcode: number, key: string, value: string): Buffer[] {
  const header = Buffer.alloc(HEADER)
  const body = Buffer.from(key + value)
  header.writeUInt16BE(0x8000 + opcode)
  header.writeUInt16BE(key.length, 2)
  header.writeUInt32BE(body.length, 8)
  return [header, body]
}

/** The body of the packet that answers this opcode with success. */
function answered(frame: Frame, opcode: number): string {
  if (typeof frame === 'string') throw unexpected(frame, 'authentication')
  const { status, value } = frame
  if (frame.opcode !== opcode) throw new MemcacheProtocolError(`a packet of opcode 0x${hex(frame.opcode)} came in reply to one of 0x${hex(opcode)}`)
  if (status === STATUS.UNKNOWN_COMMAND) throw new MemcacheAuthError('the server does not ask for credentials, so that they were not sent')
  if (status !== STATUS.OK) throw refused(opcode, status, value)
  return value.toString('latin1')
}

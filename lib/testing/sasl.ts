/// <reference types="node" preserve="true" />

/** SASL as memcached has it from Cyrus, with the mechanisms PLAIN and CRAM-MD5. Strings are latin1, one character a byte. */

import { createHmac, randomInt } from 'node:crypto'
import { hostname } from 'node:os'

/** How a message of the client was taken: it is the last one, or there is a challenge to answer. */
export type SaslOutcome = 'authenticated' | 'refused' | { readonly challenge: string }

/** One run of a mechanism. With no challenge to wait for, the client may answer in its first message. */
interface Exchange { readonly challenge: string; readonly check: (response: string) => boolean }
type Mechanism = (users: ReadonlyMap<string, string>) => Exchange

const mechanisms = new Map<string, Mechanism>([['PLAIN', plain], ['CRAM-MD5', cramMd5]])

/** The authentication of one connection. */
export class Sasl {
  authenticated = false
  #users: ReadonlyMap<string, string>
  #exchange: Exchange | undefined
  /** Cyrus has one success to give, and refuses whatever comes after it. */
  #done = false

  constructor(users: ReadonlyMap<string, string>) {
    this.#users = users
  }

  /** The names of the mechanisms. Whoever asks is not authenticated any more. */
  list(): string {
    this.authenticated = false
    return [...mechanisms.keys()].join(' ')
  }

  /** Begins anew; '' is no message. */
  start(mechanism: string, message: string): SaslOutcome {
    this.authenticated = false
    this.#exchange = this.#done ? undefined : mechanisms.get(mechanism.toUpperCase())?.(this.#users)
    if (this.#exchange === undefined) return 'refused'
    const { challenge } = this.#exchange
    if (message === '') return { challenge }
    return challenge === '' ? this.step(message) : 'refused'
  }

  /** Takes the answer to the challenge. */
  step(message: string): SaslOutcome {
    this.authenticated = this.#exchange?.check(message) ?? false
    this.#exchange = undefined
    this.#done ||= this.authenticated
    return this.authenticated ? 'authenticated' : 'refused'
  }
}

/** `[<identity>] NUL <user> NUL <password>`: nobody may act as another. */
function plain(users: ReadonlyMap<string, string>): Exchange {
  return {
    challenge: '',
    check(response) {
      const [identity, user = '', password, ...more] = response.split('\0')
      return more.length === 0 && (identity === '' || identity === user) && password !== undefined && users.get(user) === password
    }
  }
}

/** `<user> <digest>`: the challenge's digest, keyed with the password. */
function cramMd5(users: ReadonlyMap<string, string>): Exchange {
  const challenge = `<${randomInt(2 ** 32)}.${process.pid}@${hostname()}>`
  return {
    challenge,
    check(response) {
      const [, user = '', digest] = /^(.*) ([0-9a-f]{32})$/s.exec(response) ?? []
      const password = users.get(user)
      return password !== undefined && digest === createHmac('md5', Buffer.from(password, 'latin1')).update(challenge).digest('hex')
    }
  }
}

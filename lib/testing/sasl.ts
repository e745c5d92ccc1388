/// <reference types="node" preserve="true" />

/** SASL as memcached has it from Cyrus, with the mechanisms PLAIN and CRAM-MD5. */

import { createHmac, randomInt } from 'node:crypto'
import { hostname } from 'node:os'

/** How a message from the client was taken: the exchange is over, or goes on behind a challenge. */
export type SaslOutcome = 'authenticated' | 'refused' | { readonly challenge: string }

/** Checks what the client answers to a challenge. */
type Check = (response: string) => boolean
/** Begins an exchange; all strings are latin1, one character a byte. `undefined` refuses. */
type Mechanism = (users: ReadonlyMap<string, string>) => { readonly challenge: string; readonly check: Check; readonly clientFirst: boolean }

const mechanisms = new Map<string, Mechanism>([['PLAIN', plain], ['CRAM-MD5', cramMd5]])

/** One connection's authentication. */
export class SaslExchange {
  authenticated = false
  #users: ReadonlyMap<string, string>
  #check: Check | undefined
  /** Cyrus takes nothing more once it has succeeded. */
  #done = false

  constructor(users: ReadonlyMap<string, string>) {
    this.#users = users
  }

  /** The mechanisms, by their names. Whoever asks is no longer authenticated. */
  list(): string {
    this.authenticated = false
    return [...mechanisms.keys()].join(' ')
  }

  /** Begins, with the client's first message, or '' when it sent none. */
  start(mechanism: string, response: string): SaslOutcome {
    this.authenticated = false
    this.#check = undefined
    const begin = this.#done ? undefined : mechanisms.get(mechanism.toUpperCase())
    if (begin === undefined) return 'refused'
    const { challenge, check, clientFirst } = begin(this.#users)
    this.#check = check
    if (response === '') return { challenge }
    return clientFirst ? this.step(response) : 'refused'
  }

  /** Goes on, with the answer to the challenge. */
  step(response: string): SaslOutcome {
    this.authenticated = this.#check?.(response) ?? false
    this.#check = undefined
    this.#done ||= this.authenticated
    return this.authenticated ? 'authenticated' : 'refused'
  }
}

/** `[<authorization id>] NUL <user> NUL <password>`: nobody may act as another. */
function plain(users: ReadonlyMap<string, string>): ReturnType<Mechanism> {
  const check: Check = (response) => {
    const [identity, user, password, ...more] = response.split('\0')
    return user !== undefined && password !== undefined && more.length === 0
      && (identity === '' || identity === user) && users.get(user) === password
  }
  return { challenge: '', check, clientFirst: true }
}

/** `<user> <digest>`, the digest being that of the challenge, keyed with the password. */
function cramMd5(users: ReadonlyMap<string, string>): ReturnType<Mechanism> {
  const challenge = `<${randomInt(2 ** 32)}.${process.pid}@${hostname()}>`
  const check: Check = (response) => {
    const [, user = '', digest] = /^(.*) ([0-9a-f]{32})$/s.exec(response) ?? []
    const password = users.get(user)
    return password !== undefined && digest === createHmac('md5', Buffer.from(password, 'latin1')).update(challenge).digest('hex')
  }
  return { challenge, check, clientFirst: false }
}

import { MemcacheValueError } from './errors.ts'

/** Whom a client is, for servers that ask. Whatever shows an object, in a log or a debugger, shows nothing of it. */
export class Credentials {
  readonly #username: string
  readonly #password: string

  /** @throws MemcacheValueError for what no protocol can say. */
  constructor(username: string, password: string) {
    this.#username = username
    this.#password = password
    this.refuse(/^$|[\0\r\n]/, 'is empty, or has a NUL, CR or LF in it')
    this.refuse(/\p{Surrogate}/u, 'has a lone surrogate, which has no bytes in UTF-8')
  }

  get username(): string {
    return this.#username
  }

  get password(): string {
    return this.#password
  }

  /** @throws MemcacheValueError when this is in one of the two; neither is in the message. */
  refuse(pattern: RegExp, why: string): void {
    for (const name of ['username', 'password'] as const) {
      if (pattern.test(this[name])) throw new MemcacheValueError(`the ${name} ${why}`)
    }
  }
}

import { parseUint32 } from './c-numbers.ts'
import { splitWords } from './text-command.ts'
import type { ReadBuffer } from './read-buffer.ts'
import type { TextContext } from './text-command.ts'

const LINE_LIMIT = 2048

/** What became of a step: more input is needed, a line was answered, or the connection is to be closed or in. */
export type AuthenticationStep = 'wait' | 'answered' | 'refused' | 'authenticated'

/**
 * The time before `set <any> <any> <any> <length>\r\n<user> <password>\r\n` on a server with users (`-Y`). There is
 * one reply for all that came meanwhile: a later one overwrites it, unless it was sent.
 */
export class Authentication {
  #users: ReadonlyMap<string, string>
  #session: TextContext
  /** Length of the credentials with their CRLF, once the line before them was read. */
  #length: number | undefined

  constructor(users: ReadonlyMap<string, string>, session: TextContext) {
    this.#users = users
    this.#session = session
  }

  step(input: ReadBuffer): AuthenticationStep {
    if (this.#length === undefined) {
      const line = input.length < 2 ? undefined : input.line()
      if (line === undefined) return input.length > LINE_LIMIT ? 'refused' : 'wait'
      const words = splitWords(line)
      const length = words.length >= 5 && words[0] === 'set' ? parseUint32(words[4]!) : undefined
      if (length === undefined) return this.#answer('CLIENT_ERROR unauthenticated')
      this.#length = length + 2
    }
    if (input.length < this.#length) return 'wait'
    const text = input.peek(this.#length)
    input.skip(this.#length)
    this.#length = undefined
    return this.#check(text)
  }

  #check(text: string): AuthenticationStep {
    if (!text.endsWith('\r\n')) return this.#answer('CLIENT_ERROR bad command line termination')
    const [user, password] = splitWords(text.slice(0, -2))
    if (user === undefined || password === undefined) return this.#answer('CLIENT_ERROR bad authentication token format')
    const { counters } = this.#session.engine.store
    counters.auth_cmds++
    if (this.#users.get(user) !== password) {
      counters.auth_errors++
      return this.#answer('CLIENT_ERROR authentication failure')
    }
    this.#answer('STORED')
    return 'authenticated'
  }

  #answer(line: string): AuthenticationStep {
    this.#session.dropReplies()
    this.#session.reply(line)
    return 'answered'
  }
}

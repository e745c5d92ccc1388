import { createHash, randomBytes } from 'node:crypto'
import type { Client } from './client.ts'
import type { Key } from './commands.ts'

/** Bytes: memcached's own limit. */
const LONGEST_KEY = 250
/** Bytes that a namespace may have in a key. */
const LONGEST_NAME = 60
/** How many others may have made, and lost, the generation while one looks for it. */
const ATTEMPTS = 5

/** All but printable ASCII without `%`, as one character each: half a surrogate pair is none that encodeURIComponent takes. */
const UNSAFE = /[^!-$&-~]/gu
/** The same, and the colon, which ends a namespace's name. */
const UNSAFE_IN_NAME = /[^!-$&-9;-~]/gu

/**
 * The names of a namespace's items. memcached cannot list keys, so they hold a number that belongs to the namespace, its
 * generation: whoever wants to have the namespace empty gives it another one.
 *
 *     <namespace>:generation            the generation: 16 random characters, without a time to live
 *     <namespace>:<generation>:<key>    an item
 *
 * A generation that is lost, because memcached is full or was started anew, is never made again: what was stored in it
 * cannot come back.
 */
export class KeyvNamespace {
  readonly #client: Client
  readonly #name: string
  readonly #maxStaleness: number
  /** Bytes that a key may have behind the client's own prefix. */
  readonly #room: number
  /** What was read last, and when it was asked for. */
  #known: { readonly generation: string; readonly asked: number } | undefined
  /** How often it was emptied here: what was asked for before that is not to be remembered. */
  #renewals = 0

  /** `maxStaleness`: for how many milliseconds a generation that was read is taken for the present one. */
  constructor(client: Client, namespace: string, maxStaleness: number) {
    this.#client = client
    this.#name = spell(namespace, UNSAFE_IN_NAME, LONGEST_NAME)
    this.#maxStaleness = maxStaleness
    this.#room = LONGEST_KEY - (client.checkKey('k').length - 1)
  }

  /** Gives the keys of items as they are now; `undefined` = the namespace has no item at all. */
  async reading(): Promise<((key: string) => Key) | undefined> {
    const generation = this.#remembered() ?? (await this.#read())
    return generation === undefined ? undefined : this.#keys(generation)
  }

  /** The same, and makes the generation where there is none; `undefined` = that was not possible. */
  async writing(): Promise<((key: string) => Key) | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const keys = await this.reading()
      if (keys !== undefined) return keys
      const made = another()
      const [asked, renewals] = [performance.now(), this.#renewals]
      if (await this.#client.add(this.#item, made)) return this.#keys(this.#remember(made, asked, renewals))
    }
    return undefined
  }

  /** Empties the namespace: from now on its items have other names. `false` = it was not possible. */
  async renew(): Promise<boolean> {
    this.#renewals += 1
    this.#known = undefined
    const done = await this.#client.set(this.#item, another())
    this.#renewals += 1
    this.#known = undefined
    return done
  }

  get #item(): Key {
    return `${this.#name}:generation`
  }

  #remembered(): string | undefined {
    const known = this.#known
    return known !== undefined && performance.now() - known.asked < this.#maxStaleness ? known.generation : undefined
  }

  async #read(): Promise<string | undefined> {
    const [asked, renewals] = [performance.now(), this.#renewals]
    const generation = await this.#client.get(this.#item)
    return generation === undefined ? undefined : this.#remember(String(generation), asked, renewals)
  }

  #remember(generation: string, asked: number, renewals: number): string {
    if (renewals === this.#renewals) this.#known = { generation, asked }
    return generation
  }

  #keys(generation: string): (key: string) => Key {
    const before = `${this.#name}:${generation}:`
    return (key) => before + spell(key, UNSAFE, this.#room - before.length)
  }
}

/** Never the same twice, in no process. */
function another(): string {
  return randomBytes(12).toString('base64url')
}

/**
 * Any string as a part of a key: as it is where it can be, escaped as in a URL where it has to be, and else as its SHA-256.
 * No escape looks like the mark of the last, so that different strings never have the same spelling.
 */
function spell(text: string, unsafe: RegExp, longest: number): string {
  if (text.isWellFormed()) {
    const spelled = text.replace(unsafe, encodeURIComponent)
    if (spelled.length <= longest) return spelled
  }
  return `%#${createHash('sha256').update(text, 'utf16le').digest('base64url')}`
}

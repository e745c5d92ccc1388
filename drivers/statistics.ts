import { MemcacheProtocolError } from '../lib/errors.ts'

/** More than any server has, one for each slab class included. */
const MOST = 100_000
/** Names and values together, in bytes: more than so many take. */
const LONGEST = 16 * 1024 * 1024

/** The statistics of one reply. One that goes on, by new lines, by long ones or by the same one, is not collected for ever. */
export class Statistics {
  readonly collected = new Map<string, string>()
  #length = 0

  /** @throws MemcacheProtocolError where they do not end. */
  add(name: string, value: string): void {
    this.#length += name.length + value.length
    if (this.collected.size >= MOST) throw new MemcacheProtocolError(`the reply to "stats" has more than ${MOST} statistics`)
    if (this.#length > LONGEST) throw new MemcacheProtocolError(`the reply to "stats" is longer than ${LONGEST} bytes`)
    this.collected.set(name, value)
  }
}

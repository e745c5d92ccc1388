/// <reference types="node" preserve="true" />

/** What meta commands return behind their status. */

/** `O` and 31 characters. */
const MAX_OPAQUE_WORD = 32

/**
 * The flags to return, each with a blank in front: the opaque `O` as it came, and for any other letter what `value`
 * says, in the order of the words. `undefined` when the opaque is too long; what came before it has been done by then.
 */
export function returnedFlags(words: readonly string[], start: number, value: (letter: string) => string | number | undefined): string | undefined {
  let text = ''
  for (const word of words.slice(start)) {
    const letter = word[0]!
    if (letter === 'O') {
      if (word.length > MAX_OPAQUE_WORD) return undefined
      text += ` ${word}`
      continue
    }
    const returned = value(letter)
    if (returned !== undefined) text += ` ${letter}${returned}`
  }
  return text
}

/** Seconds until an item expires, -1 = never; what has expired wraps around at 2^32, as memcached prints it. */
export function timeLeft(expiresAt: number, clock: number): number {
  return expiresAt === 0 ? -1 : (expiresAt - clock) >>> 0
}

/** A key as the flag `k` shows it. */
export function shownKey(key: string, binary: boolean): string {
  return binary ? `${base64(key)} b` : key
}

/** A latin1 key, encoded. */
export function base64(key: string): string {
  return Buffer.from(key, 'latin1').toString('base64')
}

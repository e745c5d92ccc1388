import type { TextSession } from './text-session.ts'

/** A command: how many words its line has, its name included, and what it does. Any other number is an `ERROR`. */
export interface TextCommand {
  readonly least?: number
  readonly most?: number
  readonly run: (session: TextSession, words: readonly string[]) => void
}

/** memcached reads no further words of a line, except the keys of a retrieval. */
export const MAX_WORDS = 23
/** In bytes. */
export const MAX_KEY_LENGTH = 250
export const MAX_VALUE_LENGTH = 2 ** 31 - 1 - 2

export const BAD_FORMAT = 'CLIENT_ERROR bad command line format'

/** The words of a line: parted by runs of blanks, and by nothing else; a NUL ends the line. */
export function splitWords(line: string): string[] {
  const end = line.indexOf('\0')
  const words = (end === -1 ? line : line.slice(0, end)).split(' ')
  return words.includes('') ? words.filter((word) => word !== '') : words
}

/** `noreply` counts wherever a command takes it: as the last word. */
export function muteIfAsked(session: TextSession, words: readonly string[]): boolean {
  if (words[Math.min(words.length, MAX_WORDS) - 1] === 'noreply') session.muted = true
  return session.muted
}

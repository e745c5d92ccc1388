import { MAX_KEY_LENGTH } from './item.ts'
import type { Item } from './item.ts'
import type { CommandContext } from './session.ts'

/** What a command of the text protocol may do. */
export interface TextContext extends CommandContext {
  /** The command said `noreply`: its next reply line is not written. */
  muted: boolean
  /** Earlier commands were not flushed yet, whether they have a reply or `noreply` hid it. */
  readonly hasPending: boolean
  /** Answers with one line, unless the command is muted. */
  reply(line: string): void
  /** Answers with an error line that `noreply` and meta's `q` do not mute. */
  fail(line: string): void
  /** Takes the item's value and CRLF from the input, then calls `complete`. */
  upload(item: Item, complete: (endsWell: boolean) => void): void
}

/** A command: how many words its line has, its name included, and what it does. Any other number is an `ERROR`. */
export interface TextCommand {
  readonly least?: number
  readonly most?: number
  readonly run: (session: TextContext, words: readonly string[]) => void
}

/** memcached reads no further words of a line, except the keys of a retrieval. */
export const MAX_WORDS = 23
/** In bytes; a larger number is no length at all, whatever the server's limit is. */
export const MAX_VALUE_LENGTH = 2 ** 31 - 1 - 2

/** What is wrong with most lines that are refused. */
export const BAD_FORMAT = 'CLIENT_ERROR bad command line format'

/** The words of a line: parted by runs of blanks, and by nothing else; a NUL ends the line. */
export function splitWords(line: string): string[] {
  const end = line.indexOf('\0')
  const words = (end === -1 ? line : line.slice(0, end)).split(' ')
  return words.includes('') ? words.filter((word) => word !== '') : words
}

/** `noreply` counts wherever a command takes it: as the last word. */
export function muteIfAsked(session: TextContext, words: readonly string[]): boolean {
  if (words[Math.min(words.length, MAX_WORDS) - 1] === 'noreply') session.muted = true
  return session.muted
}

/** The key behind the command's name; `undefined` when it is too long, which is answered then. */
export function checkedKey(session: TextContext, words: readonly string[]): string | undefined {
  const key = words[1]!
  if (key.length <= MAX_KEY_LENGTH) return key
  session.reply(BAD_FORMAT)
  return undefined
}

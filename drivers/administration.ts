import { commandName, type Request } from '../lib/commands.ts'
import { more, type Exchange } from '../lib/driver.ts'
import { checkSection, statistic, unexpected } from './line.ts'
import { Statistics } from './statistics.ts'

/**
 * The commands about the server itself. The text and the meta protocol have them in common; a frame that is a line comes
 * as a string without its CRLF, and nothing else can stand in their replies.
 */

const OK = { OK: true }
const FLUSHED = { OK: true, 'Flushed all queues.': true } // queue servers

/** `flush_all [delay]` */
export const flush: Exchange<'flush', unknown> = {
  encode: ({ delay }) => (delay === 0 ? 'flush_all\r\n' : `flush_all ${delay}\r\n`),
  reply: (frame, request) => wordOf(frame, request, FLUSHED),
}

/** `stats [section]` */
export const stats: Exchange<'stats', unknown> = {
  encode({ section }) {
    checkSection(section)
    return section === '' ? 'stats\r\n' : `stats ${section}\r\n`
  },
  decode(request) {
    const stats = new Statistics()
    const end = request.section === 'reset' ? 'RESET' : /^detail o(?:n|ff)$/.test(request.section) ? 'OK' : 'END'
    return (frame) => {
      if (frame === end || frame === 'END') return stats.collected // queue servers do not look at the section
      const line = typeof frame === 'string' ? statistic(frame) : undefined
      if (line === undefined) throw unexpectedFrame(frame, request)
      stats.add(line.name, line.value)
      return more
    }
  },
}

/** `version` */
export const version: Exchange<'version', unknown> = {
  encode: () => 'version\r\n',
  reply(frame, request) {
    const said = typeof frame === 'string' ? /^VERSION (.*)$/.exec(frame)?.[1] : undefined
    if (said === undefined) throw unexpectedFrame(frame, request)
    return said
  },
}

/** `verbosity <level>` */
export const verbosity: Exchange<'verbosity', unknown> = {
  encode: ({ level }) => `verbosity ${level}\r\n`,
  reply: (frame, request) => wordOf(frame, request, OK),
}

/** What a reply of one line says that is one of these words. */
export function wordOf<R>(frame: unknown, request: Request, words: { readonly [word: string]: R }): R {
  if (typeof frame !== 'string' || !Object.hasOwn(words, frame)) throw unexpectedFrame(frame, request)
  return words[frame] as R
}

/** The error for a frame that cannot be in the reply to this request. */
export function unexpectedFrame(frame: unknown, request: Request): Error {
  return unexpected(typeof frame === 'string' ? frame : 'a value', commandName(request))
}

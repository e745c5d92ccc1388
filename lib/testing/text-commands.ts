/**
 * The commands of the text protocol: what each line means. The order of the checks is memcached 1.6.18's, because it
 * decides which of several faults in a line is reported, and whether `noreply` hides it.
 */

import { administration } from './administration.ts'
import { parseInt32, parseUint32, parseUint64 } from './c-numbers.ts'
import { countRetrieval } from './counters.ts'
import { MAX_KEY_LENGTH } from './item.ts'
import { metaCommands } from './meta-commands.ts'
import { statistics } from './statistics.ts'
import { BAD_FORMAT, checkedKey, MAX_VALUE_LENGTH, MAX_WORDS, muteIfAsked, splitWords } from './text-command.ts'
import type { StoreMode } from './item-store.ts'
import type { TextCommand, TextContext } from './text-command.ts'

const BAD_EXPTIME = 'CLIENT_ERROR invalid exptime argument'

const commands = new Map<string, TextCommand>(Object.entries({
  get: retrieval({}),
  bget: retrieval({}),
  gets: retrieval({ cas: true }),
  gat: retrieval({ touch: true }),
  gats: retrieval({ cas: true, touch: true }),
  set: storage('set'),
  add: storage('add'),
  replace: storage('replace'),
  append: storage('append'),
  prepend: storage('prepend'),
  cas: storage('cas'),
  delete: { least: 2, most: 4, run: runDelete },
  incr: { least: 3, most: 4, run: (session, words) => { runCount(session, words, false) } },
  decr: { least: 3, most: 4, run: (session, words) => { runCount(session, words, true) } },
  touch: { least: 3, most: 4, run: runTouch },
  flush_all: { least: 1, most: 3, run: runFlushAll },
  version: { run: (session) => { session.reply(`VERSION ${session.engine.settings.version}`) } },
  verbosity: { least: 2, most: 3, run: runVerbosity },
  quit: { run: runQuit },
  ...metaCommands,
  ...statistics,
  ...administration
} satisfies Record<string, TextCommand>))

/** Runs one command line: its reply is queued, or the session is set to take the data block behind it. */
export function runCommand(session: TextContext, line: string): void {
  const words = splitWords(line)
  const name = words[0] ?? ''
  const command = commands.get(name)
  if (command === undefined) {
    runUnknown(session, words)
    return
  }
  const count = Math.min(words.length, MAX_WORDS)
  if (count < (command.least ?? 0) || count > (command.most ?? MAX_WORDS)) {
    session.reply('ERROR')
    return
  }
  command.run(session, words)
}

function runUnknown(session: TextContext, words: readonly string[]): void {
  const name = words[0] ?? ''
  // memcached chooses by the first letter, and looks for HTTP only where no command begins with it.
  const last = words[Math.min(words.length, MAX_WORDS) - 1] ?? ''
  if (name.length > 1 && last.startsWith('HTTP/') && !/^(?:[gsacidt]|m.$)/s.test(name)) session.close()
  else session.reply('ERROR')
}

/** `get <key>+`, `gets <key>+`, `gat <exptime> <key>+`, `gats <exptime> <key>+` */
function retrieval({ cas = false, touch = false }: { cas?: boolean; touch?: boolean }): TextCommand {
  return {
    least: 2,
    run(session, words) {
      const { store, settings, prefixes } = session.engine
      const { replies } = session.peer
      const exptime = touch ? parseInt32(words[1]!) : 0
      if (exptime === undefined) {
        session.reply(BAD_EXPTIME)
        return
      }
      const expiresAt = store.lifetimes.expiry(exptime)
      for (let index = touch ? 2 : 1; index < words.length; index++) {
        const key = words[index]!
        if (key.length > MAX_KEY_LENGTH) {
          // memcached lets go of all replies it holds, those of earlier commands too.
          session.dropReplies()
          session.reply(BAD_FORMAT)
          return
        }
        const item = touch ? store.touch(key, expiresAt) : store.fetch(key)
        if (settings.detailEnabled) prefixes.countGet(key, item !== undefined)
        countRetrieval(store.counters, item?.slab.counters, touch)
        if (item === undefined) continue
        const length = item.data.length - 2
        replies.write(cas ? `VALUE ${key} ${item.flags} ${length} ${item.cas}\r\n` : `VALUE ${key} ${item.flags} ${length}\r\n`)
        replies.write(item.data)
      }
      replies.write('END\r\n')
      session.flush()
    }
  }
}

/** `<mode> <key> <flags> <exptime> <length> [noreply]`, with a cas id behind the length for `cas`, then the value. */
function storage(mode: StoreMode): TextCommand {
  const least = mode === 'cas' ? 6 : 5
  return {
    least,
    most: least + 1,
    run(session, words) {
      const { store, settings, prefixes } = session.engine
      muteIfAsked(session, words)
      const key = words[1]!
      const flags = parseUint32(words[2]!)
      const exptime = parseInt32(words[3]!)
      const length = parseInt32(words[4]!)
      const cas = mode === 'cas' ? parseUint64(words[5]!) : 0n
      // Refused like this, the value is not swallowed: it runs as command lines.
      if (key.length > MAX_KEY_LENGTH || flags === undefined || exptime === undefined || cas === undefined
        || length === undefined || length < 0 || length > MAX_VALUE_LENGTH) {
        session.reply(BAD_FORMAT)
        return
      }
      if (settings.detailEnabled) prefixes.countSet(key)
      const item = store.allocate(key, flags, store.lifetimes.expiry(exptime), length)
      if (typeof item === 'string') {
        session.reply(item === 'too large' ? 'SERVER_ERROR object too large for cache' : 'SERVER_ERROR out of memory storing object')
        if (item === 'too large') store.counters.store_too_large++
        else store.counters.store_no_memory++
        session.swallow(length + 2)
        if (mode === 'set') store.discard(key)
        return
      }
      session.upload(item, (endsWell) => {
        item.slab.counters.cmd_set++
        if (endsWell) {
          session.reply(store.store(mode, item, cas))
        } else {
          store.release(item)
          session.reply('CLIENT_ERROR bad data chunk')
        }
      })
    }
  }
}

/** `delete <key> [0] [noreply]` */
function runDelete(session: TextContext, words: readonly string[]): void {
  const { store, settings, prefixes } = session.engine
  if (words.length > 2) {
    const zero = words[2] === '0'
    const muted = muteIfAsked(session, words)
    if (words.length === 3 ? !zero && !muted : !zero || !muted) {
      session.reply('CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]')
      return
    }
  }
  const key = checkedKey(session, words)
  if (key === undefined) return
  if (settings.detailEnabled) prefixes.countDelete(key)
  const item = store.peek(key)
  if (item === undefined) {
    store.counters.delete_misses++
    session.reply('NOT_FOUND')
    return
  }
  item.slab.counters.delete_hits++
  store.unlink(item)
  session.reply('DELETED')
}

/** `incr <key> <delta> [noreply]`, `decr <key> <delta> [noreply]` */
function runCount(session: TextContext, words: readonly string[], down: boolean): void {
  const { store } = session.engine
  muteIfAsked(session, words)
  const key = checkedKey(session, words)
  if (key === undefined) return
  const delta = parseUint64(words[2]!)
  if (delta === undefined) {
    session.reply('CLIENT_ERROR invalid numeric delta argument')
    return
  }
  const result = store.count(key, delta, down)
  switch (result) {
    case 'NON_NUMERIC':
      session.reply('CLIENT_ERROR cannot increment or decrement non-numeric value')
      break
    case 'OUT_OF_MEMORY':
      session.reply('SERVER_ERROR out of memory')
      break
    case 'NOT_FOUND':
      if (down) store.counters.decr_misses++
      else store.counters.incr_misses++
      session.reply('NOT_FOUND')
      break
    case 'EXISTS':
      break // only with a cas id, which this command has none of
    default:
      session.reply(String(result.value))
  }
}

/** `touch <key> <exptime> [noreply]` */
function runTouch(session: TextContext, words: readonly string[]): void {
  const { store } = session.engine
  muteIfAsked(session, words)
  const key = checkedKey(session, words)
  if (key === undefined) return
  const exptime = parseInt32(words[2]!)
  if (exptime === undefined) {
    session.reply(BAD_EXPTIME)
    return
  }
  const item = store.touch(key, store.lifetimes.expiry(exptime))
  countRetrieval(store.counters, item?.slab.counters, true)
  session.reply(item === undefined ? 'NOT_FOUND' : 'TOUCHED')
}

/** `flush_all [delay] [noreply]` */
function runFlushAll(session: TextContext, words: readonly string[]): void {
  const { store, settings } = session.engine
  const muted = muteIfAsked(session, words)
  store.counters.cmd_flush++
  if (!settings.flushEnabled) {
    session.reply('CLIENT_ERROR flush_all not allowed')
    return
  }
  const exptime = words.length === (muted ? 2 : 1) ? 0 : parseInt32(words[1]!)
  if (exptime === undefined) {
    session.reply(BAD_EXPTIME)
    return
  }
  store.flush(exptime)
  session.reply('OK')
}

/** `verbosity <level> [noreply]` */
function runVerbosity(session: TextContext, words: readonly string[]): void {
  muteIfAsked(session, words)
  const level = parseUint32(words[1]!)
  if (level === undefined) {
    session.reply(BAD_FORMAT)
    return
  }
  session.engine.settings.verbosity = Math.min(level, 2)
  session.reply('OK')
}

function runQuit(session: TextContext): void {
  session.flush()
  session.close()
}

/**
 * The meta commands, which share lines and connections with the classic ones. A reply's flags come in the order of
 * the request's words, then what the server has to say: `W` won a recache, `X` stale, `Z` somebody else recaches.
 */

import { parseInt32 } from './c-numbers.ts'
import { countRetrieval } from './counters.ts'
import { MAX_KEY_LENGTH } from './item.ts'
import { decodeKey, parseMetaFlags } from './meta-flags.ts'
import { base64, returnedFlags, shownKey, timeLeft } from './meta-reply.ts'
import { BAD_FORMAT, MAX_VALUE_LENGTH } from './text-command.ts'
import type { Item } from './item.ts'
import type { StoreMode } from './item-store.ts'
import type { MetaFlags } from './meta-flags.ts'
import type { TextCommand, TextContext } from './text-command.ts'

type Words = readonly string[]

/** Words of a line; memcached's own limit on tokens, less its terminator. */
const MAX_META_WORDS = 19

const OPAQUE_TOO_LONG = 'CLIENT_ERROR opaque token too long'

const STORE_MODES: Record<string, StoreMode> = { E: 'add', A: 'append', P: 'prepend', R: 'replace', S: 'set' }
const COUNT_DIRECTIONS: Record<string, 'up' | 'down'> = { 'I': 'up', '+': 'up', 'D': 'down', '-': 'down' }
const STORE_REPLIES = { STORED: 'HD', NOT_STORED: 'NS', EXISTS: 'EX', NOT_FOUND: 'NF' }

/** By their names. */
export const metaCommands: Record<string, TextCommand> = {
  mg: { least: 2, run: runMetaGet },
  ms: { least: 2, run: runMetaSet },
  md: { least: 2, run: runMetaDelete },
  ma: { least: 2, run: runMetaArithmetic },
  me: { run: runMetaDebug },
  mn: { run: runMetaNoop }
}

/** `mg <key> <flag>*` → `VA <length> <flag>*` and the value, `HD <flag>*`, or `EN` */
function runMetaGet(session: TextContext, words: Words): void {
  const { store } = session.engine
  const flags = checkedFlags(session, words, 'CLIENT_ERROR options flags are too long')
  if (flags === undefined) return
  let item = flags.lateUse || flags.noUpdate ? store.peek(flags.key) : store.fetch(flags.key)
  let won = false
  let created = false
  if (item === undefined && flags.vivify !== undefined) {
    const stub = store.allocate(flags.key, 0, 0, 0)
    if (typeof stub !== 'string') {
      stub.data.write('\r\n', 'latin1')
      store.link(stub)
      item = stub
      created = true
    }
  }
  if (item === undefined) {
    countRetrieval(store.counters, undefined, false)
    const returned = returnedFlags(words, 2, (letter) => letter === 'k' ? shownKey(flags.key, flags.binaryKey) : undefined)
    if (returned === undefined) session.fail(OPAQUE_TOO_LONG)
    else if (!flags.quiet) session.reply(`EN${returned}`)
    return
  }
  const hit = item
  const returned = returnedFlags(words, 2, (letter) => {
    switch (letter) {
      case 'T':
        hit.expiresAt = flags.expiresAt!
        return undefined
      case 'N':
        if (created) {
          hit.expiresAt = flags.vivify!
          won = true
        }
        return undefined
      case 'R':
        if (!hit.tokenSent && !created && hit.expiresAt !== 0 && hit.expiresAt < flags.recache!) won = true
        return undefined
      case 's':
        return hit.data.length - 2
      case 't':
        return timeLeft(hit.expiresAt, store.lifetimes.clock)
      case 'c':
        return hit.cas
      case 'f':
        return hit.flags
      case 'l':
        return store.lifetimes.clock - hit.usedAt
      case 'h':
        return hit.fetched ? 1 : 0
      case 'k':
        return shownKey(hit.key, hit.binaryKey)
      default:
        return undefined
    }
  })
  if (returned === undefined) {
    session.fail(OPAQUE_TOO_LONG)
    return
  }
  let line = `${flags.value ? `VA ${hit.data.length - 2}` : 'HD'}${returned}`
  if (hit.tokenSent) line += ' Z'
  if (hit.stale) {
    line += ' X'
    if (!hit.tokenSent) won = true
  }
  if (won) {
    line += ' W'
    hit.tokenSent = true
  }
  session.reply(line)
  if (flags.value) session.peer.replies.write(hit.data)
  session.hold(hit)
  if (flags.lateUse && !flags.noUpdate) store.use(hit)
  countRetrieval(store.counters, hit.slab.counters, flags.expiresAt !== undefined)
}

/** `ms <key> <length> <flag>*` and the value → `HD`, `NS`, `EX` or `NF`, with `<flag>*` */
function runMetaSet(session: TextContext, words: Words): void {
  const { store } = session.engine
  const length = words[2] === undefined ? undefined : parseInt32(words[2])
  if (words[1]!.length > MAX_KEY_LENGTH || words.length === 2) {
    session.fail(BAD_FORMAT)
    return
  }
  if (words.length > MAX_META_WORDS) {
    session.fail('CLIENT_ERROR options flags too long')
    return
  }
  if (length === undefined || length < 0 || length > MAX_VALUE_LENGTH) {
    session.fail(BAD_FORMAT)
    return
  }
  // From here on the length is known, and the value of a refused command is swallowed.
  const refuse = (line: string): void => {
    session.fail(line)
    session.swallow(length + 2)
  }
  const flags = parseMetaFlags(words, 3, store)
  if (typeof flags === 'string') {
    refuse(flags)
    return
  }
  let mode: StoreMode | undefined = flags.mode === undefined ? 'set' : STORE_MODES[flags.mode]
  if (mode === undefined) {
    refuse('CLIENT_ERROR invalid mode for ms M token')
    return
  }
  if (returnedFlags(words, 2, () => undefined) === undefined) {
    refuse(OPAQUE_TOO_LONG)
    return
  }
  if (flags.cas !== undefined && (mode === 'set' || mode === 'replace')) mode = 'cas'
  const item = store.allocate(flags.key, flags.clientFlags, flags.expiresAt ?? 0, length)
  if (typeof item === 'string') {
    if (item === 'too large') store.counters.store_too_large++
    else store.counters.store_no_memory++
    // In any mode, where the classic commands do so for `set` alone.
    store.discard(flags.key)
    refuse(item === 'too large' ? 'SERVER_ERROR object too large for cache' : 'SERVER_ERROR out of memory storing object')
    return
  }
  item.binaryKey = flags.binaryKey
  const storeMode = mode
  session.upload(item, (endsWell) => {
    item.slab.counters.cmd_set++
    if (!endsWell) {
      store.release(item)
      session.fail('CLIENT_ERROR bad data chunk')
      return
    }
    const status = store.store(storeMode, item, flags.cas, flags.stale)
    if (status === 'STORED' && flags.quiet) return
    const cas = status === 'STORED' ? item.cas : 0
    session.reply(STORE_REPLIES[status] + returnedFlags(words, 2, (letter) => {
      if (letter === 'c') return cas
      return letter === 'k' ? shownKey(flags.key, flags.binaryKey) : undefined
    }))
  })
}

/** `md <key> <flag>*` → `HD`, `NF` or `EX`, with `<flag>*` */
function runMetaDelete(session: TextContext, words: Words): void {
  const { store } = session.engine
  const flags = checkedFlags(session, words, 'CLIENT_ERROR options flags too long', 'CLIENT_ERROR invalid or duplicate flag')
  if (flags === undefined) return
  const returned = returnedFlags(words, 2, (letter) => letter === 'k' ? shownKey(flags.key, flags.binaryKey) : undefined)
  if (returned === undefined) {
    session.fail(OPAQUE_TOO_LONG)
    return
  }
  const item = store.peek(flags.key)
  if (item === undefined || (flags.cas !== undefined && flags.cas !== BigInt(item.cas))) {
    store.counters.delete_misses++
    session.reply(`${item === undefined ? 'NF' : 'EX'}${returned}`)
    return
  }
  if (flags.stale) {
    if (flags.expiresAt !== undefined) item.expiresAt = flags.expiresAt
    item.stale = true
    item.tokenSent = false
    item.cas = store.nextCas()
  } else {
    item.slab.counters.delete_hits++
    store.unlink(item)
  }
  if (!flags.quiet) session.reply(`HD${returned}`)
}

/** `ma <key> <flag>*` → `VA <length> <flag>*` and the number, `HD`, `NF` or `EX`, with `<flag>*` */
function runMetaArithmetic(session: TextContext, words: Words): void {
  const { store } = session.engine
  const flags = checkedFlags(session, words, 'CLIENT_ERROR options flags too long', 'CLIENT_ERROR invalid or duplicate flag')
  if (flags === undefined) return
  const direction = flags.mode === undefined ? 'up' : COUNT_DIRECTIONS[flags.mode]
  if (direction === undefined) {
    session.fail('CLIENT_ERROR invalid mode for ma M token')
    return
  }
  const result = store.count(flags.key, flags.delta, direction === 'down', flags.cas)
  switch (result) {
    case 'NON_NUMERIC':
      session.fail('CLIENT_ERROR cannot increment or decrement non-numeric value')
      return
    case 'OUT_OF_MEMORY':
      session.fail('SERVER_ERROR out of memory')
      return
    case 'EXISTS':
      answerCount(session, words, flags, 'EX')
      return
    case 'NOT_FOUND':
      if (flags.vivify !== undefined) {
        createCounter(session, words, flags)
        return
      }
      if (direction === 'down') store.counters.decr_misses++
      else store.counters.incr_misses++
      answerCount(session, words, flags, 'NF')
      return
    default: {
      // A number that has grown is a new item, but `T` still goes to the one it took the place of.
      const { value, item, grew } = result
      answerCount(session, words, flags, { digits: String(value), item, grew, created: false })
    }
  }
}

function createCounter(session: TextContext, words: Words, flags: MetaFlags): void {
  const { store } = session.engine
  const item = store.createCounter(flags.key, flags.initial, 0)
  if (item === undefined) session.fail('SERVER_ERROR Out of memory allocating new item')
  else answerCount(session, words, flags, { digits: String(flags.initial), item, grew: false, created: true })
}

interface Counted { readonly digits: string; readonly item: Item; readonly grew: boolean; readonly created: boolean }

function answerCount(session: TextContext, words: Words, flags: MetaFlags, outcome: Counted | 'NF' | 'EX'): void {
  const counted = typeof outcome === 'string' ? undefined : outcome
  let expiresAt = counted?.item.expiresAt ?? 0
  const returned = returnedFlags(words, 2, (letter) => {
    if (letter === 'k') return shownKey(flags.key, flags.binaryKey)
    if (counted === undefined) return undefined
    switch (letter) {
      case 'T':
        expiresAt = flags.expiresAt!
        return undefined
      case 'N':
        if (counted.created) expiresAt = flags.vivify!
        return undefined
      case 't':
        return timeLeft(expiresAt, session.engine.store.lifetimes.clock)
      case 'c':
        return counted.item.cas
      default:
        return undefined
    }
  })
  if (counted !== undefined && !counted.grew) counted.item.expiresAt = expiresAt
  if (returned === undefined) session.fail(OPAQUE_TOO_LONG)
  else if (counted === undefined) session.reply(`${String(outcome)}${returned}`)
  else if (flags.quiet && !counted.created) return
  else session.reply(flags.value ? `VA ${counted.digits.length}${returned}\r\n${counted.digits}` : `HD${returned}`)
}

/** `me <key> [b]` → `ME <key> <name>=<value>*`, or `EN` */
function runMetaDebug(session: TextContext, words: Words): void {
  const { store } = session.engine
  const encoded = words[2] === 'b'
  const key = words[1] === undefined || words[1].length > MAX_KEY_LENGTH ? '' : encoded ? decodeKey(words[1]) : words[1]
  if (key === '') {
    session.reply(BAD_FORMAT)
    return
  }
  store.counters.cmd_meta++
  const item = store.peek(key)
  if (item === undefined) {
    session.reply('EN')
    return
  }
  const shown = item.binaryKey ? base64(item.key) : item.key
  session.reply(`ME ${shown} exp=${item.expiresAt === 0 ? -1 : store.lifetimes.clock - item.expiresAt} la=${store.lifetimes.clock - item.usedAt} `
    + `cas=${item.cas} fetch=${item.fetched ? 'yes' : 'no'} cls=${item.slab.id} size=${item.size}`)
}

function runMetaNoop(session: TextContext): void {
  session.reply('MN')
  session.flush()
}

/** The flags of mg, md and ma; `undefined` when the line was refused, and answered. */
function checkedFlags(session: TextContext, words: Words, tooMany: string, invalid?: string): MetaFlags | undefined {
  if (words[1]!.length > MAX_KEY_LENGTH) {
    session.fail(BAD_FORMAT)
    return undefined
  }
  if (words.length > MAX_META_WORDS) {
    session.fail(tooMany)
    return undefined
  }
  const flags = parseMetaFlags(words, 2, session.engine.store)
  if (typeof flags !== 'string') return flags
  session.fail(invalid ?? flags)
  return undefined
}

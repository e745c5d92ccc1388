/** Commands for the server's operator: they answer as memcached's do, and change what `stats settings` shows. */

import { parseDecimal, parseInt32, parseUint32 } from './c-numbers.ts'
import { MAX_CLASSES } from './slab-classes.ts'
import { BAD_FORMAT, muteIfAsked } from './text-command.ts'
import type { ItemStore } from './item-store.ts'
import type { TextCommand, TextContext } from './text-command.ts'

type Words = readonly string[]

const MEBIBYTE = 1024 * 1024

const WATCHABLE = new Set([
  'rawcmds', 'evictions', 'fetchers', 'mutations', 'sysevents', 'connevents', 'proxyreqs', 'proxyevents', 'proxyuser'
])

/** By their names. */
export const administration: Record<string, TextCommand> = {
  shutdown: { run: runShutdown },
  cache_memlimit: { least: 2, most: 3, run: runMemoryLimit },
  slabs: { run: runSlabs },
  lru: { least: 2, run: runLru },
  lru_crawler: { run: runCrawler },
  watch: { run: runWatch },
  extstore: { least: 2, run: runExtstore },
  refresh_certs: { run: runRefreshCerts }
}

/** `shutdown [graceful]` */
function runShutdown(session: TextContext, words: Words): void {
  if (!session.engine.settings.shutdownEnabled) {
    session.reply('ERROR: shutdown not enabled')
  } else if (words.length === 1 || (words.length === 2 && words[1] === 'graceful')) {
    session.close()
    session.engine.shutdown()
  } else {
    session.reply('CLIENT_ERROR invalid shutdown mode')
  }
}

/** `cache_memlimit <mebibytes> [noreply]` */
function runMemoryLimit(session: TextContext, words: Words): void {
  muteIfAsked(session, words)
  const limit = parseUint32(words[1]!)
  if (limit === undefined) session.reply('ERROR')
  else if (limit < 8) session.reply('MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m')
  else if (limit > 1_000_000_000) session.reply('MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes')
  else {
    session.engine.settings.memoryLimit = limit * MEBIBYTE
    session.engine.store.slabs.memoryLimit = limit * MEBIBYTE
    session.reply('OK')
  }
}

/** `slabs reassign <from> <to>`, `slabs automove <level>`, `slabs automove ratio <ratio>` */
function runSlabs(session: TextContext, words: Words): void {
  if (words.length === 4 && words[1] === 'reassign') {
    const from = parseInt32(words[2]!)
    const to = parseInt32(words[3]!)
    session.reply(from === undefined || to === undefined ? BAD_FORMAT : reassigned(session.engine.store, from, to))
  } else if (words.length >= 3 && words[1] === 'automove') {
    muteIfAsked(session, words)
    session.reply(setAutomove(session, words))
  } else {
    session.reply('ERROR')
  }
}

function reassigned({ slabs }: ItemStore, from: number, to: number): string {
  if (from === to) return 'SAME src and dst class are identical'
  const source = from === -1 ? slabs.classes.find(({ id, pages }) => id !== to && pages > 1)?.id : from
  const last = slabs.classes.length
  if (source === undefined || source < 0 || source > last || to < 0 || to > last) return 'BADCLASS invalid src or dst class id'
  const pages = slabs.classes[source - 1]?.pages ?? 0
  return pages < 2 ? 'NOSPARE source class has no spare pages' : 'OK'
}

function setAutomove(session: TextContext, words: Words): string {
  const { settings } = session.engine
  if (words[2] === 'ratio') {
    const ratio = words[3] === undefined ? undefined : parseDecimal(words[3])
    if (ratio === undefined) return 'ERROR'
    settings.slabAutomoveRatio = ratio
    return 'OK'
  }
  const level = parseUint32(words[2]!)
  if (level === undefined) return BAD_FORMAT
  if (level > 2) return 'ERROR'
  settings.slabAutomove = level
  return 'OK'
}

/** `lru tune <hot%> <warm%> <hot factor> <warm factor>`, `lru mode flat|segmented`, `lru temp_ttl <seconds>` */
function runLru(session: TextContext, words: Words): void {
  muteIfAsked(session, words)
  session.reply(setLru(session, words))
}

function setLru(session: TextContext, words: Words): string {
  const { settings } = session.engine
  if (words[1] === 'tune' && words.length >= 6) {
    const hot = parseUint32(words[2]!)
    const warm = parseUint32(words[3]!)
    const hotFactor = parseDecimal(words[4]!)
    const warmFactor = parseDecimal(words[5]!)
    if (hot === undefined || warm === undefined || hotFactor === undefined || warmFactor === undefined) return 'ERROR'
    if ((hot + warm) % 2 ** 32 > 80) return 'ERROR hot and warm pcts must not exceed 80'
    if (hotFactor <= 0 || warmFactor <= 0) return 'ERROR hot/warm age factors must be greater than 0'
    settings.hotLruPercent = hot
    settings.warmLruPercent = warm
    settings.hotMaxFactor = hotFactor
    settings.warmMaxFactor = warmFactor
    return 'OK'
  }
  if (words[1] === 'mode' && (words[2] === 'flat' || words[2] === 'segmented')) {
    settings.lruSegmented = words[2] === 'segmented'
    return 'OK'
  }
  if (words[1] === 'temp_ttl' && words[2] !== undefined) {
    const ttl = parseInt32(words[2])
    if (ttl === undefined) return 'ERROR'
    settings.temporaryTtl = ttl < 0 ? undefined : ttl
    return 'OK'
  }
  return 'ERROR'
}

/** `lru_crawler crawl|metadump <classes>`, `lru_crawler tocrawl|sleep <n>`, `lru_crawler enable|disable` */
function runCrawler(session: TextContext, words: Words): void {
  const { settings } = session.engine
  const argument = words[2]
  if (words.length === 3 && argument !== undefined) {
    switch (words[1]) {
      case 'crawl':
        runCrawl(session, argument)
        return
      case 'metadump':
        runMetadump(session, argument)
        return
      case 'tocrawl':
      case 'sleep':
        session.reply(setCrawler(session, words[1], parseUint32(argument)))
        return
      default:
    }
  } else if (words.length === 2 && (words[1] === 'enable' || words[1] === 'disable')) {
    const enable = words[1] === 'enable'
    const changed = settings.lruCrawler !== enable
    settings.lruCrawler = enable
    session.reply(changed ? 'OK' : `ERROR failed to ${enable ? 'start' : 'stop'} lru crawler thread`)
    return
  }
  session.reply('ERROR')
}

function setCrawler(session: TextContext, name: 'tocrawl' | 'sleep', value: number | undefined): string {
  const { settings } = session.engine
  if (value === undefined) return BAD_FORMAT
  if (name === 'tocrawl') {
    settings.lruCrawlerToCrawl = value
    return 'OK'
  }
  if (value > 1_000_000) return 'CLIENT_ERROR sleep must be one second or less'
  settings.lruCrawlerSleep = value
  return 'OK'
}

/** Nothing is left to do here for a crawler that looks for expired items. */
function runCrawl(session: TextContext, classes: string): void {
  const wanted = crawlable(classes)
  if (!session.engine.settings.lruCrawler) session.reply('CLIENT_ERROR lru crawler disabled')
  else if (classes === 'hash') session.reply('ERROR an unknown error happened')
  else session.reply(typeof wanted === 'string' ? wanted : 'OK')
}

/** One line an item, ended by LF alone. */
function runMetadump(session: TextContext, classes: string): void {
  const { store, settings } = session.engine
  const wanted = crawlable(classes)
  if (!settings.lruCrawler) session.reply('CLIENT_ERROR lru crawler disabled')
  else if (!settings.dumpEnabled) session.reply('ERROR metadump not allowed')
  else if (session.hasPending) session.reply('ERROR cannot pipeline other commands before metadump')
  else if (typeof wanted === 'string') session.reply(wanted)
  else {
    for (const slab of store.slabs.classes) {
      if (!wanted(slab.id)) continue
      for (const item of slab.items) {
        if (!store.isLive(item)) continue
        const expires = item.expiresAt === 0 ? -1 : store.lifetimes.toEpoch(item.expiresAt)
        session.peer.replies.write(`key=${urlEncoded(item.key)} exp=${expires} la=${store.lifetimes.toEpoch(item.usedAt)} cas=${item.cas} `
          + `fetch=${item.fetched ? 'yes' : 'no'} cls=${slab.id} size=${item.size}\n`)
      }
    }
    session.peer.replies.write('END\r\n')
    session.flush()
  }
}

/** Which classes `all`, `hash` or `1,2,3` names, or why none. */
function crawlable(classes: string): ((id: number) => boolean) | string {
  if (classes === 'all' || classes === 'hash') return () => true
  const ids = classes.split(',').filter((text) => text !== '').map(parseUint32)
  if (ids.length === 0) return 'NOTSTARTED no items to crawl'
  if (ids.some((id) => id === undefined || id < 1 || id >= MAX_CLASSES)) return 'BADCLASS invalid class id'
  return (id) => ids.includes(id)
}

function urlEncoded(key: string): string {
  return key.replace(/[^A-Za-z0-9\-._~]/gs, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}

/** `watch [<kind>…]`: a log would follow; nothing is ever logged here, but the connection is lost to commands. */
function runWatch(session: TextContext, words: Words): void {
  muteIfAsked(session, words)
  if (!session.engine.settings.watchEnabled) session.reply('CLIENT_ERROR watch commands not allowed')
  else if (session.hasPending) session.reply('ERROR cannot pipeline other commands before watch')
  else if (!words.slice(1).every((word) => WATCHABLE.has(word))) session.reply('ERROR')
  else {
    session.muted = false
    session.reply('OK')
    session.flush()
    session.ignoreInput()
  }
}

/** `extstore <setting> <value>`: settings of a storage that memcached was started without are taken all the same. */
function runExtstore(session: TextContext, words: Words): void {
  muteIfAsked(session, words)
  session.reply(setExtstore(session.engine.settings.extstore, words) ? 'OK' : 'ERROR')
}

function setExtstore(extstore: Record<string, number>, words: Words): boolean {
  const [, name, value, limit] = words
  if (name === undefined || value === undefined) return false
  if (name === 'free_memchunks') {
    const id = parseUint32(value)
    return id !== undefined && id < MAX_CLASSES && limit !== undefined && parseUint32(limit) !== undefined
  }
  const number = name === 'max_frag' ? parseDecimal(value) : parseUint32(value)
  if (number === undefined || !(`ext_${name}` in extstore)) return false
  extstore[`ext_${name}`] = name === 'drop_unread' ? Math.min(number, 1) : number
  return true
}

function runRefreshCerts(session: TextContext): void {
  session.peer.replies.write('Error TLS not enabled\r\n')
}

/** `stats` and its sections: the names and the order of memcached 1.6.18, with values that are true of this server. */

import { parseUint32 } from './c-numbers.ts'
import { MAX_CLASSES } from './slab-classes.ts'
import { sections, trackSizes } from './statistics-sections.ts'
import { BAD_FORMAT } from './text-command.ts'
import type { Engine } from './session.ts'
import type { Statistic } from './statistics-sections.ts'
import type { TextCommand, TextContext } from './text-command.ts'

const CACHEDUMP_LIMIT = 2 * 1024 * 1024
const LISTENER_ID = 22

/** The one command, by its name. */
export const statistics: Record<string, TextCommand> = { stats: { run: runStats } }

/** `stats [<section> [<argument>…]]` */
function runStats(session: TextContext, words: readonly string[]): void {
  const { engine } = session
  engine.store.sweep()
  const section = sections.get(words[1] ?? '')
  if (section !== undefined) {
    report(session, section(engine))
    return
  }
  switch (words[1]) {
    case 'conns':
      report(session, connectionStatistics(engine))
      break
    case 'extstore':
      report(session, [])
      break
    case 'sizes_enable':
    case 'sizes_disable':
      // One STAT line, with no END behind it.
      session.peer.replies.write(lines(trackSizes(engine, words[1] === 'sizes_enable')))
      break
    case 'reset':
      engine.store.resetCounters()
      engine.prefixes.reset()
      session.reply('RESET')
      break
    case 'detail':
      runDetail(session, words[2])
      break
    case 'cachedump':
      runCachedump(session, words)
      break
    default:
      session.reply('ERROR')
  }
}

function report(session: TextContext, statistics: readonly Statistic[]): void {
  session.peer.replies.write(`${lines(statistics)}END\r\n`)
}

function lines(statistics: readonly Statistic[]): string {
  return statistics.map(([name, value]) => `STAT ${name} ${value}\r\n`).join('')
}

/** `stats detail on|off|dump` */
function runDetail(session: TextContext, argument: string | undefined): void {
  const { settings, prefixes } = session.engine
  if (argument === 'on' || argument === 'off') {
    settings.detailEnabled = argument === 'on'
    session.reply('OK')
  } else if (argument === 'dump') {
    session.peer.replies.write(prefixes.dump())
  } else {
    session.reply('CLIENT_ERROR usage: stats detail on|off|dump')
  }
}

/** `stats cachedump <class> <limit>`: `ITEM <key> [<length> b; <expiry> s]`, newest first; a limit of 0 is none. */
function runCachedump(session: TextContext, words: readonly string[]): void {
  const { store, settings } = session.engine
  if (!settings.dumpEnabled) {
    session.reply('CLIENT_ERROR stats cachedump not allowed')
    return
  }
  if (words.length < 4) {
    session.reply('CLIENT_ERROR bad command line')
    return
  }
  const id = parseUint32(words[2]!)
  const limit = parseUint32(words[3]!)
  if (id === undefined || limit === undefined) {
    session.reply(BAD_FORMAT)
    return
  }
  if (id >= MAX_CLASSES) {
    session.reply('CLIENT_ERROR Illegal slab id')
    return
  }
  const slab = store.slabs.classes[id - 1]
  const items = slab === undefined ? [] : [...slab.items].filter((item) => !item.binaryKey).reverse()
  let text = ''
  for (const item of limit === 0 ? items : items.slice(0, limit)) {
    const expires = item.expiresAt === 0 ? 0 : store.lifetimes.toEpoch(item.expiresAt)
    const line = `ITEM ${item.key} [${item.data.length - 2} b; ${expires} s]\r\n`
    if (text.length + line.length + 6 > CACHEDUMP_LIMIT) break
    text += line
  }
  session.peer.replies.write(`${text}END\r\n`)
}

function connectionStatistics({ settings, store, peers }: Engine): Statistic[] {
  const listening = settings.path === undefined ? `tcp:${settings.host}:${settings.port}` : `unix:${settings.path}`
  const lines: Statistic[] = [
    [`${LISTENER_ID}:addr`, listening],
    [`${LISTENER_ID}:state`, 'conn_listening'],
    [`${LISTENER_ID}:secs_since_last_cmd`, store.lifetimes.uptime]
  ]
  for (const { id, address, lastCommandAt } of peers) {
    lines.push(
      [`${id}:addr`, address],
      [`${id}:listen_addr`, listening],
      [`${id}:state`, 'conn_parse_cmd'],
      [`${id}:secs_since_last_cmd`, store.lifetimes.clock - lastCommandAt]
    )
  }
  return lines
}

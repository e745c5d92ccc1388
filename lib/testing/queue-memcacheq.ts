/// <reference types="node" preserve="true" />

/** memcacheq 0.2.1: a memcached whose keys are queues. It knows no options: `jobs/open` is another queue. */

import { parseInt32 } from './c-numbers.ts'
import { refusing, runVersion, saying } from './queue-commands.ts'
import { clock, connections, statistics } from './queue-statistics.ts'
import { splitWords } from './text-command.ts'
import type { QueueCommand, QueueContext, QueueDialect } from './queue-dialect.ts'

const LONGEST_KEY = 250
/** From here on a queue's name is none for its file any more. */
const TOO_LONG_FOR_A_FILE = 250
/** Of an item, besides its key with a NUL, the end of its VALUE line, and its value with CRLF. */
const HEADER_BYTES = 8
const CRLF_BYTES = 2

const unknown = saying('ERROR')
const badFormat = saying('CLIENT_ERROR bad command line format')

/** `get <queue>+`: the first item of each. */
const runGet: QueueCommand = (session, [, ...keys]) => {
  const { store } = session
  if (keys.some((key) => key.length > LONGEST_KEY)) {
    badFormat(session, keys)
    return
  }
  for (const key of keys) {
    store.counters.gets++
    const queue = store.find(key)
    const item = queue?.take(false)
    if (queue === undefined || item === undefined) continue
    store.counters.hits++
    session.replyItem(key, item)
    queue.remove(item)
  }
  session.reply('END')
}

/** `set <queue> <flags> <any> <length>`, then the value. */
const runSet: QueueCommand = (session, words) => {
  const [, key = '', ...numbers] = words
  const [flags = 0, , length = 0] = numbers.map((number) => parseInt32(number) ?? 0)
  if (key.length > LONGEST_KEY) {
    badFormat(session, words)
    return
  }
  const size = HEADER_BYTES + key.length + 1 + ` ${flags} ${length}\r\n`.length + length + CRLF_BYTES
  if (size > session.engine.settings.maxItemSize) {
    session.reply('SERVER_ERROR out of memory storing object')
    session.swallow(length + CRLF_BYTES)
    return
  }
  session.upload(length, (data, endsWell) => {
    session.store.counters.sets++
    if (endsWell) store(session, key, data, flags)
    else session.reply('CLIENT_ERROR bad data chunk')
  })
}

function store(session: QueueContext, key: string, data: Buffer, flags: number): void {
  if (key.includes('/') || key.length >= TOO_LONG_FOR_A_FILE) {
    session.reply('NOT_STORED')
    return
  }
  session.store.queue(key).push(data, flags)
  session.store.counters.puts++
  session.reply('STORED')
}

const runDelete: QueueCommand = (session, [, key = '']) => {
  session.reply(session.store.delete(key) ? 'DELETED' : 'NOT_FOUND')
}

const general = statistics({
  general(session) {
    const { store: { counters }, engine } = session
    const [uptime, ...others] = clock(session, 2)
    const { user, system } = process.cpuUsage()
    return [
      ['pid', process.pid],
      uptime!,
      ...others,
      ['pointer_size', 64],
      ['rusage_user', (user / 1e6).toFixed(6)],
      ['rusage_system', (system / 1e6).toFixed(6)],
      ...connections(session),
      ['connection_structures', engine.peers.size + 1],
      ['get_cmds', counters.gets],
      ['get_hits', counters.hits],
      ['set_cmds', counters.sets],
      ['set_hits', counters.puts],
      ['bytes_read', engine.store.counters.bytes_read],
      ['bytes_written', engine.store.counters.bytes_written],
      ['threads', 1]
    ]
  }
})

/** How many items each queue was given, and how many it gave. */
const ofQueues: QueueCommand = (session) => {
  for (const { name, counters } of session.store.all) session.reply(`STAT ${name} ${counters.total}/${counters.taken}`)
  session.reply('END')
}

/** `stats [queue|reset]` */
const runStats: QueueCommand = (session, words) => {
  const [, section] = words
  if (section === undefined) {
    general(session, words)
  } else if (section === 'queue') {
    ofQueues(session, words)
  } else if (section === 'reset') {
    session.store.resetCounters()
    session.reply('RESET')
  } else {
    unknown(session, words)
  }
}

/** memcacheq, for the table of dialects. */
export const memcacheq: QueueDialect = {
  words: splitWords,
  commands: new Map([
    ['get', withWords(2, Infinity, runGet)],
    ['set', withWords(5, 5, runSet)],
    ['delete', withWords(2, 3, runDelete)],
    ['stats', runStats],
    ['version', withWords(1, 1, runVersion)],
    ['verbosity', withWords(2, 2, saying('OK'))],
    ['quit', withWords(1, 1, refusing())]
  ]),
  unknown,
  // Nothing is ever open.
  giveBack: () => undefined,
  hasGhosts: false,
  endsWaits: false
}

/** A line of another length is none of this command's. */
function withWords(least: number, most: number, command: QueueCommand): QueueCommand {
  return (session, words) => {
    if (words.length >= least && words.length <= most) command(session, words)
    else unknown(session, words)
  }
}

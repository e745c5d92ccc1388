import { binary } from '../../drivers/binary.ts'
import { meta } from '../../drivers/meta.ts'
import { text } from '../../drivers/text.ts'
import type { Op } from '../../lib/commands.ts'
import type { DriverFactory } from '../../lib/driver.ts'
import { OPCODES, packet, packetsIn, uint32, uint64, type PacketParts } from './packets.ts'
import { answering, type Peer } from './scripted-server.ts'

/**
 * The protocols from a scripted server's side: what a request asks, and the bytes that say an answer to it. A script is
 * written once, in questions and answers, and speaks every protocol.
 */

/** What a request asks, as far as scripts care. */
export interface Asked {
  readonly op: Op
  readonly keys: readonly string[]
}

/** A value that the server has. */
export interface Found {
  readonly value: string
  readonly flags?: number
  readonly cas?: bigint
}

/** An answer that is a word, or none where the protocol has a status. */
export type Word = 'stored' | 'not-stored' | 'exists' | 'not-found' | 'deleted' | 'touched' | 'ok'

/** Values by the place of their keys, a word, a count, statistics, a version, or what is the matter with the server. */
export type Answer =
  | readonly (Found | undefined)[]
  | Word
  | bigint
  | ReadonlyMap<string, string>
  | { readonly version: string }
  | { readonly trouble: string }

/** A protocol, and the driver that speaks it. */
export interface Dialect {
  readonly name: 'text' | 'binary' | 'meta'
  readonly driver: DriverFactory
  /** What this request asks. */
  readonly asked: (request: string) => Asked
  /** The bytes of this answer to it. */
  readonly said: (request: string, answer: Answer) => string
}

const TEXT_OPS: { readonly [verb: string]: Op } = {
  gat: 'get', gats: 'get', delete: 'delete', touch: 'touch', incr: 'count', decr: 'count', stats: 'stats', version: 'version', verbosity: 'verbosity',
  flush_all: 'flush', set: 'store', add: 'store', replace: 'store', append: 'store', prepend: 'store', cas: 'store',
}
const TEXT_WORDS = { stored: 'STORED', 'not-stored': 'NOT_STORED', exists: 'EXISTS', 'not-found': 'NOT_FOUND', deleted: 'DELETED', touched: 'TOUCHED', ok: 'OK' } as const

function askedInText(request: string): Asked {
  const [verb = '', ...words] = wordsOf(request)
  if (/^gets?$/.test(verb)) return { op: words.length > 1 ? 'getMulti' : 'get', keys: words }
  return { op: TEXT_OPS[verb] ?? 'version', keys: words.slice(/^gats?$/.test(verb) ? 1 : 0).slice(0, 1) }
}

function saidInText(request: string, answer: Answer): string {
  if (!isItems(answer)) return saidOfServer(answer) ?? `${typeof answer === 'bigint' ? answer : TEXT_WORDS[answer as Word]}\r\n`
  const { keys } = askedInText(request)
  const withId = /^(?:gets|gats) /.test(request)
  const values = answer.map((found, place) => {
    if (found === undefined) return ''
    const { value, flags = 0, cas = 1n } = found
    return `VALUE ${keys[place]} ${flags} ${value.length}${withId ? ` ${cas}` : ''}\r\n${value}\r\n`
  })
  return `${values.join('')}END\r\n`
}

const META_OPS: { readonly [verb: string]: Op } = { ms: 'store', md: 'delete', ma: 'count' }
const META_WORDS = { stored: 'HD', 'not-stored': 'NS', exists: 'EX', 'not-found': 'NF', deleted: 'HD', touched: 'HD', ok: 'OK' } as const

function askedInMeta(request: string): Asked {
  const [verb = '', key = '', ...flags] = wordsOf(request)
  if (verb !== 'mg') return { op: META_OPS[verb] ?? askedInText(request).op, keys: [key] }
  if (flags.includes('q')) return { op: 'getMulti', keys: request.split('\r\n').slice(0, -2).map((line) => wordsOf(line)[1] ?? '') }
  return { op: flags.includes('l') ? 'metaGet' : flags.includes('v') ? 'get' : 'touch', keys: [key] }
}

function saidInMeta(request: string, answer: Answer): string {
  const lines = request.split('\r\n')
  const many = askedInMeta(request).op === 'getMulti'
  const end = many ? 'MN\r\n' : ''
  if (isItems(answer)) {
    const replies = answer.map((found, place) => {
      if (found === undefined) return many ? '' : `EN${metaFlags(lines[place], undefined, 'O')}\r\n`
      return `VA ${found.value.length}${metaFlags(lines[place], found, 'Ofcstlh')}\r\n${found.value}\r\n`
    })
    return replies.join('') + end
  }
  const ofServer = saidOfServer(answer)
  if (ofServer !== undefined) return ofServer + end
  const opaque = metaFlags(lines[0], undefined, 'O')
  if (typeof answer === 'bigint') return `VA ${String(answer).length}${opaque}\r\n${answer}\r\n`
  return `${answer === 'not-found' && request.startsWith('mg') ? 'EN' : META_WORDS[answer as Word]}${opaque}\r\n`
}

/** Those of the flags in a request that its reply has, too, in the request's order. */
function metaFlags(line = '', found: Found | undefined, letters: string): string {
  const known: { readonly [letter: string]: string } = {
    f: String(found?.flags ?? 0), c: String(found?.cas ?? 1n), s: String(found?.value.length), t: '-1', l: '5', h: '1',
  }
  const flags = wordsOf(line).slice(2).filter((flag) => letters.includes(flag[0] ?? ' '))
  return flags.map((flag) => ` ${flag.startsWith('O') ? flag : `${flag}${known[flag]}`}`).join('')
}

const { get, getkq, gat, add, replace, noop, stat } = OPCODES
const BINARY_OPS: { readonly [opcode: number]: Op } = {
  [get]: 'get', [gat]: 'get', [getkq]: 'getMulti', [noop]: 'getMulti', [OPCODES.delete]: 'delete', [OPCODES.touch]: 'touch', [OPCODES.incr]: 'count',
  [OPCODES.decr]: 'count', [stat]: 'stats', [OPCODES.version]: 'version', [OPCODES.flush]: 'flush',
}

function askedInBinary(request: string): Asked {
  const packets = packetsIn(request) ?? []
  const op = BINARY_OPS[packets[0]?.opcode ?? -1] ?? 'store'
  return { op, keys: packets.filter(({ opcode }) => opcode !== noop).map(({ key }) => key) }
}

function saidInBinary(request: string, answer: Answer): string {
  const packets = packetsIn(request) ?? []
  const reply = (place: number, parts: Omit<PacketParts, 'opcode'> = {}): string => {
    const { opcode = -1, opaque = 0 } = packets.at(place) ?? {}
    return packet({ opcode, opaque, ...parts })
  }
  const many = packets.at(-1)?.opcode === noop
  const end = many ? reply(-1) : ''
  if (isItems(answer)) {
    const replies = answer.map((found, place) => {
      if (found === undefined) return many ? '' : reply(place, { status: 1, value: 'Not found' })
      const { value, flags = 0, cas = 1n } = found
      return reply(place, { extras: uint32(flags), value, cas, key: many ? (packets[place]?.key ?? '') : '' })
    })
    return replies.join('') + end
  }
  if (typeof answer === 'bigint') return reply(0, { value: uint64(answer) })
  if (typeof answer === 'string') return reply(0, { status: statusOf(answer as Word, packets[0]?.opcode) })
  if (isStatistics(answer)) return Array.from(answer, ([key, value]) => reply(0, { key, value })).join('') + reply(0)
  return 'version' in answer ? reply(0, { value: answer.version }) : reply(0, { status: 0x84, value: answer.trouble }) + end
}

function statusOf(word: Word, opcode: number | undefined): number {
  if (word === 'not-found') return 1
  if (word === 'exists') return 2
  if (word !== 'not-stored') return 0
  return opcode === add ? 2 : opcode === replace ? 1 : 5
}

function wordsOf(request: string): string[] {
  return (request.split('\r\n', 1)[0] ?? '').split(' ')
}

function isItems(answer: Answer): answer is readonly (Found | undefined)[] {
  return Array.isArray(answer)
}

function isStatistics(answer: object): answer is ReadonlyMap<string, string> {
  return answer instanceof Map
}

/** What text and meta say alike, of the server itself. */
function saidOfServer(answer: Answer): string | undefined {
  if (typeof answer !== 'object' || isItems(answer)) return undefined
  if (isStatistics(answer)) return `${Array.from(answer, ([name, value]) => `STAT ${name} ${value}\r\n`).join('')}END\r\n`
  return 'version' in answer ? `VERSION ${answer.version}\r\n` : `SERVER_ERROR ${answer.trouble}\r\n`
}

/** All of them. */
export const DIALECTS: readonly Dialect[] = [
  { name: 'text', driver: text, asked: askedInText, said: saidInText },
  { name: 'binary', driver: binary, asked: askedInBinary, said: saidInBinary },
  { name: 'meta', driver: meta, asked: askedInMeta, said: saidInMeta },
]

/** A script that answers every request with what `answer` says to what it asks. */
export function speaking(dialect: Dialect, answer: (asked: Asked) => Answer): (peer: Peer) => Promise<void> {
  return answering((request) => dialect.said(request, answer(dialect.asked(request))))
}

/** What a well-behaved server answers: to a key, a value that names the key. */
export function echoed({ op, keys }: Asked): Answer {
  switch (op) {
    case 'get':
    case 'getMulti':
    case 'metaGet':
      return keys.map((key) => ({ value: `of ${key}`, cas: 7n }))
    case 'store':
      return 'stored'
    case 'delete':
      return 'deleted'
    case 'touch':
      return 'touched'
    case 'count':
      return 12n
    case 'stats':
      return new Map([['a', '1'], ['b', '2']])
    case 'version':
      return { version: '1' }
    default:
      return 'ok'
  }
}

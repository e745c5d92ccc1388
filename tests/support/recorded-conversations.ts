import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { binary } from '../../drivers/binary.ts'
import { meta } from '../../drivers/meta.ts'
import { Client, MemcacheClientError, MemcacheServerError, MemcacheSocketError, MemcacheValueError, type MemcacheError } from '../../lib/index.ts'
import { startScripted, type Peer } from './scripted-server.ts'

/** Whole conversations of somebody with a queue server or a proxy, had once more with a client of ours, whose answers are the recorded ones. */

type Runs = readonly (readonly [string, number])[]

interface Step {
  readonly conn?: string
  readonly send?: string
  readonly send_rle?: Runs
  readonly recv?: string | null
  readonly recv_rle?: Runs
  readonly closed?: string
  readonly summary?: string
}

/** What was recorded of a server in one go. */
export interface Conversation {
  readonly server: string
  readonly case: string
  readonly steps: readonly Step[]
}

/** One answer of a server: bytes, and whether it closes the connection behind them. */
export interface Answer {
  readonly bytes: string
  readonly closes?: boolean
  /** How many requests it answers. */
  readonly requests?: number
}

/** Gives these answers one after the other, whichever connection asks; then answers `version` alone. */
export function playing(answers: readonly Answer[]): (peer: Peer) => Promise<void> {
  const left = [...answers]
  return async (peer) => {
    for (;;) {
      const { bytes, closes = false, requests = 1 } = left[0] ?? { bytes: 'VERSION the end\r\n' }
      for (let count = 0; count < requests; count += 1) await peer.request()
      left.shift()
      peer.send(bytes)
      if (closes) return peer.fin()
    }
  }
}

/** All that is recorded in a file of fixtures. */
export function conversations(file: 'queues.jsonl' | 'proxies.jsonl'): Conversation[] {
  return readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Conversation)
}

/** What a client of ours calls to have asked these bytes. */
interface Call {
  readonly command: string
  readonly driver: 'text' | 'meta' | 'binary'
  readonly run: (client: Client) => Promise<unknown>
  /** What the next whole answer in these bytes is, and how long; read in the simplest way there is. */
  readonly read: (bytes: string) => { readonly length: number; readonly result: unknown }
}

interface Turn {
  readonly calls: readonly Call[]
  readonly answer: Answer
}

const REFUSAL = /^(ERROR|CLIENT_ERROR|SERVER_ERROR)/

/** A line, or what it refuses with. */
function readLine(results: { readonly [line: string]: unknown }): Call['read'] {
  return (bytes) => {
    const line = bytes.slice(0, bytes.indexOf('\r\n'))
    return { length: line.length + 2, result: REFUSAL.test(line) ? { refusal: line } : line in results ? results[line] : { other: line } }
  }
}

/** Values with their cas ids, or the first line that is neither a value nor END. */
function readValues(bytes: string): { length: number; result: [key: string, value: string, cas: string | undefined][] | { refusal: string } } {
  const values: [string, string, string | undefined][] = []
  let at = 0
  for (;;) {
    const line = bytes.slice(at, bytes.indexOf('\r\n', at))
    at += line.length + 2
    if (line === 'END') return { length: at, result: values }
    if (!line.startsWith('VALUE ')) return { length: at, result: { refusal: line } }
    const [, key = '', , length, cas] = line.split(' ')
    values.push([key, bytes.slice(at, at + Number(length)), cas])
    at += Number(length) + 2
  }
}

function readStatistics(bytes: string): { length: number; result: unknown } {
  const first = readLine({ END: [] })(bytes)
  if (!('other' in Object(first.result))) return first // refused, or none
  const end = bytes.indexOf('END\r\n')
  const names = Array.from(bytes.slice(0, end).matchAll(/^\S+ (\S+)/gm), ([, name]) => name)
  return { length: end + 'END\r\n'.length, result: names }
}

/** Values as bytes that are comparable with those in a recording. */
function plain(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString('latin1') : typeof value === 'string' ? Buffer.from(value).toString('latin1') : String(value)
}

/** A get of one key: whatever key the value is named by. */
function getCall(verb: string, key: Buffer, ttl: number): Call {
  const withId = verb.endsWith('s')
  return {
    command: verb,
    driver: 'text',
    run: async (client) => {
      if (!withId) {
        const value = await (verb === 'gat' ? client.gat(key, ttl) : client.get(key))
        return value === undefined ? undefined : [plain(value)]
      }
      const found = await (verb === 'gats' ? client.gats(key, ttl) : client.gets(key))
      return found && [plain(found.value), ...(found.cas === undefined ? [] : [String(found.cas)])]
    },
    read: (bytes) => {
      const { length, result } = readValues(bytes)
      if (!Array.isArray(result)) return { length, result }
      const [found] = result
      return { length, result: found && [found[1], ...(withId && found[2] !== undefined ? [found[2]] : [])] }
    },
  }
}

function getMultiCall(verb: string, keys: readonly string[]): Call {
  const withId = verb === 'gets'
  return {
    command: withId ? 'getsMulti' : 'getMulti',
    driver: 'text',
    run: async (client) => {
      const named = keys.map((key) => Buffer.from(key, 'latin1').toString())
      if (!withId) return Array.from(await client.getMulti(named), ([key, value]) => [key, plain(value)]).sort()
      return Array.from(await client.getsMulti(named), ([key, { value, cas }]) => [key, plain(value), String(cas)]).sort()
    },
    read: (bytes) => {
      const { length, result } = readValues(bytes)
      return { length, result: Array.isArray(result) ? result.map(([key, value, cas]) => (withId ? [key, value, cas] : [key, value])).sort() : result }
    },
  }
}

/** What of meta a client of ours asks with the same word, in a form of its own: only refusals of it can be played. */
function metaCall(verb: string, key: Buffer, data: string | undefined): Call | undefined {
  const named = { driver: 'meta', read: readLine({}) } as const
  if (key.length === 0) return undefined
  if (verb === 'mg') return { ...named, command: 'get', run: (client) => client.get(key) }
  if (verb === 'md') return { ...named, command: 'delete', run: (client) => client.delete(key) }
  if (verb === 'ma') return { ...named, command: 'incr', run: (client) => client.incr(key) }
  return data === undefined ? undefined : { ...named, command: 'set', run: (client) => client.set(key, Buffer.from(data, 'latin1')) }
}

const NOREPLY = 'ours waits for every reply; and behind a noreply that is answered all the same, no answer is to what was asked'

/** The call that makes this line and what stands behind it; or why it is none of ours. */
function callOf(line: string, data: string | undefined): Call | string {
  const [verb = '', ...words] = line.split(' ')
  const key = Buffer.from(words[0] ?? '', 'latin1')
  if (words.includes('noreply')) return NOREPLY
  if (words.some((word) => word === '') || /[\x00-\x1f\x7f]/.test(line)) return 'ours sends no such blanks or control characters'
  if (words.some((word) => word.length > 250)) return 'ours refuses a key of 251 bytes'
  const malformed = `ours says "${verb}" in its one form`
  if (/^(set|add|replace|append|prepend|cas)$/.test(verb)) {
    if (data === undefined || words.length !== (verb === 'cas' ? 5 : 4)) return malformed
    const ttl = Number(words[2]) > 1000 ? 0 : Number(words[2])
    const value = Buffer.from(data, 'latin1')
    const read = readLine({ STORED: true, NOT_STORED: false, EXISTS: false, NOT_FOUND: false })
    if (verb === 'cas') return { command: verb, driver: 'text', run: (client) => client.cas(key, value, { ttl, cas: BigInt(words[4]!) }), read }
    return { command: verb, driver: 'text', run: (client) => client[verb as 'set'](key, value, { ttl }), read }
  }
  const one = words.length === 1
  const named = { command: verb, driver: 'text' } as const
  switch (verb) {
    case 'get':
    case 'gets':
      if (words.length === 0) return malformed
      if (new Set(words).size < words.length) return 'ours asks for each key once'
      return one ? getCall(verb, key, 0) : getMultiCall(verb, words)
    case 'gat':
    case 'gats':
      if (words.length > 2) return `ours says "${verb}" for one key`
      return words.length === 2 ? getCall(verb, Buffer.from(words[1]!, 'latin1'), Number(words[0])) : malformed
    case 'delete':
      return one ? { ...named, run: (client) => client.delete(key), read: readLine({ DELETED: true, NOT_FOUND: false, END: true }) } : malformed
    case 'version':
      return { ...named, run: (client) => client.version().then((version) => ({ other: `VERSION ${version}` })), read: readLine({}) }
    case 'flush_all':
      return words.length === 0 ? { ...named, command: 'flushAll', run: (client) => client.flushAll(), read: readLine({ OK: true, 'Flushed all queues.': true }) } : malformed
    case 'verbosity':
      return one ? { ...named, run: (client) => client.verbosity(Number(words[0])), read: readLine({ OK: true }) } : malformed
    case 'stats':
      return { ...named, run: (client) => client.stats(words[0]).then((map) => [...map.keys()]), read: readStatistics }
    case 'incr':
    case 'decr':
      if (words.length !== 2 || !/^\d{1,20}$/.test(words[1]!)) return malformed
      return { ...named, run: (client) => client[verb](key, BigInt(words[1]!)).then((count) => (count === undefined ? undefined : { other: String(count) })), read: readLine({ NOT_FOUND: undefined }) }
    case 'touch':
      if (words.length !== 2 || !/^-?\d+$/.test(words[1]!)) return malformed
      return { ...named, run: (client) => client.touch(key, Number(words[1])), read: readLine({ TOUCHED: true, NOT_FOUND: false }) }
    case 'mn':
    case 'me':
      return `ours sends no "${verb}" by itself`
    case 'mg':
      if (words.includes('q')) return 'ours asks for several keys with its own numbers'
      return metaCall(verb, key, data) ?? malformed
    case 'ms':
    case 'md':
    case 'ma':
      return metaCall(verb, key, data) ?? malformed
    case 'flush':
      return one ? { ...named, command: 'flush', run: (client) => client.queue(key.toString()).flush(), read: readLine({ END: true }) } : malformed
    default:
      return 'ours has no such command'
  }
}

/** The calls that make these bytes; or why ours is no client that would send them. */
function callsOf(bytes: string): Call[] | string {
  if (bytes.startsWith('\x80')) return [{ command: 'get', driver: 'binary', run: (client) => client.get('a'), read: () => ({ length: 0, result: undefined }) }]
  const calls: Call[] = []
  for (let rest = bytes; rest !== '';) {
    const end = rest.indexOf('\r\n')
    if (end === -1) return 'ours ends every line with CRLF, and sends a command whole'
    const line = rest.slice(0, end)
    rest = rest.slice(end + 2)
    const length = /^(?:set|add|replace|append|prepend|cas) \S+ \d+ -?\d+ (\d+)(?: \d+)?$/.exec(line)?.[1] ?? /^ms \S+ (\d+)/.exec(line)?.[1]
    const data = length === undefined ? undefined : rest.slice(0, Number(length))
    if (data !== undefined) {
      if (rest.slice(data.length, data.length + 2) !== '\r\n') return 'ours sends as much data as it says'
      if (data.length > 3_000_000) return 'a scripted server takes long to read 8 MiB'
      rest = rest.slice(data.length + 2)
    }
    const call = callOf(line, data)
    if (typeof call === 'string') return call
    calls.push(call)
  }
  return calls.length === 0 ? 'ours sends no empty line' : calls
}

function unroll(text: string | null | undefined, runs: Runs | undefined): string {
  return text ?? runs?.map(([piece, times]) => piece.repeat(times)).join('') ?? ''
}

/** The turns that ours can have too, and why it does not have the others. */
function turnsOf({ steps }: Conversation): { turns: Turn[]; reasons: string[] } {
  const turns: Turn[] = []
  const reasons: string[] = []
  for (const [index, step] of steps.entries()) {
    if (step.summary !== undefined) reasons.push('a summary is recorded, not the bytes')
    if (step.send === undefined && step.send_rle === undefined) continue
    const calls = callsOf(unroll(step.send, step.send_rle))
    const sameConnection = steps.slice(index + 1).filter((each) => each.conn === step.conn && each.conn !== undefined)
    const [answer, then] = sameConnection
    const bytes = answer === undefined ? '' : unroll(answer.recv, answer.recv_rle)
    const closes = then?.closed !== undefined
    if (typeof calls === 'string') reasons.push(calls)
    if (calls === NOREPLY) break
    if (typeof calls === 'string') continue
    if (answer === undefined || !('recv' in answer || 'recv_rle' in answer)) reasons.push('nothing is recorded of what came back')
    else if (calls.some(({ driver }) => driver === 'meta') && (calls.length > 1 || (bytes !== '' && !REFUSAL.test(bytes)))) reasons.push('ours asks for a number in each reply of meta, which was not asked for when this was recorded')
    else if (bytes === '' && !closes) reasons.push('the server is silent: a deadline, as in the tests of faults')
    else turns.push({ calls, answer: { bytes, closes, requests: calls.length } })
  }
  if (turns.length === 0 && reasons.length === 0) reasons.push('nothing is sent')
  return { turns, reasons }
}

/** How a conversation went. */
export interface Played {
  /** How many turns of it a client of ours has had. */
  readonly count: number
  /** Why it has not had the others. */
  readonly reasons: readonly string[]
  /** What it made of an answer that is not what was answered. */
  readonly problems: readonly string[]
}

/** Has a client of ours have a conversation, as far as it is one that it could have. */
export async function playConversation(conversation: Conversation): Promise<Played> {
  const { turns, reasons } = turnsOf(conversation)
  const problems: string[] = []
  for (const kind of ['text', 'meta', 'binary'] as const) {
    const these = turns.filter(({ calls }) => calls.some((call) => call.driver === kind))
    if (these.length > 0) problems.push(...(await playTurns(these, kind)))
  }
  return { count: turns.length, reasons, problems }
}

async function playTurns(turns: readonly Turn[], kind: Call['driver']): Promise<string[]> {
  const problems: string[] = []
  const server = await startScripted(playing(turns.map(({ answer }) => answer)))
  const client = new Client({ port: server.port, timeout: 5000, maxValueLength: 10_000_000, ...(kind === 'text' ? {} : { driver: { meta, binary }[kind] }) })
  for (const { calls, answer } of turns) {
    let { bytes } = answer
    let lost = false
    const results = await Promise.all(calls.map((call) => call.run(client).catch((error: MemcacheError) => error)))
    for (const [place, { command, read }] of calls.entries()) {
      const result = results[place]
      const wrong = (expected: unknown): unknown => problems.push(`${command}: ${show(result)}, not ${show(expected)}`)
      if (bytes === '' || lost) {
        if (!(result instanceof MemcacheSocketError && result.command === command && result.sent && /closed|no answer/.test(result.message))) wrong('an error that says that there was no answer')
        continue
      }
      const expected = read(bytes)
      bytes = bytes.slice(expected.length)
      const refused = (expected.result as { refusal?: string } | undefined)?.refusal
      if (refused === undefined) {
        // What was stored with flags of another client is not for ours to decode.
        if (result instanceof MemcacheValueError && /^VALUE \S+ [1-9]/.test(answer.bytes)) continue
        if (JSON.stringify(result) !== JSON.stringify(expected.result)) wrong(expected.result)
        continue
      }
      const ErrorClass = refused.startsWith('SERVER_ERROR') ? MemcacheServerError : MemcacheClientError
      if (!(result instanceof ErrorClass && result.command === command)) wrong(refused)
      lost ||= /Multi$/.test(command) || (ErrorClass === MemcacheClientError && /^(set|add|replace|append|prepend|cas)$/.test(command)) || / too long|bad command line/.test(refused)
    }
    // The client has to see the end of the connection before it can be expected not to use it.
    if (answer.closes === true) for (let turn = 0; client.isConnected() && turn < 1000; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  }
  if (kind !== 'binary') {
    const last = await client.version().catch((error: unknown) => error)
    if (last !== 'the end') problems.push(`the client does not go on: ${show(last)}`)
  }
  await client.close()
  await server.close()
  return problems
}

function show(result: unknown): string {
  return result instanceof Error ? String(result) : String(JSON.stringify(result)).slice(0, 200)
}

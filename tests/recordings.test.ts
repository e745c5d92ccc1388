import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { text, textProtocol } from '../drivers/text.ts'
import { ByteReader } from '../lib/byte-reader.ts'
import type { Item, Op, Request, StoreMode } from '../lib/commands.ts'
import { more } from '../lib/driver.ts'
import { MemcacheClosedError, MemcacheDriverError, MemcacheError, MemcacheProtocolError } from '../lib/errors.ts'
import { endpointOf, resolveOptions } from '../lib/options.ts'
import { encoded, exchangeOf } from './support/exchanges.ts'
import { startScripted } from './support/scripted-server.ts'

/** What real servers have answered, cut at every byte: however a reply arrives, it is the same reply. */

interface Exchange {
  readonly name: string
  readonly request: string
  readonly response: string
}

interface MemcachedStep {
  readonly request: string
  readonly response: string
}

interface MemcachedRecording extends MemcachedStep {
  readonly protocol: string
  readonly case: string
  readonly steps?: readonly MemcachedStep[]
}

type Runs = readonly (readonly [string, number])[]

interface ConversationStep {
  readonly conn?: string
  readonly send?: string
  readonly send_rle?: Runs
  readonly recv?: string | null
  readonly recv_rle?: Runs
}

interface Conversation {
  readonly server: string
  readonly case: string
  readonly steps: readonly ConversationStep[]
}

function lines<T>(file: string): T[] {
  const content = readFileSync(new URL(`fixtures/${file}`, import.meta.url), 'utf8')
  return content.trim().split('\n').map((line) => JSON.parse(line) as T)
}

function memcachedExchanges(): Exchange[] {
  return lines<MemcachedRecording>('memcached.jsonl')
    .filter(({ protocol }) => protocol === 'text')
    .flatMap(({ steps, ...whole }) => (steps ?? [whole]).map(({ request, response }) => ({ name: `memcached: ${whole.case}`, request, response })))
}

/** Each piece that was sent with the one that was received next on the same connection. */
function conversationExchanges(file: string): Exchange[] {
  const unroll = (plain: string | null | undefined, runs: Runs | undefined): string => plain ?? runs?.map(([piece, times]) => piece.repeat(times)).join('') ?? ''
  const exchanges: Exchange[] = []
  for (const { server, case: name, steps } of lines<Conversation>(file)) {
    const asked = new Map<string, string>()
    for (const { conn = '', send, send_rle, recv, recv_rle } of steps) {
      if (send !== undefined || send_rle !== undefined) asked.set(conn, (asked.get(conn) ?? '') + unroll(send, send_rle))
      if (recv === undefined && recv_rle === undefined) continue
      exchanges.push({ name: `${server}: ${name}`, request: asked.get(conn) ?? '', response: unroll(recv, recv_rle) })
      asked.delete(conn)
    }
  }
  return exchanges
}

const exchanges = [...memcachedExchanges(), ...conversationExchanges('queues.jsonl'), ...conversationExchanges('proxies.jsonl')].filter(({ response }) => response !== '')

/** The requests of a client that are these bytes; `undefined` where no client of ours would send them. */
function requestsOf(bytes: string): Request[] | undefined {
  const requests: Request[] = []
  let rest = bytes
  while (rest !== '') {
    const end = rest.indexOf('\r\n')
    if (end === -1) return undefined
    const line = rest.slice(0, end)
    rest = rest.slice(end + 2)
    const words = line.split(' ')
    if (words.some((word) => word === '' || word === 'noreply' || /[\x00-\x1f\x7f]/.test(word))) return undefined
    const store = /^(set|add|replace|append|prepend|cas) (\S+) (\d+) (-?\d+) (\d+)(?: (\d+))?$/.exec(line)
    if (store !== null) {
      const [, mode, key, flags, expires, length, cas] = store
      const size = Number(length)
      if ((mode === 'cas') !== (cas !== undefined) || rest.slice(size, size + 2) !== '\r\n') return undefined
      const item = { value: Buffer.from(rest.slice(0, size), 'latin1'), flags: Number(flags), cas: cas === undefined ? undefined : BigInt(cas) }
      requests.push({ op: 'store', mode: mode as StoreMode, key: key as string, item, expires: Number(expires) })
      rest = rest.slice(size + 2)
      continue
    }
    if (line.length > 2046) return undefined // the client sends several lines
    const request = lineRequest(words)
    if (request === undefined) return undefined
    requests.push(request)
  }
  return requests
}

function lineRequest([verb, ...words]: readonly string[]): Request | undefined {
  const [first = '', second = ''] = words
  const number = /^\d{1,20}$/
  switch (verb) {
    case 'get':
    case 'gets':
      if (words.length === 0 || new Set(words).size < words.length) return undefined
      return words.length === 1 ? { op: 'get', key: first, cas: verb === 'gets' } : { op: 'getMulti', keys: words, cas: verb === 'gets' }
    case 'gat':
    case 'gats':
      return words.length === 2 && /^-?\d+$/.test(first) ? { op: 'get', key: second, cas: verb === 'gats', touch: Number(first) } : undefined
    case 'delete':
      return words.length === 1 ? { op: 'delete', key: first } : undefined
    case 'touch':
      return words.length === 2 && /^-?\d+$/.test(second) ? { op: 'touch', key: first, expires: Number(second) } : undefined
    case 'incr':
    case 'decr':
      return words.length === 2 && number.test(second) ? { op: 'count', key: first, delta: BigInt(second), down: verb === 'decr' } : undefined
    case 'flush_all':
      return words.length === 0 || (words.length === 1 && number.test(first)) ? { op: 'flush', delay: Number(first) } : undefined
    case 'stats':
      return /^sizes_/.test(first) ? undefined : { op: 'stats', section: words.join(' ') }
    case 'version':
      return words.length === 0 ? { op: 'version' } : undefined
    case 'verbosity':
      return words.length === 1 && number.test(first) ? { op: 'verbosity', level: Number(first) } : undefined
    default:
      return undefined
  }
}

/** What was made of a reply, so that it can be compared. */
function show(result: unknown): string {
  if (result === undefined) return 'nothing'
  if (result instanceof MemcacheError) return `${result.name}: ${result.message}`
  if (result instanceof Map) return JSON.stringify([...result])
  if (Array.isArray(result)) return `[${result.map(show).join(', ')}]`
  if (typeof result !== 'object' || result === null) return String(result)
  const { value, flags, cas } = result as Item
  const bytes = value.length > 1000 ? `${value.length} bytes, ${createHash('sha1').update(value).digest('hex')}` : JSON.stringify(value.toString('latin1'))
  return `${flags} ${cas} ${bytes}`
}

/** The frames in these pieces, up to the first that is none. */
function framesOf(pieces: Iterable<Buffer>): string[] {
  const found: string[] = []
  try {
    eachFrame(pieces, (frame) => {
      if (typeof frame === 'string') found.push(frame)
      else {
        const request: Request<'get'> = { op: 'get', key: 'any', cas: false }
        const fold = exchangeOf(textProtocol, request).decode(request, 0)
        fold(frame)
        found.push(`${frame.bytes.toString('latin1', frame.keyStart, frame.keyEnd)} ${show(fold('END'))}`)
      }
      return true
    })
  } catch (error) {
    found.push(show(error))
  }
  return found
}

type Frame = NonNullable<ReturnType<typeof textProtocol.frame>>

/** Feeds the pieces as a connection does: each in memory that is overwritten when its turn is over. */
function eachFrame(pieces: Iterable<Buffer>, take: (frame: Frame) => boolean): void {
  const reader = new ByteReader()
  for (const piece of pieces) {
    const memory = Buffer.from(piece)
    reader.feed(memory)
    while (reader.ready) {
      const frame = textProtocol.frame(reader, 64 * 1024 * 1024)
      if (frame === undefined) break
      if (!take(frame)) return
    }
    reader.keep()
    memory.fill('?')
  }
}

/** What each request gets, by the rules of a connection: a refusal may end it, and what no request waits for does. */
function repliesTo(requests: readonly Request[], pieces: Iterable<Buffer>): string[] {
  const found: string[] = []
  let place = 0
  const begin = <O extends Op>(request: Request<O>): ((frame: Frame) => unknown) => exchangeOf(textProtocol, request).decode(request, 0)
  let fold = requests[0] && begin(requests[0])
  try {
    eachFrame(pieces, (frame) => {
      const request = requests[place]
      if (fold === undefined || request === undefined) throw textProtocol.unasked(frame)
      let reply: unknown
      try {
        reply = fold(frame)
      } catch (error) {
        if (!(error instanceof MemcacheDriverError)) throw error
        found.push(show(error))
        if (!textProtocol.usableAfter(error, request)) return false
        reply = undefined
        fold = requests[place += 1] && begin(requests[place] as Request)
        return true
      }
      if (reply === more) return true
      found.push(show(reply))
      place += 1
      fold = requests[place] && begin(requests[place] as Request)
      return true
    })
  } catch (error) {
    found.push(show(error))
  }
  return found
}

/** Every place to cut these bytes in two; of long ones, those at their ends and some between. */
function* cuts(length: number): Generator<number> {
  const ends = length < 300 ? length : length < 50_000 ? 40 : 10
  const stride = Math.max(1, Math.floor(length / (length < 50_000 ? 40 : 5)))
  for (let at = 1; at < length; at += at < ends || at > length - ends ? 1 : Math.min(stride, Math.max(1, length - ends - at))) yield at
}

function* singly(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 1) yield bytes.subarray(at, at + 1)
}

t.test('frames: cut at every byte, and one byte at a time', async (t) => {
  const seen = new Set<string>()
  let count = 0
  for (const { name, response } of exchanges) {
    if (seen.has(response)) continue
    seen.add(response)
    const bytes = Buffer.from(response, 'latin1')
    const whole = framesOf([bytes])
    const expected = show(whole)
    for (const at of cuts(bytes.length)) {
      const found = show(framesOf([bytes.subarray(0, at), bytes.subarray(at)]))
      count += 1
      if (found !== expected) t.equal(found, expected, `${name}, cut at ${at}`)
    }
    if (bytes.length > 20_000) continue
    const found = show(framesOf(singly(bytes)))
    if (found !== expected) t.equal(found, expected, `${name}, byte by byte`)
  }
  t.ok(seen.size > 300 && count > 8000, `${seen.size} different responses, ${count} cuts`)
})

/** What our client asks too. After a noreply that was answered all the same, a server's next answers are not to what was asked. */
const ours = exchanges.flatMap(({ name, request, response }) => {
  const requests = name.includes('noreply') ? undefined : requestsOf(request)
  return requests === undefined || requests.length === 0 ? [] : [{ name, requests, response, request }]
})

t.test('replies to what a client can ask: cut at every byte, and one byte at a time', async (t) => {
  let count = 0
  const seen = new Set<string>()
  for (const { name, requests, response, request } of ours) {
    if (seen.has(request + response)) continue
    seen.add(request + response)
    const asked = requests.map((each) => encode(each)).join('')
    if (asked !== request) t.equal(asked, request.replace('flush_all 0', 'flush_all'), `${name}: this is what the client sends`)
    const bytes = Buffer.from(response, 'latin1')
    const whole = repliesTo(requests, [bytes])
    const expected = show(whole)
    if (whole.some((each) => each.startsWith(MemcacheProtocolError.prototype.name))) t.fail(`${name}: a server's answer is outside the grammar`, { request: request.slice(0, 200), whole })
    for (const at of cuts(bytes.length)) {
      const found = show(repliesTo(requests, [bytes.subarray(0, at), bytes.subarray(at)]))
      count += 1
      if (found !== expected) t.equal(found, expected, `${name}, cut at ${at}`)
    }
    if (bytes.length > 20_000) continue
    const found = show(repliesTo(requests, singly(bytes)))
    if (found !== expected) t.equal(found, expected, `${name}, byte by byte`)
  }
  t.ok(seen.size > 300 && count > 8000, `${seen.size} exchanges, ${count} cuts`)
})

function encode<O extends Op>(request: Request<O>): string {
  return encoded(textProtocol, request)
}

t.test('through a connection: whole, in two pieces and one byte at a time', { timeout: 60_000 }, async (t) => {
  let pieces: string[] = []
  let expected = 0
  const server = await startScripted(async (peer) => {
    while (peer.received.length < expected && !peer.gone) await new Promise((resolve) => setImmediate(resolve))
    await peer.pieces(pieces)
    await peer.closed()
  })
  const endpoint = endpointOf(resolveOptions(undefined, { port: server.port, timeout: 5000 }), { onConnect() {}, onDisconnect() {} })
  const seen = new Set<string>()
  const through = async (requests: readonly Request[], response: string[]): Promise<string[]> => {
    pieces = response
    expected = requests.reduce((sum, request) => sum + encode(request).length, 0)
    const driver = text(endpoint)
    const outcomes = await Promise.all(requests.map((request) => driver.execute(request).catch((error: unknown) => error)))
    await driver.disconnect(new MemcacheClosedError('done'))
    return outcomes.map((each) => (each instanceof MemcacheError && !(each instanceof MemcacheDriverError) ? each.name : show(each)))
  }
  for (const { name, requests, response } of ours) {
    const what = requests.map(encode).join('') + response
    if (seen.has(what) || response.length > 150) continue
    seen.add(what)
    const pure = repliesTo(requests, [Buffer.from(response, 'latin1')])
    if (pure.length < requests.length) continue // the recording goes on in its next step, or the server has closed
    const whole = await through(requests, [response])
    t.same(whole, pure.slice(0, requests.length), `${name}: as the protocol alone says`)
    const middle = Math.floor(response.length / 2)
    for (const cut of [[response.slice(0, middle), response.slice(middle)], [...response]]) {
      const found = await through(requests, cut)
      if (show(found) !== show(whole)) t.same(found, whole, `${name}: in ${cut.length} pieces`)
    }
  }
  t.ok(seen.size > 150, `${seen.size} exchanges`)
  await server.close()
})

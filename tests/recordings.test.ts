import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import t from 'tap'
import { binary, binaryProtocol } from '../drivers/binary.ts'
import { meta, metaProtocol } from '../drivers/meta.ts'
import { text, textProtocol } from '../drivers/text.ts'
import { ByteReader } from '../lib/byte-reader.ts'
import type { Op, Request } from '../lib/commands.ts'
import { more, type DriverFactory, type Fold, type Protocol } from '../lib/driver.ts'
import { MemcacheClosedError, MemcacheDriverError, MemcacheError, MemcacheProtocolError } from '../lib/errors.ts'
import { endpointOf, resolveOptions } from '../lib/options.ts'
import { encoded, exchangeOf, feed } from './support/exchanges.ts'
import { random } from './support/outcomes.ts'
import { binaryRequests, binaryResponse } from './support/recorded-binary.ts'
import { conversationExchanges, memcachedExchanges, type RecordedExchange } from './support/recorded-exchanges.ts'
import { metaRequests, metaResponse } from './support/recorded-meta.ts'
import { textRequests } from './support/recorded-text.ts'
import { startScripted } from './support/scripted-server.ts'

/** What real servers have answered, cut at every byte: however a reply arrives, it is the same reply. */

/** A protocol, whose frames are of no matter here, and how its recordings are read. */
interface Subject {
  readonly name: string
  readonly protocol: Protocol<unknown>
  readonly driver: DriverFactory
  readonly exchanges: readonly RecordedExchange[]
  /** The requests of a client that ask for what these bytes do; `undefined` where no client of ours would. */
  readonly requestsOf: (bytes: string) => Request[] | undefined
  /** The recorded response as it would have come to these requests, which have numbers of their own; `undefined` where nothing tells. */
  readonly responseTo: (requests: readonly Request[], response: string) => string | undefined
  /** How many different responses there are, at the least, and how many that a client of ours can get. */
  readonly least: readonly [responses: number, ours: number]
}

/** Its functions are given the frames that it has made itself, and no others. */
function anyFrame<Frame>(protocol: Protocol<Frame>): Protocol<unknown> {
  return protocol as unknown as Protocol<unknown>
}

const SUBJECTS: readonly Subject[] = [
  {
    name: 'text',
    protocol: anyFrame(textProtocol),
    driver: text,
    exchanges: [...memcachedExchanges('text'), ...conversationExchanges('queues.jsonl'), ...conversationExchanges('proxies.jsonl')],
    requestsOf: textRequests,
    responseTo: (_, response) => response,
    least: [300, 600],
  },
  { name: 'meta', protocol: anyFrame(metaProtocol), driver: meta, exchanges: memcachedExchanges('meta'), requestsOf: metaRequests, responseTo: metaResponse, least: [120, 90] },
  {
    name: 'binary',
    protocol: anyFrame(binaryProtocol),
    driver: binary,
    exchanges: memcachedExchanges('binary'),
    requestsOf: binaryRequests,
    responseTo: binaryResponse,
    least: [100, 75],
  },
]

/** An exchange that our client can have too: its requests, numbered from 1 on, and the response with these numbers in it. */
interface OurExchange {
  readonly name: string
  readonly request: string
  readonly requests: readonly Request[]
  readonly response: string
}

/** What our client asks too. After a noreply that was answered all the same, a server's next answers are not to what was asked. */
function oursOf({ exchanges, requestsOf, responseTo }: Subject): OurExchange[] {
  const seen = new Set<string>()
  return exchanges.flatMap(({ name, request, response }) => {
    const requests = name.includes('noreply') ? undefined : requestsOf(request)
    const answered = requests && requests.length > 0 ? responseTo(requests, response) : undefined
    if (requests === undefined || answered === undefined || seen.has(request + response)) return []
    seen.add(request + response)
    return [{ name, requests, response: answered, request }]
  })
}

/** What was made of a reply, so that it can be compared. */
function show(result: unknown): string {
  if (result === undefined) return 'nothing'
  if (result instanceof MemcacheError) return `${result.name}: ${result.message}`
  if (result instanceof Error) return inspect(result)
  if (result instanceof Map) return JSON.stringify([...result])
  if (Array.isArray(result)) return `[${result.map(show).join(', ')}]`
  if (Buffer.isBuffer(result)) return result.length > 1000 ? `${result.length} bytes, ${createHash('sha1').update(result).digest('hex')}` : JSON.stringify(result.toString('latin1'))
  if (typeof result !== 'object' || result === null) return String(result)
  return Object.entries(result).map(([name, value]) => `${name} ${show(value)}`).join(', ')
}

/** Where something is in the reader's bytes, which depends on how these came. */
const PLACES = new Set(['bytes', 'start', 'keyStart', 'keyEnd', 'last'])

/** The frames in these pieces, up to the first that is none. */
function framesOf(protocol: Protocol<unknown>, pieces: Iterable<Buffer>): string[] {
  const found: string[] = []
  try {
    eachFrame(protocol, pieces, (frame) => {
      found.push(typeof frame === 'string' ? frame : show(Object.fromEntries(Object.entries(frame as object).filter(([name]) => !PLACES.has(name)))))
      if ((frame as { last?: boolean }).last === true) found.push('END') // read together with the value, if both are there
      return true
    })
  } catch (error) {
    found.push(show(error))
  }
  return found
}

/** Feeds the pieces as a connection does: each in memory that is overwritten when its turn is over. */
function eachFrame(protocol: Protocol<unknown>, pieces: Iterable<Buffer>, take: (frame: unknown) => boolean): void {
  const reader = new ByteReader()
  for (const piece of pieces) {
    const memory = feed(reader, piece)
    while (reader.ready) {
      const frame = protocol.frame(reader, 64 * 1024 * 1024)
      if (frame === undefined) break
      if (!take(frame)) return
    }
    reader.keep()
    memory.fill('?')
  }
}

/** What each request gets, by the rules of a connection: a refusal may end it, and what no request waits for does. */
function repliesTo(protocol: Protocol<unknown>, requests: readonly Request[], pieces: Iterable<Buffer>): string[] {
  const found: string[] = []
  const begin = <O extends Op>(request: Request<O>, place: number): Fold<unknown, unknown> => exchangeOf(protocol, request).decode(request, place + 1)
  let place = 0
  let fold: Fold<unknown, unknown> | undefined
  const settle = (reply: unknown): void => {
    found.push(show(reply))
    place += 1
    fold = undefined
  }
  try {
    eachFrame(protocol, pieces, (frame) => {
      const request = requests[place]
      if (request === undefined) throw protocol.unasked(frame)
      fold ??= begin(request, place)
      try {
        const reply = fold(frame)
        if (reply !== more) settle(reply)
        return true
      } catch (error) {
        if (!(error instanceof MemcacheDriverError)) throw error
        settle(error)
        return protocol.usableAfter(error, request)
      }
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

for (const subject of SUBJECTS) {
  const { name: spoken, protocol, driver, exchanges, requestsOf, least } = subject
  const ours = oursOf(subject)
  const encode = (request: Request, place: number): string => encoded(protocol, request, place + 1)

  t.test(`${spoken}: frames, cut at every byte, and one byte at a time`, async (t) => {
    const seen = new Set<string>()
    let count = 0
    for (const { name, response } of exchanges) {
      if (seen.has(response)) continue
      seen.add(response)
      const bytes = Buffer.from(response, 'latin1')
      const expected = show(framesOf(protocol, [bytes]))
      for (const at of cuts(bytes.length)) {
        const found = show(framesOf(protocol, [bytes.subarray(0, at), bytes.subarray(at)]))
        count += 1
        if (found !== expected) t.equal(found, expected, `${name}, cut at ${at}`)
      }
      if (bytes.length > 20_000) continue
      const found = show(framesOf(protocol, singly(bytes)))
      if (found !== expected) t.equal(found, expected, `${name}, byte by byte`)
    }
    t.ok(seen.size >= least[0] && count > 10 * seen.size, `${seen.size} different responses, ${count} cuts`)
  })

  t.test(`${spoken}: the client asks for what was asked`, async (t) => {
    for (const { name, requests, request } of ours) {
      const sent = requests.map(encode).join('')
      t.strictSame(requestsOf(sent), requests, name)
      if (spoken === 'text') t.equal(sent, request.replace('flush_all 0', 'flush_all'), `${name}: byte for byte`)
    }
  })

  t.test(`${spoken}: replies to what a client can ask, cut at every byte, and one byte at a time`, async (t) => {
    let count = 0
    for (const { name, requests, response } of ours) {
      const bytes = Buffer.from(response, 'latin1')
      const whole = repliesTo(protocol, requests, [bytes])
      const expected = show(whole)
      if (whole.some((each) => each.startsWith(MemcacheProtocolError.prototype.name))) t.fail(`${name}: a server's answer is outside the grammar`, { requests, response, whole })
      for (const at of cuts(bytes.length)) {
        const found = show(repliesTo(protocol, requests, [bytes.subarray(0, at), bytes.subarray(at)]))
        count += 1
        if (found !== expected) t.equal(found, expected, `${name}, cut at ${at}`)
      }
      if (bytes.length > 20_000) continue
      const found = show(repliesTo(protocol, requests, singly(bytes)))
      if (found !== expected) t.equal(found, expected, `${name}, byte by byte`)
    }
    t.ok(ours.length >= least[1] && count > 10 * ours.length, `${ours.length} exchanges, ${count} cuts`)
  })

  t.test(`${spoken}: a reply with wrong bytes in it is a reply or an error of ours, however it arrives`, async (t) => {
    const next = random(5)
    const below = (most: number): number => Math.floor(next() * most)
    let count = 0
    const kinds = (results: readonly string[]): string[] => results.map((each) => (each.startsWith('Memcache') ? each.replace(/:.*/s, '') : each))
    for (const { name, requests, response } of ours) {
      if (response.length > 400) continue
      for (let round = 0; round < 8; round += 1) {
        const at = below(response.length)
        const inserted = round % 4 === 0 ? '' : round % 4 === 1 ? response.slice(below(at + 1), at) : String.fromCharCode(...Array.from({ length: 1 + below(3) }, () => below(256)))
        const bytes = Buffer.from(response.slice(0, at) + inserted + response.slice(at + below(3)), 'latin1')
        const whole = repliesTo(protocol, requests, [bytes])
        count += 1
        const inner = whole.filter((each) => /^(?!Memcache)\w*Error/.test(each))
        if (inner.length > 0) t.fail(`${name}: an error that is not ours`, { bytes: bytes.toString('latin1'), inner })
        const found = repliesTo(protocol, requests, singly(bytes))
        if (show(kinds(found)) !== show(kinds(whole))) t.same(kinds(found), kinds(whole), `${name}: ${JSON.stringify(bytes.toString('latin1'))}`)
      }
    }
    t.ok(count > 5 * least[1], `${count} of them`)
  })

  t.test(`${spoken}: through a connection, whole, in two pieces and one byte at a time`, { timeout: 60_000 }, async (t) => {
    let pieces: string[] = []
    let expected = 0
    const server = await startScripted(async (peer) => {
      while (peer.received.length < expected && !peer.gone) await new Promise((resolve) => setImmediate(resolve))
      await peer.pieces(pieces)
      await peer.closed()
    })
    const endpoint = endpointOf(resolveOptions(undefined, { port: server.port, timeout: 5000 }), { onConnect() {}, onDisconnect() {} })
    const through = async (requests: readonly Request[], response: string[]): Promise<string[]> => {
      pieces = response
      expected = requests.map(encode).join('').length
      const client = driver(endpoint)
      const outcomes = await Promise.all(requests.map((request) => client.execute(request).catch((error: unknown) => error)))
      await client.disconnect(new MemcacheClosedError('done'))
      return outcomes.map((each) => (each instanceof MemcacheError && !(each instanceof MemcacheDriverError) ? each.name : show(each)))
    }
    let count = 0
    for (const { name, requests, response } of ours) {
      if (response.length > 200) continue
      const pure = repliesTo(protocol, requests, [Buffer.from(response, 'latin1')])
      if (pure.length < requests.length) continue // the recording goes on in its next step, or the server has closed
      count += 1
      const whole = await through(requests, [response])
      t.same(whole, pure.slice(0, requests.length), `${name}: as the protocol alone says`)
      const middle = Math.floor(response.length / 2)
      for (const cut of [[response.slice(0, middle), response.slice(middle)], [...response]]) {
        const found = await through(requests, cut)
        if (show(found) !== show(whole)) t.same(found, whole, `${name}: in ${cut.length} pieces`)
      }
    }
    t.ok(count > 0.8 * least[1], `${count} exchanges`)
    await server.close()
  })
}

import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import { binary, binaryProtocol } from '../../drivers/binary.ts'
import { meta, metaProtocol } from '../../drivers/meta.ts'
import { text, textProtocol } from '../../drivers/text.ts'
import { ByteReader } from '../../lib/byte-reader.ts'
import type { Op, Reply, Request } from '../../lib/commands.ts'
import { foldOf, more, type DriverFactory, type Fold, type Protocol } from '../../lib/driver.ts'
import { MemcacheDriverError, MemcacheError } from '../../lib/errors.ts'
import { exchangeOf, feed, takenAtOnce } from './exchanges.ts'
import { binaryRequests, binaryResponse } from './recorded-binary.ts'
import { conversationExchanges, memcachedExchanges, type RecordedExchange } from './recorded-exchanges.ts'
import { metaRequests, metaResponse } from './recorded-meta.ts'
import { textRequests } from './recorded-text.ts'

/** The three protocols with what servers have answered in them, and how a connection reads such an answer. */

/** A protocol, whose frames are of no matter here, and how its recordings are read. */
export interface Subject {
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

/** All of them. */
export const SUBJECTS: readonly Subject[] = [
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
export interface OurExchange {
  readonly name: string
  readonly request: string
  readonly requests: readonly Request[]
  readonly response: string
}

/** What our client asks too. After a noreply that was answered all the same, a server's next answers are not to what was asked. */
export function oursOf({ exchanges, requestsOf, responseTo }: Subject): OurExchange[] {
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
export function show(result: unknown): string {
  if (result === undefined) return 'nothing'
  if (result instanceof MemcacheError) return `${result.name}: ${result.message}`
  if (result instanceof Error) return inspect(result)
  if (result instanceof Map) return JSON.stringify([...result])
  if (Array.isArray(result)) return `[${result.map(show).join(', ')}]`
  if (Buffer.isBuffer(result)) return result.length > 1000 ? `${result.length} bytes, ${createHash('sha1').update(result).digest('hex')}` : JSON.stringify(result.toString('latin1'))
  if (typeof result !== 'object' || result === null) return String(result)
  return Object.entries(result).map(([name, value]) => `${name} ${show(value)}`).join(', ')
}

/** What a client accepts, unless it is told otherwise. */
const LONGEST_REPLY = 64 * 1024 * 1024

/** By whom, and within which bound, pieces are read. */
export interface Reading {
  readonly reader?: ByteReader
  readonly maxLength?: number
}

/** Feeds the pieces as a connection does: each in memory that is overwritten when its turn is over. */
export function eachFrame(
  protocol: Protocol<unknown>,
  pieces: Iterable<Buffer>,
  take: (frame: unknown) => boolean,
  { reader = new ByteReader(), maxLength = LONGEST_REPLY }: Reading = {},
): void {
  for (const piece of pieces) {
    const memory = feed(reader, piece)
    while (reader.ready) {
      const frame = protocol.frame(reader, maxLength)
      if (frame === undefined) break
      if (!take(frame)) return
    }
    reader.keep()
    memory.fill('?')
  }
}

/** What each request gets, by the rules of a connection: a refusal may end it, and what no request waits for does. */
export function repliesTo(protocol: Protocol<unknown>, requests: readonly Request[], pieces: Iterable<Buffer>, reading?: Reading): unknown[] {
  const found: unknown[] = []
  const begin = <O extends Op>(request: Request<O>, place: number): Fold<unknown, unknown> => foldOf(exchangeOf(protocol, request), request, place + 1)
  let place = 0
  let fold: Fold<unknown, unknown> | undefined
  const settle = (reply: unknown): void => {
    found.push(reply)
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
        if (reply !== more) settle(takenAtOnce(request, reply as Reply))
        return true
      } catch (error) {
        if (!(error instanceof MemcacheDriverError)) throw error
        settle(error)
        return protocol.usableAfter(error, request)
      }
    }, reading)
  } catch (error) {
    found.push(error)
  }
  return found
}

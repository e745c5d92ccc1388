import { readFileSync } from 'node:fs'

/** What real servers have answered, as the fixtures have it: all that is bytes is latin1 text. */

/** What was sent, and what came back. */
export interface RecordedExchange {
  readonly name: string
  readonly request: string
  readonly response: string
}

interface Step {
  readonly request: string
  readonly response: string
}

interface Recording extends Step {
  readonly protocol: string
  readonly case: string
  readonly steps?: readonly Step[]
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

/** What memcached has answered in a protocol: `text`, `meta` or `binary`. */
export function memcachedExchanges(protocol: string): RecordedExchange[] {
  return lines<Recording>('memcached.jsonl')
    .filter((recording) => recording.protocol === protocol)
    .flatMap(({ steps, ...whole }) => (steps ?? [whole]).map(({ request, response }) => ({ name: `memcached: ${whole.case}`, request, response })))
    .filter(({ response }) => response !== '')
}

/** What queue servers or proxies have answered: each piece that was sent with the one that was received next on the same connection. */
export function conversationExchanges(file: 'queues.jsonl' | 'proxies.jsonl'): RecordedExchange[] {
  const unroll = (plain: string | null | undefined, runs: Runs | undefined): string => plain ?? runs?.map(([piece, times]) => piece.repeat(times)).join('') ?? ''
  const exchanges: RecordedExchange[] = []
  for (const { server, case: name, steps } of lines<Conversation>(file)) {
    const asked = new Map<string, string>()
    for (const { conn = '', send, send_rle, recv, recv_rle } of steps) {
      if (send !== undefined || send_rle !== undefined) asked.set(conn, (asked.get(conn) ?? '') + unroll(send, send_rle))
      if (recv === undefined && recv_rle === undefined) continue
      exchanges.push({ name: `${server}: ${name}`, request: asked.get(conn) ?? '', response: unroll(recv, recv_rle) })
      asked.delete(conn)
    }
  }
  return exchanges.filter(({ response }) => response !== '')
}

function lines<T>(file: string): T[] {
  const content = readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8')
  return content.trim().split('\n').map((line) => JSON.parse(line) as T)
}

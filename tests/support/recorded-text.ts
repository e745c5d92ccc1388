import { Buffer } from 'node:buffer'
import type { Request, StoreMode } from '../../lib/commands.ts'

/** Recorded bytes of the text protocol as the requests of a client. */

/** A request that stands at the beginning of some bytes, and the bytes behind it. */
export type Read = readonly [Request, rest: string]

/** The requests that these bytes are; `undefined` where `read`, which gets a line and what is behind it, does not know one. */
export function readRequests(bytes: string, read: (line: string, rest: string) => Read | undefined): Request[] | undefined {
  const requests: Request[] = []
  for (let rest = bytes; rest !== ''; ) {
    const end = rest.indexOf('\r\n')
    const found = end === -1 ? undefined : read(rest.slice(0, end), rest.slice(end + 2))
    if (found === undefined) return undefined
    requests.push(found[0])
    rest = found[1]
  }
  return requests
}

/** The data of a storage command, and the bytes behind it; `undefined` where it is not as long as announced. */
export function readRecordedData(length: string | undefined, rest: string): readonly [Buffer, rest: string] | undefined {
  const size = Number(length)
  return rest.slice(size, size + 2) === '\r\n' ? [Buffer.from(rest.slice(0, size), 'latin1'), rest.slice(size + 2)] : undefined
}

/** The requests of a client that are these bytes; `undefined` where no client of ours would send them. */
export function textRequests(bytes: string): Request[] | undefined {
  return readRequests(bytes, readText)
}

function readText(line: string, rest: string): Read | undefined {
  const words = line.split(' ')
  if (words.some((word) => word === '' || word === 'noreply' || /[\x00-\x1f\x7f]/.test(word))) return undefined
  const store = /^(set|add|replace|append|prepend|cas) (\S+) (\d+) (-?\d+) (\d+)(?: (\d+))?$/.exec(line)
  if (store !== null) {
    const [, mode, key, flags, expires, length, cas] = store
    const data = readRecordedData(length, rest)
    if (data === undefined || (mode === 'cas') !== (cas !== undefined)) return undefined
    const item = { value: data[0], flags: Number(flags), cas: cas === undefined ? undefined : BigInt(cas) }
    return [{ op: 'store', mode: mode as StoreMode, key: key as string, item, expires: Number(expires) }, data[1]]
  }
  if (line.length > 2046) return undefined // the client sends several lines
  const request = lineRequest(words)
  return request && [request, rest]
}

/** The request that a line of these words is, without data. */
export function lineRequest([verb, ...words]: readonly string[]): Request | undefined {
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

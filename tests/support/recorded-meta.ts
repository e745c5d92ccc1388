import { Buffer } from 'node:buffer'
import type { Request, StoreMode } from '../../lib/commands.ts'
import { lineRequest, readRecordedData, readRequests, type Read } from './recorded-text.ts'

/** Recorded bytes of the meta protocol as the requests of a client, and the responses to these. */

type Flags = ReadonlyMap<string, string>

/** The requests of a client that ask for what these bytes do; `undefined` where no client of ours would. */
export function metaRequests(bytes: string): Request[] | undefined {
  return readRequests(bytes, readMeta)
}

function readMeta(line: string, rest: string): Read | undefined {
  const [verb = '', word = '', ...others] = line.split(' ')
  if (line === 'mn') return [{ op: 'getMulti', keys: [], cas: false }, rest] // it asks for nothing, and is answered
  if (line.length > 2046 || word.length > 250) return undefined
  switch (verb) {
    case 'mg':
      return others.includes('q') ? readMany(line, rest) : readOne(word, flagsOf(others, 'vfcstlhkObT'), rest)
    case 'ms':
      return readStore(word, flagsOf(others.slice(1), 'FTMCObck'), readRecordedData(others[0], rest))
    case 'md':
      return readKeyed(word, flagsOf(others, 'Obk'), (key) => [{ op: 'delete', key }, rest])
    case 'ma':
      return readCount(word, flagsOf(others, 'vDMObktc'), rest)
    default: {
      const request = lineRequest([verb, ...(word === '' ? [] : [word]), ...others])
      return request !== undefined && ['flush', 'stats', 'version', 'verbosity'].includes(request.op) ? [request, rest] : undefined
    }
  }
}

/** Flags by their letter; `undefined` where one is there twice, or none of these. */
function flagsOf(words: readonly string[], letters: string): Flags | undefined {
  const flags = new Map(words.map((word) => [word.slice(0, 1), word.slice(1)]))
  const known = [...flags.keys()].every((letter) => letter !== '' && letters.includes(letter))
  return known && flags.size === words.length && (flags.get('O')?.length ?? 0) < 32 ? flags : undefined
}

/** What is said about a key, unless it is in base64 and our client would send it as it is. `k` echoes some in a form that breaks lines. */
function readKeyed(word: string, flags: Flags | undefined, read: (key: string, flags: Flags) => Read | undefined): Read | undefined {
  if (flags === undefined || word === '' || (flags.has('b') && flags.has('k'))) return undefined
  const key = flags.has('b') ? Buffer.from(word, 'base64').toString('latin1') : word
  return flags.has('b') && !/[\x00-\x20\x7f]/.test(key) ? undefined : read(key, flags)
}

/** `mg`: a get, a touch, or `metaGet` where it asks for all that this does. */
function readOne(word: string, found: Flags | undefined, rest: string): Read | undefined {
  return readKeyed(word, found, (key, flags) => {
    const ttl = flags.get('T')
    if (ttl !== undefined && !/^-?\d+$/.test(ttl)) return undefined
    const expires = ttl === undefined ? undefined : Number(ttl)
    if (!flags.has('v')) return expires === undefined ? undefined : [{ op: 'touch', key, expires }, rest]
    if ([...'fctlhs'].every((letter) => flags.has(letter))) return [{ op: 'metaGet', key }, rest]
    return [{ op: 'get', key, cas: flags.has('c'), touch: expires }, rest]
  })
}

/** Lines of quiet `mg`, and `mn`. */
function readMany(first: string, behind: string): Read | undefined {
  const keys: string[] = []
  for (let line = first, rest = behind; ; ) {
    const [verb, word = '', ...others] = line.split(' ')
    const flags = flagsOf(others, 'vfObq')
    const read = flags?.has('v') && flags.has('q') ? readKeyed(word, flags, (key) => [{ op: 'delete', key }, '']) : undefined
    if (line === 'mn') return [{ op: 'getMulti', keys, cas: false }, rest]
    if (verb !== 'mg' || read === undefined || !('key' in read[0])) return undefined
    keys.push(read[0].key)
    line = rest.split('\r\n', 1)[0] ?? ''
    rest = rest.slice(line.length + 2)
  }
}

const MODES: { readonly [letter: string]: StoreMode } = { S: 'set', E: 'add', R: 'replace', A: 'append', P: 'prepend' }

function readStore(word: string, found: Flags | undefined, data: readonly [Buffer, string] | undefined): Read | undefined {
  return readKeyed(word, found, (key, flags) => {
    const cas = flags.get('C')
    const mode = cas === undefined ? MODES[flags.get('M') ?? 'S'] : flags.has('M') ? undefined : 'cas'
    const joined = mode === 'append' || mode === 'prepend'
    const numbers = [cas, flags.get('F'), flags.get('T')].every((each) => each === undefined || /^-?\d{1,20}$/.test(each))
    if (data === undefined || mode === undefined || !numbers || (joined && (flags.has('F') || flags.has('T')))) return undefined
    const item = { value: data[0], flags: Number(flags.get('F') ?? 0), cas: cas === undefined ? undefined : BigInt(cas) }
    return [{ op: 'store', mode, key, item, expires: Number(flags.get('T') ?? 0) }, data[1]]
  })
}

function readCount(word: string, found: Flags | undefined, rest: string): Read | undefined {
  return readKeyed(word, found, (key, flags) => {
    const [delta = '1', mode = 'I'] = [flags.get('D'), flags.get('M')]
    if (!flags.has('v') || !/^\d{1,19}$/.test(delta) || !/^[ID+-]$/.test(mode)) return undefined
    return [{ op: 'count', key, delta: BigInt(delta), down: /[D-]/.test(mode) }, rest]
  })
}

/**
 * The response as it would have come to these requests, numbered from 1 on: each line gets the opaque of its request, and a
 * value the flags that our client asks for, which are 0 where the recorded request did not. `undefined` where there are
 * values of only some of several keys, and nothing tells of which.
 */
export function metaResponse(requests: readonly Request[], response: string): string | undefined {
  let [place, hits, answered] = [0, 0, '']
  for (let rest = response; rest !== ''; ) {
    const end = rest.indexOf('\r\n')
    if (end === -1) return answered + rest
    const line = rest.slice(0, end)
    const [, head, flags = ''] = /^(VA \d+|HD|EN|NF|NS|EX)((?: .*)?)$/.exec(line) ?? []
    const request = requests[place]
    const many = request?.op === 'getMulti' ? request.keys.length : 0
    const data = head?.startsWith('VA') ? rest.slice(end + 2, end + 4 + Number(head.slice(3))) : ''
    rest = rest.slice(end + 2 + data.length)
    const others = flags.replace(/ O\S*/, '') + (data !== '' && !/ f\d/.test(flags) ? ' f0' : '')
    answered += head === undefined ? `${line}\r\n` : `${head} O${place + 1}${many > 0 ? `.${hits}` : ''}${others}\r\n${data}`
    if (many > 0 && line !== 'MN') hits += 1
    else if (hits > 0 && hits < many) return undefined
    else [place, hits] = [place + 1, 0]
  }
  return answered
}

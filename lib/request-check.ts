import { Buffer } from 'node:buffer'
import { casId, statsSection, whole } from './arguments.ts'
import { asBuffer } from './codec.ts'
import type { CallOptions, Execute, Key, Op, Reply, Request } from './commands.ts'
import { LARGEST_COUNT } from './counter.ts'
import { MemcacheKeyError, MemcacheValueError } from './errors.ts'
import { wireKey, type KeyRules } from './key.ts'
import { show } from './show.ts'

const MODES = new Set(['set', 'add', 'replace', 'append', 'prepend', 'cas'])
/** Seconds, as expiry.ts gives them: -1 is at once. */
const EXPIRY = [-1, 2 ** 31 - 1] as const
const FLAGS = [0, 2 ** 32 - 1] as const

/**
 * Checks what the user's layers hand down as strictly as what a caller passes: in a request that a layer has made, a key can
 * be a line of another command, too. What it refuses rejects, and nothing is sent. `queues`: the driver reaches queue servers,
 * where options stand behind the name of a queue that is read.
 */
export function checkRequests(next: Execute, rules: KeyRules, queues: boolean): Execute {
  const reading = queues ? { ...rules, maxLength: Infinity } : rules
  return <O extends Op>(request: Request<O>, call?: CallOptions): Promise<Reply<O>> => {
    try {
      checkRequest(request as Request, rules, reading)
    } catch (error) {
      return Promise.reject(error)
    }
    return next(request, call)
  }
}

/** @throws MemcacheKeyError or MemcacheValueError for what would be more, or something else, than this request. */
function checkRequest(request: Request, rules: KeyRules, reading: KeyRules): void {
  switch (request.op) {
    case 'get':
      checkKey(request.key, reading)
      return void (request.touch === undefined || whole('"touch"', request.touch, EXPIRY))
    case 'getMulti':
      for (const key of request.keys) checkKey(key, rules)
      return
    case 'store':
      checkKey(request.key, rules)
      return checkStore(request)
    case 'touch':
      checkKey(request.key, rules)
      return void whole('"expires"', request.expires, EXPIRY)
    case 'count':
      checkKey(request.key, rules)
      if (typeof request.delta === 'bigint' && request.delta >= 0n && request.delta <= LARGEST_COUNT) return
      throw new MemcacheValueError(`"delta" is a bigint from 0 to 2^64-1, not ${show(request.delta)}`)
    case 'delete':
    case 'metaGet':
    case 'flushQueue':
      return checkKey(request.key, rules)
    case 'flush':
      return void whole('"delay"', request.delay)
    case 'stats':
      return void statsSection(request.section)
    case 'verbosity':
      return void whole('"level"', request.level)
  }
}

function checkStore({ mode, item, expires }: Request<'store'>): void {
  if (!MODES.has(mode)) throw new MemcacheValueError(`"mode" is ${show(mode)}`)
  if (asBuffer('layer', item.value) !== item.value) throw new MemcacheValueError('the value of a request is a Buffer with methods of its own')
  whole('"flags"', item.flags, FLAGS)
  whole('"expires"', expires, EXPIRY)
  if (mode === 'cas') casId(item.cas)
}

/** A key in wire form: one character a byte. */
function checkKey(key: Key, rules: KeyRules): void {
  if (typeof key !== 'string') throw new MemcacheKeyError(`the key of a request is a string, not ${show(key)}`)
  if (wireKey(Buffer.from(key, 'latin1'), { ...rules, prefix: '' }) !== key) {
    throw new MemcacheKeyError(`the key ${show(key)} of a request has a character that is no byte: keys are in latin1 here`)
  }
}

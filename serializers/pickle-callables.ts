/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { show } from '../lib/show.ts'
import { Dict } from './pickle-dict.ts'
import { dateOf, dateTimeOf, timeOf } from './pickle-time-states.ts'
import { PythonTimeDelta } from './pickle-times.ts'

/**
 * What a pickle may name: a few makers of plain data, matched exactly and built into here. Nothing is ever looked up by a
 * name that stands in the data.
 */

/** Something that only makes sense inside of something else: alone it is no value. */
export class Part {
  /** As Python calls it. */
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

/** Something that a pickle may name and call. */
export class Callable extends Part {
  /** @throws MemcacheValueError for arguments with which Python does not write it. */
  readonly call: (args: readonly unknown[], spend: Spend) => object

  constructor(name: string, call: Callable['call']) {
    super(name)
    this.call = call
  }
}

/**
 * Says what a call copies, in bytes or elements. Their sum is bounded by the length of the pickle: the same long argument
 * can be named in a few bytes, any number of times.
 */
export type Spend = (amount: number) => void

/** A time zone; only inside of a datetime or a time. */
class Zone extends Part {
  /** Seconds east of UTC. */
  readonly offset: number

  constructor(offset: number) {
    super('datetime.timezone')
    this.offset = offset
  }
}

const table: { readonly [name: string]: Callable['call'] } = {
  'builtins.set': setOf,
  'builtins.frozenset': setOf,
  'builtins.bytes': (args) => (args.length === 0 ? Buffer.alloc(0) : unexpected('bytes')),
  'builtins.bytearray': bytearrayOf,
  'collections.OrderedDict': orderedDictOf,
  '_codecs.encode': (args, spend) => encoded(args, 'latin1', spend),
  'datetime.datetime': ([state, zone]) => dateTimeOf(stateOf(state), offsetOf(zone)),
  'datetime.date': ([state]) => dateOf(stateOf(state)),
  'datetime.time': ([state, zone]) => timeOf(stateOf(state), offsetOf(zone)),
  'datetime.timedelta': ([days, seconds, microseconds]) => new PythonTimeDelta(days as number, seconds as number, microseconds as number),
  'datetime.timezone': (args) => zoneOf(args),
  'pytz._UTC': () => new Zone(0),
  // It would build a class, whose name comes next: that one is refused, and named.
  'copyreg._reconstructor': () => unexpected('copyreg._reconstructor'),
}

/** By the names of Python 3, and by those of Python 2, which Python 3 writes too up to protocol 2. */
const callables = new Map(
  Object.entries(table).flatMap(([name, call]) => {
    const callable = new Callable(name, call)
    const oldName = name.replace(/^builtins\./, '__builtin__.').replace(/^copyreg\./, 'copy_reg.')
    return [[name, callable], [oldName, callable]]
  }),
)

/** What these names mean. @throws MemcacheValueError, with the name, for everything that is not in the table. */
export function callableOf(module: string, name: string): Callable {
  const fullName = `${module}.${name}`
  const callable = callables.get(fullName)
  if (callable === undefined) throw new MemcacheValueError(`the pickle names ${show(fullName)}, which is no plain data: nothing of it was run`)
  return callable
}

function setOf([list, ...rest]: readonly unknown[], spend: Spend): Set<unknown> {
  if (list === undefined) return new Set()
  if (!Array.isArray(list) || rest.length > 0) return unexpected('set')
  spend(list.length)
  return new Set(list)
}

/** Empty, to be filled then; Python 2 gives it a list of pairs. */
function orderedDictOf([pairs = [], ...rest]: readonly unknown[], spend: Spend): Dict {
  const dict = new Dict(true)
  if (!Array.isArray(pairs) || rest.length > 0) return unexpected('OrderedDict')
  spend(pairs.length)
  for (const pair of pairs as unknown[]) {
    if (!Array.isArray(pair) || pair.length !== 2) return unexpected('OrderedDict')
    dict.add(pair)
  }
  return dict
}

/** Of bytes; Python 2 has text instead. */
function bytearrayOf(args: readonly unknown[], spend: Spend): Buffer {
  const [bytes] = args
  if (args.length === 0) return Buffer.alloc(0)
  if (args.length > 1 || !Buffer.isBuffer(bytes)) return encoded(args, 'latin-1', spend)
  spend(bytes.length)
  return Buffer.from(bytes)
}

/** Bytes, as protocols without bytes say them: text, of which each character is one. */
function encoded([text, encoding, ...rest]: readonly unknown[], expected: string, spend: Spend): Buffer {
  if (typeof text !== 'string' || String(encoding) !== expected || rest.length > 0) return unexpected('bytes')
  spend(text.length)
  const bytes = Buffer.from(text, 'latin1')
  return bytes.toString('latin1') === text ? bytes : unexpected('bytes')
}

function zoneOf([delta, ...rest]: readonly unknown[]): Zone {
  if (!(delta instanceof PythonTimeDelta) || delta.microseconds !== 0 || rest.length > 0) return unexpected('datetime.timezone')
  return new Zone(delta.days * 86_400 + delta.seconds)
}

function offsetOf(zone: unknown): number | undefined {
  if (zone === undefined || zone instanceof Zone) return zone?.offset
  return unexpected('a datetime')
}

/** The str of Python 2 may have been read as text. */
function stateOf(state: unknown): Buffer {
  if (typeof state === 'string') return Buffer.from(state)
  return Buffer.isBuffer(state) ? state : unexpected('a date or time')
}

function unexpected(what: string): never {
  throw new MemcacheValueError(`the pickle has ${what} in a form that Python does not write`)
}

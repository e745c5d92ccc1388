import { Buffer, isUtf8 } from 'node:buffer'
import { PythonDate, PythonDateTime, PythonTime, PythonTimeDelta } from '../../serializers/pickle-times.ts'

/**
 * Values as JSON that tells their types, in which values of Python and of JavaScript can be compared. Python's own are
 * made by `describe` in tests/interop/pickles.py.
 */
export type Description = readonly [kind: string, ...what: unknown[]]

/** A value of JavaScript. */
export function describe(value: unknown, outside: readonly unknown[] = []): Description {
  if (outside.includes(value) && typeof value === 'object' && value !== null) return ['again']
  const inside = [...outside, value]
  const each = (values: Iterable<unknown>): Description[] => Array.from(values, (item) => describe(item, inside))
  const dict = (entries: Iterable<readonly [unknown, unknown]>): Description => ['dict', sorted(Array.from(entries, each))]
  if (value === null) return ['none']
  if (typeof value === 'boolean') return ['bool', value]
  if (typeof value === 'number') return ['number', double(value)]
  if (typeof value === 'bigint') return ['bigint', String(value)]
  if (typeof value === 'string') return ['text', value]
  if (Buffer.isBuffer(value)) return ['bytes', value.toString('hex')]
  if (Array.isArray(value)) return ['list', each(value)]
  if (value instanceof Set) return ['set', sorted(each(value))]
  if (value instanceof PythonDateTime) return datetime(value, value.microseconds, value.offset, value.fold)
  if (value instanceof Date) return datetime(value, 0, undefined, false)
  if (value instanceof PythonDate) return ['date', String(value)]
  if (value instanceof PythonTime) return ['time', String(value), value.offset ?? null, Number(value.fold)]
  if (value instanceof PythonTimeDelta) return ['timedelta', [value.days, value.seconds, value.microseconds]]
  if (value instanceof Map) {
    const ordered = Array.from(value.keys()).every((key) => typeof key === 'string')
    return ordered ? ['OrderedDict', Array.from(value as Map<unknown, unknown>, each)] : dict(value as Map<unknown, unknown>)
  }
  if (Object.getPrototypeOf(value) === Object.prototype) return dict(Object.entries(value as object))
  throw new TypeError(`there is no description of ${String(value)}`)
}

/** What another language describes, as JavaScript's types are: tuples are lists, Symbols strings, and whole floats integers. */
export function likeHere([kind, ...what]: Description): Description {
  const [first] = what
  const each = (values: unknown): Description[] => (values as Description[]).map(likeHere)
  switch (kind) {
    case 'int':
    case 'long': {
      const number = Number(first)
      return Number.isSafeInteger(number) ? ['number', double(number)] : ['bigint', first]
    }
    case 'float':
      return ['number', double(Buffer.from(first as string, 'hex').readDoubleBE())]
    case 'str': {
      const bytes = Buffer.from(first as string, 'hex')
      return isUtf8(bytes) ? ['text', bytes.toString()] : ['bytes', first]
    }
    case 'symbol':
      return ['text', first]
    case 'bytearray':
      return ['bytes', first]
    case 'list':
    case 'tuple':
      return ['list', each(first)]
    case 'set':
    case 'frozenset':
      return ['set', sorted(each(first))]
    case 'OrderedDict': {
      const entries = (first as Description[][]).map(each)
      return entries.every(([key]) => key?.[0] === 'text') ? [kind, entries] : ['dict', sorted(entries)]
    }
    case 'dict':
      return ['dict', sorted((first as Description[][]).map(each))]
    default:
      return [kind, ...what]
  }
}

function datetime(date: Date, microseconds: number, offset: number | undefined, fold: boolean): Description {
  const clock = new Date(date.getTime() + (offset ?? 0) * 1000).toISOString().slice(0, -5)
  const fraction = date.getUTCMilliseconds() * 1000 + microseconds
  return ['datetime', fraction === 0 ? clock : `${clock}.${String(fraction).padStart(6, '0')}`, offset ?? null, Number(fold)]
}

function double(value: number): string {
  if (Number.isNaN(value)) return 'nan' // of which there are many
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return bytes.toString('hex')
}

function sorted<T>(items: T[]): T[] {
  return items.map((item) => [JSON.stringify(item), item] as const).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item)
}

/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { ByteOutput } from './byte-output.ts'
import { describe } from './flaws.ts'
import { KeyNumbers } from './pickle-keys.ts'
import { op } from './pickle-opcodes.ts'
import { dateState, dateTimeState, timeState } from './pickle-time-states.ts'
import { PythonDate, PythonDateTime, PythonTime, PythonTimeDelta } from './pickle-times.ts'
import { kindOf, Path, propertiesOf } from './plain-data.ts'

/** Python 2 and Python 3 read it, and both read its bytes as what each of them calls bytes. */
const PROTOCOL = 2

/**
 * A value as a pickle of protocol 2. What is used twice is one object again when it is read, and may contain itself.
 * @throws MemcacheValueError, with the way to it, for what Python would read as something else.
 */
export function writePickle(value: unknown): Buffer {
  return new PickleWriter().whole(value)
}

/** In Python, what is a key or in a set cannot change: there, an array becomes a tuple and a Set a frozenset. */
type Role = 'value' | 'key'
/** What has a place in Python's memo under the same JavaScript value: an array can be there as a list and as a tuple. */
type Memo = Role | 'callable'

class PickleWriter {
  readonly #out = new ByteOutput()
  readonly #path = new Path('pickle')
  /** The places in Python's memo of what was written and may come again. */
  readonly #memo: { readonly [M in Memo]: Map<unknown, number> } = { value: new Map(), key: new Map(), callable: new Map() }
  #remembered = 0
  readonly #keys = new KeyNumbers()

  whole(value: unknown): Buffer {
    this.#out.uint8(op.PROTO)
    this.#out.uint8(PROTOCOL)
    this.#write(value, 'value')
    this.#out.uint8(op.STOP)
    return this.#out.end()
  }

  #write(value: unknown, role: Role): void {
    switch (kindOf(value)) {
      case 'null':
        return this.#out.uint8(op.NONE)
      case 'boolean':
        return this.#out.uint8(value === true ? op.NEWTRUE : op.NEWFALSE)
      case 'integer':
        return this.#integer(value as number)
      case 'float':
        this.#out.uint8(op.BINFLOAT)
        return this.#out.double(value as number)
      case 'bigint':
        return this.#bigint(value as bigint)
      case 'string':
        return this.#string(value as string)
      case 'bytes':
        return this.#bytes(value as Buffer)
      case 'date':
        return this.#clock('datetime', dateTimeState(value as Date), undefined)
      case 'array':
        return this.#once(role, value, () => (role === 'key' ? this.#tuple(value as unknown[]) : this.#list(value as unknown[])))
      case 'set':
        return this.#once(role, value, () => this.#set(value as Set<unknown>, role))
      case 'object':
      case 'map':
        if (role === 'key') this.#path.refuse(`${describe(value)} as a key or in a Set`)
        return this.#once(role, value, () => this.#dict(value as object))
      default:
        return this.#other(value)
    }
  }

  #other(value: unknown): void {
    if (value instanceof PythonDateTime) return this.#clock('datetime', dateTimeState(value), value.offset)
    if (value instanceof PythonDate) return this.#call('datetime', 'date', () => this.#bytes(dateState(value)), op.TUPLE1)
    if (value instanceof PythonTime) return this.#clock('time', timeState(value), value.offset)
    if (value instanceof PythonTimeDelta) return this.#delta(value)
    this.#path.refuseValue(value)
  }

  #integer(value: number): void {
    if (value >= 0 && value < 2 ** 8) {
      this.#out.uint8(op.BININT1)
      this.#out.uint8(value)
    } else if (value >= -(2 ** 31) && value < 2 ** 31) {
      this.#out.uint8(op.BININT)
      this.#out.int32(value)
    } else {
      this.#out.uint8(op.LONG1)
      this.#out.uint8(8)
      this.#out.int64(BigInt(value))
    }
  }

  /** In the form for the longest integers: to Python it is one as any other, and the reader here makes it a bigint. */
  #bigint(value: bigint): void {
    const digits = (value < 0n ? ~value : value).toString(16).length
    const length = Math.floor(digits / 2) + 1 // with room for the sign
    const hex = BigInt.asUintN(8 * length, value).toString(16).padStart(2 * length, '0')
    this.#out.uint8(op.LONG4)
    this.#out.int32(length)
    this.#out.bytes(Buffer.from(hex, 'hex').reverse())
  }

  #string(value: string): void {
    if (!value.isWellFormed()) this.#path.refuse('a string with a lone surrogate')
    this.#out.uint8(op.BINUNICODE)
    this.#out.uint32(Buffer.byteLength(value))
    this.#out.text(value)
  }

  /** A string that is likely to come again, as the keys of rows do. */
  #name(name: string): void {
    this.#once('value', name, () => {
      this.#string(name)
      this.#remember('value', name)
    })
  }

  /** As Python 3 writes them in this protocol. Python 2 reads a str. */
  #bytes(bytes: Buffer): void {
    const args = (): void => {
      this.#string(bytes.toString('latin1'))
      this.#name('latin1')
    }
    this.#call('_codecs', 'encode', args, op.TUPLE2)
  }

  /** A datetime or a time, with its zone if it has one. */
  #clock(name: string, state: Buffer, offset: number | undefined): void {
    const args = (): void => {
      this.#bytes(state)
      if (offset !== undefined) this.#zone(offset)
    }
    this.#call('datetime', name, args, offset === undefined ? op.TUPLE1 : op.TUPLE2)
  }

  #zone(offset: number): void {
    const days = Math.floor(offset / 86_400)
    this.#call('datetime', 'timezone', () => this.#delta(new PythonTimeDelta(days, offset - 86_400 * days)), op.TUPLE1)
  }

  #delta({ days, seconds, microseconds }: PythonTimeDelta): void {
    const args = (): void => {
      for (const part of [days, seconds, microseconds]) this.#integer(part)
    }
    this.#call('datetime', 'timedelta', args, op.TUPLE3)
  }

  #list(array: readonly unknown[]): void {
    this.#out.uint8(op.EMPTY_LIST)
    this.#remember('value', array)
    this.#appends(array, 'value')
  }

  #tuple(array: readonly unknown[]): void {
    this.#out.uint8(op.MARK)
    this.#items(array, 'key')
    this.#out.uint8(op.TUPLE)
    this.#remember('key', array)
  }

  #set(set: ReadonlySet<unknown>, role: Role): void {
    const items = [...set]
    const args = (): void => {
      this.#out.uint8(op.EMPTY_LIST)
      this.#appends(items, 'key')
    }
    this.#call('__builtin__', role === 'key' ? 'frozenset' : 'set', args, op.TUPLE1)
    this.#distinct(items)
    this.#remember(role, set)
  }

  #appends(items: readonly unknown[], role: Role): void {
    this.#out.uint8(op.MARK)
    this.#items(items, role)
    this.#out.uint8(op.APPENDS)
  }

  #items(items: readonly unknown[], role: Role): void {
    for (let index = 0; index < items.length; index += 1) {
      this.#path.enter(index)
      this.#write(items[index], role)
      this.#path.leave()
    }
  }

  /** A Map whose keys could be those of an object is an OrderedDict, so that it stays a Map. */
  #dict(object: object): void {
    const entries = object instanceof Map ? [...(object as Map<unknown, unknown>)] : propertiesOf(object)
    if (!(object instanceof Map)) this.#path.count(entries as [string, unknown][])
    const ordered = object instanceof Map && entries.every(([key]) => typeof key === 'string')
    if (ordered) this.#call('collections', 'OrderedDict', () => {}, op.EMPTY_TUPLE)
    else this.#out.uint8(op.EMPTY_DICT)
    this.#remember('value', object)
    this.#out.uint8(op.MARK)
    for (const [key, value] of entries) {
      this.#path.enter(typeof key === 'string' ? key : String(key))
      if (typeof key === 'string') this.#name(key)
      else this.#write(key, 'key')
      this.#write(value, 'value')
      this.#path.leave()
    }
    if (object instanceof Map) this.#distinct(entries.map(([key]) => key))
    this.#out.uint8(op.SETITEMS)
  }

  /** Refuses keys of which Python would keep only one. */
  #distinct(keys: readonly unknown[]): void {
    if (new Set(keys.map((key) => this.#keys.of(key))).size < keys.length) this.#path.refuse('two keys that are equal in Python')
  }

  #call(module: string, name: string, args: () => void, tuple: number): void {
    const names = `${module}\n${name}\n`
    this.#once('callable', names, () => {
      this.#out.uint8(op.GLOBAL)
      this.#out.text(names)
      this.#remember('callable', names)
    })
    args()
    this.#out.uint8(tuple)
    this.#out.uint8(op.REDUCE)
  }

  /** Writes what was not written yet; what was is named by its place in the memo. */
  #once(memo: Memo, value: unknown, write: () => void): void {
    const index = this.#memo[memo].get(value)
    if (index === undefined) write()
    else this.#indexed(op.BINGET, op.LONG_BINGET, index)
  }

  /** What was just written gets a place in the memo. */
  #remember(memo: Memo, value: unknown): void {
    this.#memo[memo].set(value, this.#remembered)
    this.#indexed(op.BINPUT, op.LONG_BINPUT, this.#remembered)
    this.#remembered += 1
  }

  #indexed(short: number, long: number, index: number): void {
    this.#out.uint8(index < 256 ? short : long)
    if (index < 256) this.#out.uint8(index)
    else this.#out.uint32(index)
  }
}

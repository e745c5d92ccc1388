/// <reference types="node" preserve="true" />
import { Buffer } from 'node:buffer'
import { MemcacheValueError } from '../lib/errors.ts'
import { decodeString } from '../lib/plain-values.ts'
import { checkParts, Elements } from './bounds.ts'
import { ByteInput } from './byte-input.ts'
import { callableOf, Part } from './pickle-callables.ts'
import { Dict } from './pickle-dict.ts'
import { PickleMachine } from './pickle-machine.ts'
import { op } from './pickle-opcodes.ts'
import { floatOf, integerOf, longOf, quotedOf, unicodeOf } from './pickle-text.ts'
import { setOwn } from './plain-data.ts'

const LAST_PROTOCOL = 5
const NEWLINE = 0x0a

/** What the `str` of Python 2, which is used for text and for bytes, is read as. */
export type PickledStrings = 'text' | 'bytes'

/**
 * The value in a pickle, of any protocol. Nothing that the pickle names is looked up or run, beside what is in
 * pickle-callables.ts. Takes time and memory in proportion to the bytes, whatever they say, and no depth of stack.
 * @throws MemcacheValueError for what is no plain data, and for what is no pickle.
 */
export function readPickle(bytes: Buffer, strings: PickledStrings): unknown {
  const input = new ByteInput('the pickle', bytes)
  const machine = new PickleMachine(input)
  const operations = strings === 'text' ? textOperations : bytesOperations
  for (let code = input.uint8(); code !== op.STOP; code = input.uint8()) {
    const run = operations[code]
    if (run === undefined) throw new MemcacheValueError(`the pickle has the instruction 0x${code.toString(16)}, which does not exist`)
    run(machine, input)
  }
  return settled(machine.result())
}

type Operation = (machine: PickleMachine, input: ByteInput) => void
type Operations = { readonly [code: number]: Operation }

const textOperations: Operations = {
  [op.PROTO]: (_machine, input) => checkProtocol(input.uint8()),
  [op.FRAME]: (_machine, input) => checkFrame(input.length64(), input.left),

  [op.NONE]: (machine) => machine.push(null),
  [op.NEWTRUE]: (machine) => machine.push(true),
  [op.NEWFALSE]: (machine) => machine.push(false),
  [op.INT]: (machine, input) => machine.push(integerOf(input.until(NEWLINE))),
  [op.BININT]: (machine, input) => machine.push(input.int32()),
  [op.BININT1]: (machine, input) => machine.push(input.uint8()),
  [op.BININT2]: (machine, input) => machine.push(input.uint16()),
  [op.LONG]: (machine, input) => machine.push(longOf(input.until(NEWLINE))),
  [op.LONG1]: (machine, input) => machine.push(numberWhereExact(twosComplement(input.bytes(input.uint8())))),
  // Python takes this one only for what is far past 2^53, and the writer here takes it for every bigint, so that it stays one.
  [op.LONG4]: (machine, input) => machine.push(twosComplement(input.bytes(lengthOf(input.int32())))),
  [op.FLOAT]: (machine, input) => machine.push(floatOf(input.until(NEWLINE))),
  [op.BINFLOAT]: (machine, input) => machine.push(input.double()),

  [op.STRING]: (machine, input) => pushText(machine, quotedOf(input.until(NEWLINE))),
  [op.BINSTRING]: (machine, input) => pushText(machine, input.bytes(lengthOf(input.int32()))),
  [op.SHORT_BINSTRING]: (machine, input) => pushText(machine, input.bytes(input.uint8())),
  [op.UNICODE]: (machine, input) => machine.push(unicodeOf(input.until(NEWLINE))),
  [op.BINUNICODE]: (machine, input) => machine.push(input.utf8(input.uint32())),
  [op.SHORT_BINUNICODE]: (machine, input) => machine.push(input.utf8(input.uint8())),
  [op.BINUNICODE8]: (machine, input) => machine.push(input.utf8(input.length64())),
  [op.BINBYTES]: (machine, input) => machine.makeBytes(input.bytes(input.uint32())),
  [op.SHORT_BINBYTES]: (machine, input) => machine.makeBytes(input.bytes(input.uint8())),
  [op.BINBYTES8]: (machine, input) => machine.makeBytes(input.bytes(input.length64())),
  [op.BYTEARRAY8]: (machine, input) => machine.makeBytes(input.bytes(input.length64())),

  [op.MARK]: (machine) => machine.mark(),
  [op.POP]: (machine) => machine.drop(),
  [op.POP_MARK]: (machine) => void machine.sinceMark(),
  [op.DUP]: (machine) => machine.push(machine.top()),
  [op.PUT]: (machine, input) => machine.put(memoIndex(input.until(NEWLINE))),
  [op.BINPUT]: (machine, input) => machine.put(input.uint8()),
  [op.LONG_BINPUT]: (machine, input) => machine.put(input.uint32()),
  [op.MEMOIZE]: (machine) => machine.memoize(),
  [op.GET]: (machine, input) => machine.get(memoIndex(input.until(NEWLINE))),
  [op.BINGET]: (machine, input) => machine.get(input.uint8()),
  [op.LONG_BINGET]: (machine, input) => machine.get(input.uint32()),

  [op.EMPTY_LIST]: (machine) => machine.make([]),
  [op.LIST]: (machine) => machine.make(machine.sinceMark()),
  [op.APPEND]: (machine) => machine.append([machine.pop()]),
  [op.APPENDS]: (machine) => machine.append(machine.sinceMark()),
  [op.EMPTY_TUPLE]: (machine) => machine.makeTuple(0),
  [op.TUPLE1]: (machine) => machine.makeTuple(1),
  [op.TUPLE2]: (machine) => machine.makeTuple(2),
  [op.TUPLE3]: (machine) => machine.makeTuple(3),
  [op.TUPLE]: (machine) => machine.make(machine.sinceMark()),
  [op.EMPTY_DICT]: (machine) => machine.make(new Dict()),
  [op.DICT]: (machine) => pushDict(machine, machine.sinceMark()),
  [op.SETITEM]: (machine) => setItem(machine, machine.pop(), machine.pop()),
  [op.SETITEMS]: (machine) => machine.setItems(machine.sinceMark()),
  [op.EMPTY_SET]: (machine) => machine.make(new Set()),
  [op.ADDITEMS]: (machine) => machine.addItems(machine.sinceMark()),
  [op.FROZENSET]: (machine) => machine.make(new Set(machine.sinceMark())),

  [op.GLOBAL]: (machine, input) => machine.push(callableOf(input.until(NEWLINE).toString(), input.until(NEWLINE).toString())),
  [op.STACK_GLOBAL]: (machine) => pushCallable(machine, machine.pop(), machine.pop()),
  [op.REDUCE]: (machine) => machine.reduce(),

  [op.INST]: (_machine, input) => refuse(`an instance of ${callableOf(input.until(NEWLINE).toString(), input.until(NEWLINE).toString()).name}`),
  [op.OBJ]: () => refuse('an instance of a class'),
  [op.NEWOBJ]: () => refuse('an instance of a class'),
  [op.NEWOBJ_EX]: () => refuse('an instance of a class'),
  [op.BUILD]: () => refuse('the state of an instance'),
  [op.EXT1]: (_machine, input) => refuse(`the registered extension ${input.uint8()}`),
  [op.EXT2]: (_machine, input) => refuse(`the registered extension ${input.uint16()}`),
  [op.EXT4]: (_machine, input) => refuse(`the registered extension ${input.int32()}`),
  [op.PERSID]: () => refuse('a reference to something outside of it'),
  [op.BINPERSID]: () => refuse('a reference to something outside of it'),
  [op.NEXT_BUFFER]: () => refuse('a buffer outside of it'),
  [op.READONLY_BUFFER]: () => refuse('a buffer outside of it'),
}

const bytesOperations: Operations = {
  ...textOperations,
  [op.STRING]: (machine, input) => machine.makeBytes(quotedOf(input.until(NEWLINE))),
  [op.BINSTRING]: (machine, input) => machine.makeBytes(input.bytes(lengthOf(input.int32()))),
  [op.SHORT_BINSTRING]: (machine, input) => machine.makeBytes(input.bytes(input.uint8())),
}

function refuse(what: string): never {
  throw new MemcacheValueError(`the pickle has ${what}, which is no plain data`)
}

function checkProtocol(protocol: number): void {
  if (protocol > LAST_PROTOCOL) throw new MemcacheValueError(`the pickle has protocol ${protocol}: up to ${LAST_PROTOCOL} can be read`)
}

function checkFrame(length: number, left: number): void {
  if (length > left) throw new MemcacheValueError(`the pickle says that ${length} bytes follow, but ${left} do`)
}

function lengthOf(length: number): number {
  if (length < 0) throw new MemcacheValueError(`the pickle has a length of ${length} bytes`)
  return length
}

function memoIndex(line: Buffer): number {
  const digits = line.toString('latin1')
  if (!/^\d{1,10}$/.test(digits)) throw new MemcacheValueError('the pickle refers to a value by what is no number')
  return Number(digits)
}

/** A whole number of any length, little-endian. */
function twosComplement(bytes: Buffer): bigint {
  if (bytes.length === 0) return 0n
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`))
}

function numberWhereExact(integer: bigint): number | bigint {
  const number = Number(integer)
  return Number.isSafeInteger(number) ? number : integer
}

/** The `str` of Python 2 as text; what is no UTF-8 as bytes. */
function pushText(machine: PickleMachine, bytes: Buffer): void {
  const text = decodeString(bytes)
  if (typeof text === 'string') machine.push(text)
  else machine.makeBytes(text)
}

function pushDict(machine: PickleMachine, items: readonly unknown[]): void {
  machine.make(new Dict())
  machine.setItems(items)
}

function setItem(machine: PickleMachine, value: unknown, key: unknown): void {
  machine.setItems([key, value])
}

function pushCallable(machine: PickleMachine, name: unknown, module: unknown): void {
  if (typeof name !== 'string' || typeof module !== 'string') throw new MemcacheValueError('the pickle names something by what is no string')
  machine.push(callableOf(module, name))
}

/**
 * The value, with each dict as what it has become: a plain object if all of its keys are strings, else a Map. Each
 * container is visited once, so that what was shared, or goes in a circle, still does.
 */
function settled(root: unknown): unknown {
  const todo: object[] = []
  const seen = new Set<object>()
  const settle = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value
    if (value instanceof Part) return refuse(`${value.name} by itself`)
    if (value instanceof Dict) {
      if (value.result === undefined) todo.push(value)
      return (value.result ??= value.isNamed() ? {} : new Map())
    }
    if ((Array.isArray(value) || value instanceof Set) && !seen.has(value)) {
      seen.add(value)
      todo.push(value)
    }
    return value
  }
  const key = (value: unknown): unknown => (value instanceof Dict ? refuse('a dict as a key or in a set') : settle(value))

  let slots = 0
  const result = settle(root)
  for (let container = todo.pop(); container !== undefined; container = todo.pop()) {
    if (Array.isArray(container)) container.forEach((value, index) => (container[index] = settle(value)))
    else if (container instanceof Set) container.forEach(key)
    else if (container instanceof Dict) {
      const { items, result: target } = container
      const elements = new Elements()
      for (let index = 0; index < items.length; index += 2) {
        const value = settle(items[index + 1])
        if (target instanceof Map) target.set(key(items[index]), value)
        else {
          slots += elements.add(items[index] as string)
          checkParts(slots)
          setOwn(target as Record<string, unknown>, items[index] as string, value)
        }
      }
    }
  }
  return result
}

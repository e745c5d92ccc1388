import type { Buffer } from 'node:buffer'
import type { Client, Opening } from '../client.ts'
import { arrived, BareWire, isKey, wholeLine, type Parse, type Waiting } from './wire.ts'

/** The bare loop of the text protocol; with `joined`, gets of one turn share a line. */

const [D, E, N, S, V, SPACE, CR, ZERO] = [68, 69, 78, 83, 86, 32, 13, 48]
/** How many gets share a line at most. */
const MOST_JOINED = 100

/** What it hands out is what the scenario stores: strings, or Buffers. */
export function bareText({ host, port, strings }: Opening, joined = false): Client {
  let open = 0 // gets on the line that is not ended
  const endLine = (): void => {
    if (open > 0) wire.write('\r\n')
    open = 0
  }
  const wire = new BareWire(host, port, parse, strings, endLine)
  const command = <T>(line: string, key = ''): Promise<T> => {
    endLine()
    wire.write(line)
    return wire.wait(key)
  }
  const store = (mode: string) => (key: string, value: string | Buffer): Promise<unknown> => {
    endLine()
    wire.writeValue((length) => `${mode} ${key} 0 0 ${length}\r\n`, value, '\r\n')
    return wire.wait(key)
  }
  const joinedGet = (key: string): Promise<unknown> => {
    if (open === MOST_JOINED) endLine()
    if (open === 0) wire.write(`get ${key}`)
    else {
      wire.write(` ${key}`)
      const before = wire.tail as Waiting
      before.last = false
    }
    open += 1
    return wire.wait(key)
  }
  return {
    get: joined ? joinedGet : (key) => command(`get ${key}\r\n`, key),
    getMulti(keys) {
      endLine()
      wire.write(`get ${keys.join(' ')}\r\n`)
      return wire.wait('', keys)
    },
    set: store('set'),
    add: store('add'),
    replace: store('replace'),
    append: store('append'),
    prepend: store('prepend'),
    delete: (key) => command(`delete ${key}\r\n`),
    incr: (key) => command(`incr ${key} 1\r\n`),
    decr: (key) => command(`decr ${key} 1\r\n`),
    close: () => wire.close(),
  }
}

const parse: Parse = (wire, bytes, from, end) => {
  let at = from
  while (at < end) {
    const first = bytes[at] as number
    if (first === V) {
      if (!wholeLine(bytes, at, end)) return at
      const key = keyOf(wire, bytes, at + 6)
      let i = at + 6 + key.length + 1
      while (bytes[i] !== SPACE) i += 1 // the flags
      let length = 0
      for (i += 1; bytes[i] !== CR; i += 1) length = length * 10 + (bytes[i] as number) - ZERO
      const start = i + 2
      if (start + length + 2 > end) {
        wire.announced = start + length + 2 - at
        return at
      }
      const value = wire.value(bytes, start, start + length)
      const head = wire.head as Waiting
      if (head.items !== undefined) {
        head.items.set(key, value)
        head.place += 1
      } else if (head.last) head.value = value
      else wire.settle(value)
      at = start + length + 2
    } else if (first === E) {
      if (at + 5 > end) return at
      let head = wire.head as Waiting
      for (; !head.last; head = wire.head as Waiting) wire.settle(undefined)
      wire.settle(head.items ?? head.value)
      at += 5
    } else if (first === S) {
      if (at + 8 > end) return at
      wire.settle(true)
      at += 8
    } else {
      if (!wholeLine(bytes, at, end)) return at
      const newline = bytes.indexOf(10, at)
      if (first === D) wire.settle(true)
      else if (first === N) wire.settle(false)
      else wire.settle(Number(bytes.toString('latin1', at, newline - 1)))
      at = newline + 1
    }
  }
  return at
}

/** The key of the value that has come. Who asked before it, in the same line, has missed. */
function keyOf(wire: BareWire, bytes: Buffer, at: number): string {
  let head = wire.head as Waiting
  if (head.items !== undefined) return arrived(head, bytes, at)
  for (; !head.last && !isKey(bytes, at, head.key); head = wire.head as Waiting) wire.settle(undefined)
  return head.key
}

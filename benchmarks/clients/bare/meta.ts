import type { Client, Opening } from '../client.ts'
import { arrived, BareWire, wholeLine, type Parse, type Waiting } from './wire.ts'

/** The bare loop of the meta protocol. */

const [D, E, H, M, V, SPACE, CR, ZERO] = [68, 69, 72, 77, 86, 32, 13, 48]

/** What it hands out is what the scenario stores: strings, or Buffers. */
export function bareMeta({ host, port, strings }: Opening): Client {
  const wire = new BareWire(host, port, parse, strings)
  const command = <T>(line: string, keys?: readonly string[]): Promise<T> => {
    wire.write(line)
    return wire.wait('', keys)
  }
  const store = (mode: string) => (key: string, value: string | Buffer): Promise<unknown> => {
    wire.writeValue((length) => `ms ${key} ${length}${mode}\r\n`, value, '\r\n')
    return wire.wait('')
  }
  return {
    get: (key) => command(`mg ${key} v\r\n`),
    getMulti(keys) {
      let lines = ''
      for (const key of keys) lines += `mg ${key} k v q\r\n`
      return command(`${lines}mn\r\n`, keys)
    },
    set: store(''),
    add: store(' ME'),
    replace: store(' MR'),
    append: store(' MA'),
    prepend: store(' MP'),
    delete: (key) => command(`md ${key}\r\n`),
    incr: async (key) => Number(await command(`ma ${key} v\r\n`)),
    decr: async (key) => Number(await command(`ma ${key} MD v\r\n`)),
    close: () => wire.close(),
  }
}

const parse: Parse = (wire, bytes, from, end) => {
  let at = from
  while (at < end) {
    const head = wire.head as Waiting
    if (bytes[at] === V) {
      if (!wholeLine(bytes, at, end)) return at
      let length = 0
      let i = at + 3
      for (; bytes[i] !== CR && bytes[i] !== SPACE; i += 1) length = length * 10 + (bytes[i] as number) - ZERO
      let key = ''
      if (head.items !== undefined) {
        key = arrived(head, bytes, i + 2) // "VA 100 kKEY"
        i += 2 + key.length
      }
      const start = i + 2
      if (start + length + 2 > end) {
        wire.announced = start + length + 2 - at
        return at
      }
      const value = wire.value(bytes, start, start + length)
      if (head.items === undefined) wire.settle(value)
      else {
        head.items.set(key, value)
        head.place += 1
      }
      at = start + length + 2
      continue
    }
    if (at + 4 > end) return at
    const first = bytes[at]
    if (first === M) wire.settle(head.items) // MN
    else if (first === E) wire.settle(undefined) // EN: a miss
    else wire.settle(first === H && bytes[at + 1] === D) // HD; NS, NF
    at += 4
  }
  return at
}

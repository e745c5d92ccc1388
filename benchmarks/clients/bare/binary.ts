import type { Client, Opening } from '../client.ts'
import { BareWire, type Parse, type Waiting } from './wire.ts'

/** The bare loop of the binary protocol. Packets are made as latin1 strings, which Node writes fastest. */

const HEADER = 24
const [GET, SET, ADD, REPLACE, DELETE, INCREMENT, DECREMENT, GETQ, NOOP, APPEND, PREPEND] = [0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15]
const FLAGS_AND_EXPIRY = '\0'.repeat(8)
/** One more or less, from 0, and no counter is made. */
const STEP = `${u32(0)}${u32(1)}${'\0'.repeat(8)}\xff\xff\xff\xff`

function u32(number: number): string {
  return String.fromCharCode(number >>> 24, (number >>> 16) & 255, (number >>> 8) & 255, number & 255)
}

/** A packet without its value, of which only the length is told. */
function packet(opcode: number, key = '', extras = '', valueLength = 0, opaque = 0): string {
  const sizes = String.fromCharCode(0x80, opcode, key.length >> 8, key.length & 255, extras.length, 0, 0, 0)
  return `${sizes}${u32(extras.length + key.length + valueLength)}${u32(opaque)}\0\0\0\0\0\0\0\0${extras}${key}`
}

/** What it hands out is what the scenario stores: strings, or Buffers. */
export function bareBinary({ host, port, strings }: Opening): Client {
  const wire = new BareWire(host, port, parse, strings)
  const command = <T>(bytes: string, keys?: readonly string[]): Promise<T> => {
    wire.write(bytes)
    return wire.wait('', keys)
  }
  const store = (opcode: number, extras = FLAGS_AND_EXPIRY) => (key: string, value: string | Buffer): Promise<unknown> => {
    wire.writeValue((length) => packet(opcode, key, extras, length), value, '')
    return wire.wait('')
  }
  return {
    get: (key) => command(packet(GET, key)),
    getMulti(keys) {
      let packets = ''
      for (let i = 0; i < keys.length; i += 1) packets += packet(GETQ, keys[i], '', 0, i)
      return command(packets + packet(NOOP), keys)
    },
    set: store(SET),
    add: store(ADD),
    replace: store(REPLACE),
    append: store(APPEND, ''),
    prepend: store(PREPEND, ''),
    delete: (key) => command(packet(DELETE, key)),
    incr: (key) => command(packet(INCREMENT, key, STEP)),
    decr: (key) => command(packet(DECREMENT, key, STEP)),
    close: () => wire.close(),
  }
}

const parse: Parse = (wire, bytes, from, end) => {
  let at = from
  while (end - at >= HEADER) {
    const size = HEADER + bytes.readUInt32BE(at + 8)
    if (at + size > end) {
      wire.announced = size
      return at
    }
    const opcode = bytes[at + 1]
    const done = bytes[at + 7] === 0 // the low byte of the status
    const start = at + HEADER + (bytes[at + 4] as number)
    const head = wire.head as Waiting
    if (opcode === GETQ) head.items?.set(head.keys?.[bytes.readUInt32BE(at + 12)] as string, wire.value(bytes, start, at + size))
    else if (opcode === NOOP) wire.settle(head.items)
    else if (opcode === GET) wire.settle(done ? wire.value(bytes, start, at + size) : undefined)
    else if (opcode === INCREMENT || opcode === DECREMENT) wire.settle(bytes.readUInt32BE(at + HEADER) * 2 ** 32 + bytes.readUInt32BE(at + HEADER + 4))
    else wire.settle(done)
    at += size
  }
  return at
}

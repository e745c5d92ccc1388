import fc from 'fast-check'
import { packet, REQUEST, uint32, uint64, type PacketParts } from './packets.ts'

/** Random requests of the binary protocol: mostly sensible ones about few keys, with every part now and then replaced by something odd. */

const rarely = <T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<T>, weight = 12): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: odd })

const LONG_KEY = 'k'.repeat(250)
/** A key of no length, or of too great a one, ends the connection. */
const key = rarely(fc.constantFrom('a', 'a', 'b', 'n', 'n', 'p:x', LONG_KEY, ' \r\n\0\xff'), fc.constantFrom('', `${LONG_KEY}k`), 100)
const flags = fc.constantFrom(0, 0, 5, 0xffffffff).map(uint32)
const exptime = fc.constantFrom(0, 0, 0, 100, 2592000, 2592001, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 2000000000).map(uint32)
const value = rarely(
  fc.constantFrom('', '1', '9', '10', '99', '100', '18446744073709551615', 'abc', '5 6', '-5', 'x'.repeat(40)),
  fc.constantFrom('18446744073709551616', '+7', ' 10', '007', '\0', '7\0', 'x'.repeat(3000), 'y'.repeat(20000), 'version\r\n')
)
const delta = fc.constantFrom(0n, 1n, 1n, 2n, 5n, 90n, 2n ** 63n, 2n ** 64n - 1n).map(uint64)
const cas = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0n) },
  { weight: 2, arbitrary: fc.bigInt({ min: 1n, max: 12n }) },
  { weight: 1, arbitrary: fc.constantFrom(999n, 2n ** 63n, 2n ** 64n - 1n) }
)

type Body = Partial<Record<'key' | 'extras' | 'value', string>>
const keyed = key.map((key): Body => ({ key }))
const stored = fc.tuple(key, flags, exptime, value).map(([key, flags, exptime, value]): Body => ({ key, extras: flags + exptime, value }))
const joined = fc.tuple(key, value).map(([key, value]): Body => ({ key, value }))
const counted = fc.tuple(key, delta, delta, exptime).map(([key, delta, initial, exptime]): Body => ({ key, extras: delta + initial + exptime }))
const touched = fc.tuple(key, exptime).map(([key, extras]): Body => ({ key, extras }))
const empty = fc.constant<Body>({})
const flushed = fc.constantFrom('', '', uint32(0), uint32(100), uint32(2592001), uint32(0xffffffff)).map((extras): Body => ({ extras }))
const section = fc.constantFrom(
  '', 'items', 'slabs', 'sizes', 'sizes_enable', 'sizes_disable', 'sizesx', 'settings', 'settingsx', 'setting', 'reset', 'resetx', 'detail', 'detail on',
  'detail onx', 'detail off', 'detail dump', 'detail dumpx', 'detail x', 'conns', 'extstore', 'cachedump 1 0', 'bogus', 'constructor'
).map((key): Body => ({ key }))
const credentials = fc.tuple(fc.constantFrom('PLAIN', 'x'.repeat(33), ''), fc.constantFrom('\0bob\0s3cret', '', 'x'.repeat(2000)))
  .map(([key, value]): Body => ({ key, value }))
const anything = fc.tuple(key, value, fc.constantFrom('', '1', uint32(1), '12345678', 'x'.repeat(20), 'x'.repeat(24)))
  .map(([key, value, extras]): Body => ({ key, value, extras }))

const shapes: readonly (readonly [weight: number, body: fc.Arbitrary<Body>, opcodes: readonly number[]])[] = [
  [40, keyed, [0x00, 0x09, 0x0c, 0x0d]],
  [60, stored, [0x01, 0x01, 0x01, 0x11, 0x11, 0x02, 0x12, 0x03, 0x13]],
  [30, joined, [0x0e, 0x19, 0x0f, 0x1a]],
  [20, keyed, [0x04, 0x14]],
  [50, counted, [0x05, 0x15, 0x06, 0x16]],
  [20, touched, [0x1c, 0x1d, 0x1e, 0x23, 0x24]],
  [10, flushed, [0x08, 0x18]],
  [10, empty, [0x0a, 0x0b]],
  [10, section, [0x10]],
  // What ends the connection, or is not known.
  [2, anything, Array.from({ length: 0x27 }, (_, opcode) => opcode)],
  [2, empty, [0x07, 0x17]],
  [2, fc.oneof(credentials, empty), [0x20, 0x21, 0x22]],
  [2, fc.oneof(anything, empty), [0x1b, 0x1f, 0x30, 0x3d, 0x40, 0xf0, 0xff]]
]
const body = fc.oneof(...shapes.map(([weight, body, opcodes]) => ({ weight, arbitrary: fc.tuple(fc.constantFrom(...opcodes), body) })))
const ignored: fc.Arbitrary<Partial<PacketParts>> = rarely(fc.constant({}), fc.constantFrom({ dataType: 5 }, { status: 77 }, { dataType: 255, status: 65535 }))
/** How much longer the header says that the body is. */
const excess = rarely(fc.constant(0), fc.constantFrom(1, -1, 24, -20, 30000, 2 ** 31), 100)
const magic = rarely(fc.constant(REQUEST), fc.constantFrom(0x81, 0x0a, 0x67), 100)

const request = fc.tuple(magic, body, cas, ignored, excess).map(([magic, [opcode, { key = '', extras = '', value = '' }], cas, ignored, excess]): PacketParts => {
  const bodyLength = Math.max(0, key.length + extras.length + value.length + excess)
  return { magic, opcode, key, extras, value, cas, bodyLength, ...ignored }
})

/** What is written on one connection, one after the other. */
export const binaryProgram: fc.Arbitrary<string[]> = fc.array(fc.array(request, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 3 })
  .map((writes) => writes.map((requests, write) => requests.map((each, index) => packet({ ...each, opaque: 1000 * write + index })).join('')))

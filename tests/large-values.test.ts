import { Buffer } from 'node:buffer'
import t, { type Test } from 'tap'
import { Client, compat, v8, type ClientOptions, type Middleware } from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { DRIVERS } from './support/drivers.ts'
import { random } from './support/outcomes.ts'
import { planting } from './support/planting.ts'
import { startMemcached, withoutMemcached } from './support/servers.ts'

/**
 * Values that come in pieces, of all kinds, many at once: the memory that some of them are gathered in is used again for others. All that
 * was read is held on to, and compared when nothing is in flight any more.
 */

const KEYS = 40
const CALLS = 1500
const IN_FLIGHT = 24

/** A value of one of the kinds, which says which one it is in every part of it. */
function valueOf(place: number, chance: () => number): unknown {
  const length = Math.ceil(2 ** (8 + chance() * 9.6)) // 256 bytes to 200 KB
  const word = `${place}.${Math.floor(chance() * 1e9)};`
  const text = word.repeat(Math.ceil(length / word.length))
  switch (place % 6) {
    case 0:
      return text
    case 1:
      return Buffer.from(text)
    case 2:
      return text.replaceAll('.', 'ü')
    case 3:
      return { place, text }
    case 4:
      return Buffer.from(text.replaceAll(';', '\xff'), 'latin1') // which is stored as if it were text
    default:
      return [text.replaceAll(';', '\ufffd')]
  }
}

const passing: Middleware = (next) => (request, call) => next(request, call)

const VARIANTS: { readonly [name: string]: ClientOptions } = {
  'by itself': {},
  'with a layer': { layers: [passing] },
  'with cas ids': { cacheCas: true },
  'gets not joined': { joinGets: false },
  v8: { serializer: v8 },
  'of python-memcached': { serializer: compat.pythonMemcached },
}

async function check(t: Test, client: Client, plant: Client, seed: number): Promise<void> {
  const chance = random(seed)
  const values = Array.from({ length: KEYS }, (_, place) => valueOf(place, chance))
  const key = (place: number): string => `${seed}-${place}`
  const store = (place: number): Promise<boolean> => (place % 6 === 4 ? plant.set(key(place), { value: values[place], flags: 0 }) : client.set(key(place), values[place]))
  await Promise.all(values.map((_, place) => store(place)))
  const held: (readonly [got: unknown, place: number])[] = []
  const any = (): number => Math.floor(chance() * KEYS)
  let left = CALLS
  const caller = async (): Promise<void> => {
    while (left-- > 0) {
      const [place, other, what] = [any(), any(), chance()]
      if (what < 0.6) held.push([await client.get(key(place)), place])
      else if (what < 0.7) held.push([(await client.gets(key(place)))?.value, place])
      else if (what < 0.8) {
        const both = await Promise.all([client.get(key(place)), client.get(key(place))]) // joined, one asks for the other's key
        held.push([both[0], place], [both[1], place])
      } else if (what < 0.95) {
        const found = await client.getMulti([key(place), 'nothing', key(other)])
        held.push([found.get(key(place)), place], [found.get(key(other)), other])
      } else await store(place)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller))
  const wrong = held.filter(([got, place]) => !same(got, values[place]))
  t.same(wrong.map(([, place]) => place), [], `${held.length} values`)
  await Promise.all([client.close(), plant.close()])
}

function same(got: unknown, value: unknown): boolean {
  if (Buffer.isBuffer(value)) return Buffer.isBuffer(got) && got.equals(value)
  return typeof value === 'string' ? got === value : JSON.stringify(got) === JSON.stringify(value)
}

for (const real of [false, true]) {
  t.test(real ? 'on a real memcached' : 'on the embedded server', { skip: real ? withoutMemcached : false }, async (t) => {
    const server = real ? await startMemcached(['-m', '256']) : await startServer()
    t.teardown(() => ('stop' in server ? server.stop() : server.close()))
    let seed = real ? 1000 : 0
    for (const { name, driver } of DRIVERS) {
      for (const [variant, options] of Object.entries(VARIANTS)) {
        const client = (more: ClientOptions): Client => new Client({ host: '127.0.0.1', port: server.port, driver, timeout: 20_000, ...more })
        await t.test(`${name}, ${variant}`, async (t) => check(t, client(options), client({ serializer: planting }), (seed += 1)))
      }
    }
  })
}

import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { encryption, type EncryptionKey, type EncryptionOptions } from '../docs/examples/encryption.ts'
import { Timings } from '../docs/examples/timings.ts'
import { Client, flags, lz4, MemcacheUnsupportedError, MemcacheValueError, meta, v8, type ClientOptions } from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { rejection } from '../lib/testing/contract/rejection.ts'
import { planting } from './support/planting.ts'

/** The layers of docs/examples: that they do what docs/layers.md says of them. */

const FORMER: EncryptionKey = { id: 1, secret: Buffer.alloc(32, 'former') }
const CURRENT: EncryptionKey = { id: 2, secret: Buffer.alloc(32, 'current') }

interface Stored {
  readonly value: Buffer
  readonly flags: number
}

/** A server, clients of it, and what lies there. */
async function scene(t: Test): Promise<{ open: (options?: ClientOptions) => Client; sealed: (options: EncryptionOptions, more?: ClientOptions) => Client; stored: (key: string) => Promise<Stored>; plant: (key: string, item: Stored) => Promise<boolean> }> {
  const server = await startServer()
  const clients: Client[] = []
  const open = (options: ClientOptions = {}): Client => {
    const client = new Client(server.url, options)
    clients.push(client)
    return client
  }
  t.teardown(async () => {
    await Promise.all(clients.map((client) => client.close()))
    await server.close()
  })
  const bare = open({ serializer: planting })
  return {
    open,
    sealed: (options, more = {}) => open({ ...more, layers: [encryption(options)] }),
    stored: async (key) => (await bare.get<Stored>(key)) as Stored,
    plant: (key, item) => bare.set(key, item),
  }
}

void t.test('encryption: what is stored is read, and nobody else can', async (t) => {
  const { open, sealed, stored } = await scene(t)
  for (const options of [{}, { keyPrefix: 'app:' }, { serializer: v8, minCompressLength: 1 }, { driver: meta }] satisfies ClientOptions[]) {
    const client = sealed({ keys: [CURRENT] }, options)
    const values = { string: 'the secret', empty: '', number: 42, bigint: 2n ** 70n, bytes: Buffer.from('the secret'), json: { the: ['secret', null] }, long: 'the secret '.repeat(1000) }
    await client.setMulti(values)
    for (const [key, value] of Object.entries(values)) {
      t.strictSame(await client.get(key), value)
      t.strictSame((await client.gets(key))?.value, value)
      t.strictSame(await client.gat(key, 60), value)
      const lies = await stored(`${(options as ClientOptions).keyPrefix ?? ''}${key}`)
      t.notOk(lies.value.includes('secret'))
      t.equal(lies.flags & 0x10000, 0x10000)
    }
    t.strictSame(await client.getMulti([...Object.keys(values), 'none']), new Map(Object.entries(values)))
    t.strictSame([...(await client.getsMulti(['string'])).values()].map(({ value }) => value), ['the secret'])
    if ('serializer' in options) t.ok((await stored('long')).value.length < 500, 'compressed before it is encrypted')
    if ('driver' in options) t.match(await client.metaGet('string'), { value: 'the secret', size: 29 + 10 })
    t.equal(await client.add('string', 'other'), false)
    t.equal(await client.replace('string', 'other'), true)
    const seen = await client.gets('string')
    t.equal(await client.cas('string', 'the last', { cas: seen?.cas as bigint }), true)
    t.equal(await client.get('string'), 'the last')
    t.strictSame(await Promise.all([client.set('string', 'first'), client.get('string'), client.set('string', 'second'), client.get('string')]), [true, 'first', true, 'second'], 'in the order of the calls')
    t.equal(await client.get('none'), undefined)
    t.equal(await client.delete('string'), true)
  }
  const client = sealed({ keys: [CURRENT] })
  await client.set('a', 'value')
  const first = await stored('a')
  await client.set('a', 'value')
  t.notSame(first.value, (await stored('a')).value, 'never twice the same bytes')
  t.ok(Buffer.isBuffer(await open().get('a')), 'without the layer it is a Buffer of noise')
})

void t.test('encryption: what was changed, or moved, is refused', async (t) => {
  const { sealed, stored, plant } = await scene(t)
  const client = sealed({ keys: [CURRENT, FORMER] })
  await client.setMulti({ mine: 'for me', yours: 'for you', good: 'good' })
  const { socket } = client
  const mine = await stored('mine')
  const forged: (readonly [what: string, item: Stored])[] = [
    ['the value of another key', await stored('yours')],
    ['other flags', { ...mine, flags: mine.flags | flags.bytes }],
    ['not encrypted', { value: Buffer.from('for me'), flags: 0 }],
    ['another key\'s id', { ...mine, value: Buffer.concat([Buffer.of(FORMER.id), mine.value.subarray(1)]) }],
    ['an id that nobody has', { ...mine, value: Buffer.concat([Buffer.of(99), mine.value.subarray(1)]) }],
    ['noise', { ...mine, value: randomBytes(50) }],
  ]
  for (let length = 0; length < mine.value.length; length += 1) forged.push([`cut off at ${length}`, { ...mine, value: mine.value.subarray(0, length) }])
  for (let place = 0; place < mine.value.length; place += 1) {
    const value = Buffer.from(mine.value)
    value[place] = (value[place] as number) ^ 1
    forged.push([`a bit of byte ${place}`, { ...mine, value }])
  }
  for (const [what, item] of forged) {
    await plant('mine', item)
    const [error, good] = await Promise.all([rejection(client.get('mine')), client.get('good')])
    t.ok(error instanceof MemcacheValueError && error.sent && error.command === 'get', `${what}: ${error.message}`)
    t.equal(good, 'good')
  }
  t.ok((await rejection(client.getMulti(['good', 'mine']))) instanceof MemcacheValueError)
  t.equal(client.socket, socket)
  await plant('mine', mine)
  t.equal(await client.get('mine'), 'for me')
})

void t.test('encryption: keys are changed without a day zero', async (t) => {
  const { sealed, stored } = await scene(t)
  const before = sealed({ keys: [FORMER] })
  const during = sealed({ keys: [FORMER, CURRENT] })
  const after = sealed({ keys: [CURRENT, FORMER] })
  const end = sealed({ keys: [CURRENT] })
  await before.set('old', 'by the former')
  await after.set('new', 'by the current')
  t.strictSame([(await stored('old')).value[0], (await stored('new')).value[0]], [1, 2])
  for (const client of [during, after]) t.strictSame([...(await client.getMulti(['old', 'new'])).values()], ['by the former', 'by the current'])
  t.match(await rejection(before.get('new')), { name: 'MemcacheValueError', message: /a key that is not here/ })
  t.match(await rejection(end.get('old')), { name: 'MemcacheValueError', message: /a key that is not here/ })
  t.equal(await end.get('new'), 'by the current')
  const wrong: readonly EncryptionOptions[] = [{ keys: [] }, { keys: [{ id: 256, secret: CURRENT.secret }] }, { keys: [{ id: 1, secret: Buffer.alloc(16) }] }]
  for (const options of wrong) t.throws(() => encryption(options), MemcacheValueError)
})

void t.test('encryption: counters and appending need items that are plain, and say so', async (t) => {
  const { sealed, stored } = await scene(t)
  const client = sealed({ keys: [CURRENT], plain: (key) => key.startsWith('plain:') })
  await client.set('n', 5)
  for (const call of [client.incr('n'), client.decr('n'), client.incr('m', 1, { initial: 0 }), client.append('n', 'x'), client.prepend('n', 'x')]) {
    const error = await rejection(call)
    t.ok(error instanceof MemcacheUnsupportedError && error.sent === false, error.message)
  }
  t.equal(await client.get('n'), 5)
  t.equal(await client.get('m'), undefined, 'nothing was made')
  t.equal(await client.incr('plain:n', 1, { initial: 10 }), 10)
  t.equal(await client.incr('plain:n', 5), 15)
  t.equal(await client.get('plain:n'), 15)
  await client.set('plain:log', 'a')
  await client.append('plain:log', 'b')
  t.equal(await client.get('plain:log'), 'ab')
  t.equal((await stored('plain:log')).value.toString(), 'ab', 'for everybody to read')
})

void t.test('encryption: a cache that was plain', async (t) => {
  const { open, sealed } = await scene(t)
  await open().set('a', { plain: true })
  t.match(await rejection(sealed({ keys: [CURRENT] }).get('a')), { message: /not encrypted/ })
  const migrating = sealed({ keys: [CURRENT], migrating: true })
  t.strictSame(await migrating.get('a'), { plain: true })
  await migrating.set('a', { plain: false })
  t.strictSame(await sealed({ keys: [CURRENT] }).get('a'), { plain: false })
})

void t.test('timings: by command, failures too', async (t) => {
  const { open, plant } = await scene(t)
  const timings = new Timings()
  const client = open({ layers: [timings.layer], compressor: lz4 })
  t.strictSame(timings.report(), {})
  await client.set('n', 1)
  await client.add('n', 1)
  await client.incr('n', -1)
  await client.getMulti(['n', 'm'])
  await client.setMulti({ a: 1, b: 2 })
  await client.gets('n')
  for (let round = 0; round < 20; round += 1) await client.get('n')
  await plant('text', { value: Buffer.from('x'), flags: 0 })
  await rejection(client.incr('text'))
  const report = timings.report()
  t.strictSame(Object.fromEntries(Object.entries(report).map(([command, { calls, failed }]) => [command, [calls, failed]])), {
    set: [3, 0], add: [1, 0], decr: [1, 0], getMulti: [1, 0], gets: [1, 0], get: [20, 0], incr: [1, 1],
  })
  for (const { mean, p50, p99, max } of Object.values(report)) t.ok(p50 > 0 && p50 <= p99 && p99 <= max * 1.01 && mean > 0 && max < 10_000, `${p50} ${p99} ${max}`)
  timings.report({ reset: true })
  t.strictSame(timings.report(), {})
  await client.get('n')
  t.equal(timings.report()['get']?.calls, 1)
})

void t.test('timings: a slow server shows, and nothing is overtaken', async (t) => {
  const server = await startServer()
  const timings = new Timings()
  const client = new Client(server.url, { layers: [timings.layer] })
  t.teardown(async () => {
    await client.close()
    await server.close()
  })
  await client.set('n', 0)
  server.delay(100)
  const [set, got] = await Promise.all([client.set('n', 1), client.get('n')])
  t.strictSame([set, got], [true, 1])
  const slowest = timings.report()['get']?.max ?? 0
  t.ok(slowest >= 90, `${slowest} ms`)
})

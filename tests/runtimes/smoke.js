/**
 * Uses the package as an application does, on whatever runtime this is: Node, Bun or Deno. It stands beside the package, which
 * it finds by its name, and takes the address of a memcached, if there is one: `smoke.js [host:port]`. It exits with 0 only if
 * everything came out as it should.
 */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import process from 'node:process'
import { binary, Client, MemcacheClosedError, MemcacheSocketError, MemcacheTimeoutError, meta, text } from 'ermc'
import { startServer } from 'ermc/testing'

const DRIVERS = { text, binary, meta }
const KEYS = Array.from({ length: 500 }, (_, place) => `many-${place}`)

const { Bun, Deno } = globalThis
const runtime = Bun ? `Bun ${Bun.version}` : Deno ? `Deno ${Deno.version.deno}` : `Node ${process.versions.node}`

/** What a runtime that loses or delays something would hang on ends the process instead. */
const watchdog = setTimeout(() => {
  console.error(`${runtime}: still not done after a minute`)
  process.exit(1)
}, 60_000)

const [memcached] = process.argv.slice(2)
for (const [name, driver] of Object.entries(DRIVERS)) {
  await onEmbedded(name, driver)
  if (memcached !== undefined) await onMemcached(name, driver, memcached)
}
clearTimeout(watchdog)
console.log(`${runtime}: all is well`)

async function onEmbedded(name, driver) {
  const server = await startServer()
  const client = new Client(server.url, { driver, keyPrefix: `${name}:` })
  await values(client)
  await faults(client, server)
  await server.close()
  console.log(`${runtime}: ${name} on the embedded server`)
}

async function onMemcached(name, driver, address) {
  const client = new Client(`memcached://${address}`, { driver, keyPrefix: `smoke-${process.pid}-${name}:` })
  await values(client)
  await client.close()
  console.log(`${runtime}: ${name} on memcached ${address}`)
}

/** Everything that goes through a connection, in all sizes: one packet, one turn, more than is read at a time. */
async function values(client) {
  const samples = { string: 'Grüße, 世界', empty: '', number: 42, bigint: 2n ** 70n, object: { name: 'Ada' }, buffer: Buffer.from([0, 1, 254, 255]) }
  for (const [key, sample] of Object.entries(samples)) {
    assert.equal(await client.set(key, sample, { ttl: 60 }), true)
    assert.deepEqual(await client.get(key), sample, key)
  }
  assert.equal(await client.get('nobody'), undefined)
  assert.equal(await client.add('string', 'again'), false)
  assert.equal(await client.incr('number', 8), 50)
  assert.equal(await client.decr('number', 1n), 49n)
  const { value, cas } = await client.gets('string')
  assert.equal(value, samples.string)
  assert.equal(await client.cas('string', 'new', { cas, ttl: 60 }), true)
  assert.equal(await client.cas('string', 'newer', { cas, ttl: 60 }), false)
  assert.equal(await client.touch('string', 30), true)

  const stored = await client.setMulti(KEYS.map((key) => [key, key]), { ttl: 60 })
  assert.ok(KEYS.every((key) => stored.get(key) === true))
  assert.deepEqual([...(await client.getMulti(['nobody', ...KEYS])).values()].sort(), [...KEYS].sort())
  assert.deepEqual(await Promise.all(KEYS.map((key) => client.get(key))), KEYS, 'pipelined')

  const long = Buffer.alloc(900_000, 'ermc ')
  assert.equal(await client.set('long', long, { ttl: 60 }), true)
  assert.ok(long.equals(await client.get('long')), 'a long value')
  const text = 'compressible '.repeat(10_000)
  assert.equal(await client.set('compressed', text, { ttl: 60, minCompressLength: 100 }), true)
  assert.equal(await client.get('compressed'), text)

  assert.equal((await client.deleteMulti([...Object.keys(samples), ...KEYS, 'long', 'compressed'])).get('long'), true)
  assert.match(await client.version(), /^\d/)
}

/** Each fault in time, as the error that it is, and the client goes on. */
async function faults(client, server) {
  const lost = new Promise((resolve) => client.once('disconnect', resolve))
  server.stall()
  await assert.rejects(client.get('a', { timeout: 100 }), (error) => error instanceof MemcacheTimeoutError && error.sent)
  await assert.rejects(client.get('a', { signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' })
  server.resume()
  assert.equal(await client.set('a', 1), true)

  server.closeAfterBytes(1)
  await assert.rejects(client.get('a'), (error) => error instanceof MemcacheSocketError && error.sent)
  assert.ok((await lost) instanceof MemcacheSocketError, 'the event "disconnect" has its cause')
  assert.equal(await client.get('a'), 1, 'on a new connection')

  const pending = client.get('a')
  server.stall()
  const closing = client.close()
  await assert.rejects(pending, MemcacheClosedError)
  await closing
  await assert.rejects(client.get('a'), MemcacheClosedError)
  server.resume()

  const { port } = server
  await server.close()
  const stray = new Client({ port, connectTimeout: 2000 })
  await assert.rejects(stray.get('a'), (error) => error instanceof MemcacheSocketError && !error.sent)
  await stray.close()
}

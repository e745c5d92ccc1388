import { Buffer } from 'node:buffer'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import * as zlib from 'node:zlib'
import t from 'tap'
import { Client, deflate, flags, lz4, MemcacheUnsupportedError, zstd } from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { rejection } from '../lib/testing/contract/rejection.ts'
import { checksOf } from './support/compressor-checks.ts'
import { nodeWithZstd, withoutZstd } from './support/newer-node.ts'
import { outsideTap } from './support/outside-tap.ts'
import { planting } from './support/planting.ts'
import { startMemcached, withoutMemcached } from './support/servers.ts'

/** What makes bytes fewer: the same checks for each compressor, and the formats as other programs know them. */

t.setTimeout(180_000)

for (const [name, body] of [...checksOf('lz4', lz4), ...checksOf('deflate', deflate)]) {
  void t.test(name, async (t) => {
    await body()
    t.pass('nothing is thrown')
  })
}

void t.test('deflate is what zlib writes, at any level, and no other of its formats', async (t) => {
  const text = Buffer.from('hello hello hello hello')
  t.strictSame(deflate.decompress(Buffer.from('789ccb48cdc9c957c8402701680308b1', 'hex'), 100), text, 'by Python')
  for (const level of [0, 1, 9]) t.strictSame(deflate.decompress(zlib.deflateSync(text, { level }), 100), text)
  t.strictSame(zlib.inflateSync(deflate.compress(text)), text)
  for (const other of [zlib.gzipSync(text), zlib.deflateRawSync(text)]) t.throws(() => deflate.decompress(other, 100))
})

void t.test('zstd in a Node that has it', { skip: withoutZstd || withoutMemcached }, async (t) => {
  const server = await startMemcached()
  t.teardown(() => server.stop())
  const program = fileURLToPath(new URL('support/zstd-program.ts', import.meta.url))
  const args = ['--import', 'tsx', program, String(server.port), '5000']
  const { status, stdout, stderr } = spawnSync(...outsideTap(nodeWithZstd as string, args), { encoding: 'utf8', timeout: 120_000 })
  t.equal(status, 0, stderr)
  const outcomes = stdout.trim().split('\n').map((line) => JSON.parse(line) as { name: string; problem: string })
  t.equal(outcomes.length, 11)
  for (const { name, problem } of outcomes) t.equal(problem, '', name)
})

if (!('zstdCompressSync' in zlib)) {
  void t.test('zstd in a Node that lacks it', async (t) => {
    await using server = await startServer()
    await using client = new Client(server.url, { compressor: zstd, minCompressLength: 10 })
    await using other = new Client(server.url)
    await using planter = new Client(server.url, { serializer: planting })
    await planter.set('k', { value: Buffer.from('28b52ffd2005290000' + '68656c6c6f', 'hex'), flags: flags.zstd })
    t.equal(await client.set('short', 'value'), true, 'it is not needed')
    const { socket } = client
    for (const error of [await rejection(client.set('long', 'value '.repeat(100))), await rejection(client.get('k')), await rejection(other.get('k'))]) {
      t.type(error, MemcacheUnsupportedError)
      t.match(error.message, /22\.15/)
    }
    t.equal(await client.get('short'), 'value')
    t.equal(client.socket, socket)
  })
}

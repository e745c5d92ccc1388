import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { Client, flags, json, MemcacheValueError, type Compressor } from '../../lib/index.ts'
import { startServer } from '../../lib/testing/index.ts'
import { planting } from './planting.ts'

/** What every compressor has to do. Without tap, so that they also run in another Node, see zstd-program.ts. */

const MiB = 1024 * 1024
const TEXT = Buffer.from('What goes in comes out, byte for byte. '.repeat(200))

/** A name, and what throws unless it holds. */
export type Check = readonly [name: string, body: () => unknown]

/** The checks of one compressor. */
export function checksOf(name: string, compressor: Compressor): readonly Check[] {
  const { flag, compress, decompress } = compressor
  return [
    [`${name}: bytes come back, if they are no more than allowed`, () => {
      for (const length of [0, 1, 2, 100, 65_535, 65_536, MiB]) {
        for (const bytes of [Buffer.alloc(length), randomBytes(length), Buffer.alloc(length, TEXT)]) {
          const fewer = compress(bytes)
          assert.ok(decompress(fewer, 64 * MiB).equals(bytes), `${length} bytes`)
          assert.ok(decompress(fewer, Math.max(1, length)).equals(bytes), `${length} bytes, and no more are allowed`)
          if (length > 1) assert.throws(() => decompress(fewer, length - 1), `${length} bytes, one too many`)
        }
      }
    }],
    [`${name}: what is cut off is refused, wherever`, () => {
      const fewer = compress(TEXT)
      for (let length = 0; length < fewer.length; length += 1) assert.throws(() => decompress(fewer.subarray(0, length), 64 * MiB), `${length} of ${fewer.length} bytes`)
    }],
    [`${name}: what has more behind it is refused, since that would be lost`, () => {
      for (const more of [Buffer.from('x'), Buffer.alloc(1), TEXT, compress(TEXT)]) assert.throws(() => decompress(Buffer.concat([compress(TEXT), more]), 64 * MiB))
    }],
    [`${name}: noise is refused, or is bytes`, () => {
      for (let round = 0; round < 2000; round += 1) {
        const bytes = round % 2 === 0 ? randomBytes(round % 200) : Buffer.from(compress(TEXT))
        if (bytes.length > 8 && round % 2 === 1) bytes[5 + (round % (bytes.length - 5))] = round & 0xff
        try {
          assert.ok(decompress(bytes, MiB).length <= MiB)
        } catch (error) {
          assert.ok(error instanceof Error && !(error instanceof assert.AssertionError), String(error))
        }
      }
    }],
    [`${name}: by way of a client`, async () => {
      await using server = await startServer()
      await using client = new Client(server.url, { compressor, minCompressLength: 100 })
      await using other = new Client(server.url)
      await using planter = new Client(server.url, { serializer: planting })
      const values = { text: TEXT.toString(), bytes: TEXT, json: { list: Array.from({ length: 100 }, () => ({ a: null })) }, bigint: 10n ** 500n }
      const kinds = { text: flags.string, bytes: flags.bytes, json: json.flag, bigint: flags.long }
      await client.setMulti(values)
      for (const [key, value] of Object.entries(values)) {
        assert.deepEqual(await client.get(key), value)
        assert.deepEqual(await other.get(key), value, 'a client that compresses in another way')
        const planted = await planter.get<{ flags: number; value: Buffer }>(key)
        assert.equal(planted?.flags, flag | kinds[key as keyof typeof kinds])
      }
      await client.set('short', 'x'.repeat(99))
      await client.set('noise', randomBytes(1000))
      assert.deepEqual([(await planter.get<{ flags: number }>('short'))?.flags, (await planter.get<{ flags: number }>('noise'))?.flags], [flags.string, flags.bytes])
      assert.equal(await client.append('text', 'more'), true)
      await assert.rejects(client.get('text'), MemcacheValueError, 'never a value without what was appended')
      assert.equal(await client.get('short'), 'x'.repeat(99))
    }],
    [`${name}: a bomb is one rejected call, and takes no memory`, async () => {
      await using server = await startServer({ itemSizeMax: 2 * MiB })
      await using client = new Client(server.url)
      await using planter = new Client(server.url, { serializer: planting, maxValueLength: 2 * MiB })
      await planter.set('bomb', { value: compress(Buffer.alloc(200 * MiB)), flags: flags.bytes | flag })
      await client.set('other', 'value')
      const { socket } = client
      const before = process.memoryUsage().rss
      for (let round = 0; round < 5; round += 1) {
        const [bomb, value] = await Promise.allSettled([client.get('bomb'), client.get('other')])
        assert.ok(bomb.status === 'rejected' && bomb.reason instanceof MemcacheValueError)
        assert.deepEqual(value, { status: 'fulfilled', value: 'value' })
      }
      const grown = (process.memoryUsage().rss - before) / MiB
      assert.ok(grown < 400, `${Math.round(grown)} MiB`)
      assert.equal(client.socket, socket)
    }],
  ]
}

import type { Feature } from './contract.ts'
import { rejection } from './rejection.ts'

/** What is asked of the server itself. */
export function administration(feature: Feature): void {
  feature('version is what the server says', ['version', 'stats'], async (t, { client }) => {
    const version = await client.version()
    t.match(version, /^\d+\.\d+/)
    t.equal((await client.stats()).get('version'), version)
  })

  feature('stats counts what was done', ['stats', 'get', 'set'], async (t, { client, key }) => {
    const k = key()
    const count = async (name: string): Promise<number> => Number((await client.stats()).get(name))
    const [sets, gets, hits] = [await count('cmd_set'), await count('cmd_get'), await count('get_hits')]
    await client.set(k, 1)
    await client.get(k)
    await client.get(`${k}:missing`)
    t.equal((await count('cmd_set')) - sets, 1)
    t.equal((await count('cmd_get')) - gets, 2)
    t.equal((await count('get_hits')) - hits, 1)
  })

  feature('stats gives the sections of the server', ['stats', 'set', 'get'], async (t, { client, key }) => {
    const k = key()
    await client.set(k, 'v')
    t.match((await client.stats('settings')).get('maxbytes'), /^\d+$/)
    t.ok([...(await client.stats('items')).keys()].some((name) => /^items:\d+:number$/.test(name)))
    t.match((await client.stats('slabs')).get('total_malloced'), /^\d+$/)
    t.ok((await client.stats('conns')).size > 0)
    t.ok((await client.stats('sizes')) instanceof Map)
    t.strictSame(await client.stats('detail on'), new Map())
    await client.get('prefix:1')
    t.ok((await client.stats('detail dump')) instanceof Map)
    t.strictSame(await client.stats('detail off'), new Map())
    const [slab] = [...(await client.stats('items')).keys()].map((name) => name.split(':')[1])
    t.ok((await client.stats(`cachedump ${slab} 100`)).size > 0)
    t.strictSame(await client.stats('reset'), new Map())
    t.equal(await client.get(k), 'v', 'and the replies are still in step')
  })

  feature('a section that the server does not have is refused', ['stats', 'version'], async (t, { client }) => {
    t.match(await rejection(client.stats('bogus')), { name: 'MemcacheClientError', command: 'stats', sent: true })
    t.match(await rejection(client.stats('sizes_enable')), { name: 'MemcacheUnsupportedError', sent: false }, 'it has no end')
    t.match(await rejection(client.stats('two\r\nlines')), { name: 'MemcacheValueError', sent: false })
    t.match(await client.version(), /^\d/)
  })

  feature('verbosity', ['verbosity', 'version'], async (t, { client }) => {
    t.equal(await client.verbosity(1), true)
    t.equal(await client.verbosity(0), true)
    for (const level of [-1, 0.5, NaN, 2 ** 31, '1', undefined, null]) {
      t.match(await rejection(client.verbosity(level as number)), { name: 'MemcacheValueError', command: 'verbosity', sent: false })
    }
  })
}

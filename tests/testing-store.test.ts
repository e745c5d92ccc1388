import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { startServer } from '../lib/testing/index.ts'
import { ReadBuffer } from '../lib/testing/read-buffer.ts'
import { ask, RawConnection } from './support/raw-connection.ts'
import type { ServerOptions, TestServer } from '../lib/testing/index.ts'

/** A Tuesday in 2025, in the middle of a second. */
const START = 1_750_000_000_500
const DAY = 24 * 60 * 60

/** A server whose clock moves only when it is told to. */
async function startAt(start: number, options: ServerOptions = {}): Promise<{ server: TestServer; pass: (seconds: number) => void } & AsyncDisposable> {
  let now = start
  const server = await startServer({ ...options, now: () => now })
  return { server, pass(seconds) { now += seconds * 1000 }, [Symbol.asyncDispose]: () => server.close() }
}

const set = (key: string, exptime: number | string, value = 'x'): string => `set ${key} 0 ${exptime} ${value.length}\r\n${value}\r\n`
const hit = (key: string, value = 'x'): string => `VALUE ${key} 0 ${value.length}\r\n${value}\r\nEND\r\n`
const MISS = 'END\r\n'
const STORED = 'STORED\r\n'

t.test('an item lives for its exptime, in whole seconds', async (t) => {
  await using clock = await startAt(START)
  const { server } = clock
  t.equal(await ask(server, set('a', 2), set('b', 0), set('c', 30 * DAY)), STORED.repeat(3))
  clock.pass(1)
  t.equal(await ask(server, 'get a\r\n'), hit('a'))
  clock.pass(0.6)
  t.equal(await ask(server, 'get a\r\n'), MISS, 'the second is over before two times 1000 ms are')
  t.equal(await ask(server, 'get b\r\nget c\r\n'), hit('b') + hit('c'))
  clock.pass(30 * DAY - 3)
  t.equal(await ask(server, 'get c\r\n'), hit('c'))
  clock.pass(3)
  t.equal(await ask(server, 'get b\r\nget c\r\n'), hit('b') + MISS, '30 days are still relative; 0 is for ever')
})

t.test('an exptime of more than 30 days is a time since the epoch', async (t) => {
  await using clock = await startAt(START)
  const { server } = clock
  const now = Math.floor(START / 1000)
  t.equal(await ask(server, set('a', now + 10), set('b', now - 1), set('c', 30 * DAY + 1), set('d', now), set('e', 2147483647)), STORED.repeat(5))
  t.equal(await ask(server, 'get a\r\nget b\r\nget c\r\nget d\r\nget e\r\n'), hit('a') + MISS + MISS + MISS + hit('e'))
  clock.pass(9)
  t.equal(await ask(server, 'get a\r\n'), hit('a'))
  clock.pass(1)
  t.equal(await ask(server, 'get a\r\n'), MISS)
})

t.test('a negative exptime is over at once, and so is one of more than 31 bits', async (t) => {
  for (const start of [START, 0, 1000]) {
    await using clock = await startAt(start)
    t.equal(await ask(clock.server, set('a', -1), 'get a\r\n', set('a', 2147483648), 'get a\r\n', set('a', -2147483648), 'get a\r\n'), (STORED + MISS).repeat(3))
    t.equal(await ask(clock.server, set('a', 4294967301), 'mg a t\r\n'), `${STORED}HD t5\r\n`, 'its upper bits are lost')
  }
})

t.test('touch and gat move the end, and nothing else', async (t) => {
  await using clock = await startAt(START)
  const { server } = clock
  t.equal(await ask(server, set('a', 10), set('b', 10), 'touch a 100\r\n', 'gat 100 b\r\n', 'gets a b\r\n'),
    `${STORED}${STORED}TOUCHED\r\n${hit('b')}VALUE a 0 1 1\r\nx\r\nVALUE b 0 1 2\r\nx\r\nEND\r\n`)
  clock.pass(99)
  t.equal(await ask(server, 'touch b 0\r\nget a\r\n'), `TOUCHED\r\n${hit('a')}`)
  clock.pass(1)
  t.equal(await ask(server, 'get a\r\nget b\r\ntouch a 5\r\ngat 5 a\r\n'), `${MISS}${hit('b')}NOT_FOUND\r\n${MISS}`)
})

t.test('append, incr and replace: which of them keeps exptime and flags', async (t) => {
  await using clock = await startAt(START)
  t.equal(await ask(clock.server, 'set a 5 10 1\r\n9\r\nincr a 1\r\nappend a 7 0 1\r\n0\r\nmg a v f t\r\nreplace a 0 0 1\r\n1\r\nmg a v f t\r\n'),
    'STORED\r\n10\r\nSTORED\r\nVA 3 f5 t10\r\n100\r\nSTORED\r\nVA 1 f0 t-1\r\n1\r\n')
})

t.test('flush_all', async (t) => {
  await using clock = await startAt(START)
  const { server } = clock
  t.equal(await ask(server, set('a', 0), 'flush_all\r\nget a\r\n', set('a', 0), 'get a\r\n'), `${STORED}OK\r\n${MISS}${STORED}${hit('a')}`, 'takes what was there')
  t.equal(await ask(server, 'flush_all 10\r\n', set('b', 0), 'get a b\r\n'), `OK\r\n${STORED}${hit('a').slice(0, -5)}${hit('b')}`, 'later, when it has a delay')
  clock.pass(8)
  t.equal(await ask(server, 'get a\r\n'), hit('a'))
  clock.pass(1)
  t.equal(await ask(server, 'get a b\r\n', set('c', 0), 'get c\r\n'), MISS + STORED + MISS, 'with what is stored in the last second')
  clock.pass(1)
  t.equal(await ask(server, set('c', 0), 'get c\r\n'), STORED + hit('c'))
  clock.pass(100)
  t.equal(await ask(server, 'get c\r\n'), hit('c'))
})

t.test('what was flushed stays gone, whatever is flushed next', async (t) => {
  await using server = await startServer()
  await ask(server, set('a', 0), set('b', 0), 'flush_all\r\n')
  t.equal(await ask(server, 'flush_all 1000\r\nget a\r\n'), `OK\r\n${MISS}`)
  t.match(await ask(server, 'stats\r\n'), /STAT curr_items 0\r\n/)
})

t.test('flush_all without cas ids takes the running second too', async (t) => {
  await using clock = await startAt(START, { casEnabled: false })
  t.equal(await ask(clock.server, 'flush_all\r\n', set('a', 0), 'get a\r\n'), `OK\r\n${STORED}${MISS}`)
  clock.pass(1)
  t.equal(await ask(clock.server, set('a', 0), 'gets a\r\ncas a 0 0 1 0\r\n1\r\n'), `${STORED}VALUE a 0 1 0\r\nx\r\nEND\r\nEXISTS\r\n`)
})

t.test('cas ids count up with every change', async (t) => {
  await using server = await startServer()
  const ids = async (): Promise<string[]> => [...(await ask(server, 'gets a b\r\n')).matchAll(/^VALUE \S+ \d+ \d+ (\d+)/gm)].map((match) => match[1]!)
  await ask(server, set('a', 0, '1'), set('b', 0))
  t.same(await ids(), ['1', '2'])
  await ask(server, 'incr a 1\r\nappend b 0 0 1\r\n1\r\n')
  t.same(await ids(), ['3', '4'])
  await ask(server, 'get a\r\ntouch a 0\r\ngat 0 b\r\nadd a 0 0 1\r\n1\r\nincr b 1\r\n')
  t.same(await ids(), ['3', '4'], 'not with what changes nothing')
  t.equal(await ask(server, 'cas a 0 0 1 3\r\n5\r\ncas a 0 0 1 3\r\n6\r\ncas c 0 0 1 3\r\n7\r\n'), 'STORED\r\nEXISTS\r\nNOT_FOUND\r\n')
  t.same(await ids(), ['5', '4'])
})

t.test('counters hold 64 bits', async (t) => {
  await using server = await startServer()
  const counter = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
  await fc.assert(fc.asyncProperty(counter, counter, fc.boolean(), async (value, delta, down) => {
    const wanted = down ? (delta > value ? 0n : value - delta) : BigInt.asUintN(64, value + delta)
    const stored = String(wanted).padEnd(String(value).length)
    t.equal(await ask(server, set('n', 0, String(value)), `${down ? 'decr' : 'incr'} n ${delta}\r\n`, 'get n\r\n'), `${STORED}${wanted}\r\n${hit('n', stored)}`)
  }), { numRuns: 40 })
})

t.test('the size limit counts the key, the flags and what an item costs', async (t) => {
  await using server = await startServer()
  for (const [key, flags] of [['k', 0], ['k', 1], ['k'.repeat(250), 0], ['k'.repeat(250), 7]] as const) {
    const largest = 1048576 - 59 - key.length - (flags === 0 ? 0 : 4)
    const store = (length: number): string => `set ${key} ${flags} 0 ${length}\r\n${'v'.repeat(length)}\r\n`
    t.equal(await ask(server, store(largest), `mg ${key} s\r\n`), `STORED\r\nHD s${largest}\r\n`)
    t.equal(await ask(server, store(largest + 1), `mg ${key} s\r\n`), 'SERVER_ERROR object too large for cache\r\nEN\r\n', 'and the old value is gone')
  }
  await using small = await startServer({ itemSizeMax: 2048, casEnabled: false })
  const [largest, larger] = [2048 - 51 - 1, 2048 - 51]
  t.equal(await ask(small, `set k 0 0 ${largest}\r\n${'v'.repeat(largest)}\r\nadd l 0 0 ${larger}\r\n${'v'.repeat(larger)}\r\n`), 'STORED\r\nSERVER_ERROR object too large for cache\r\n')
})

t.test('a full memory evicts what was not used for longest', async (t) => {
  await using server = await startServer({ memoryLimit: 2 * 1024 * 1024, chunkSize: 500_000 })
  t.equal(await ask(server, ...['a', 'b', 'c', 'd'].map((key) => set(key, 0)), 'get a\r\nget a\r\n'), STORED.repeat(4) + hit('a').repeat(2))
  t.equal(await ask(server, set('e', 0), 'get a\r\nget b\r\nget e\r\n'), STORED + hit('a') + MISS + hit('e'), 'b, as a was fetched more than once')
  t.match(await ask(server, 'stats\r\n'), /STAT curr_items 4\r\n[^]*STAT evictions 1\r\n/)
  await using clock = await startAt(START, { memoryLimit: 2 * 1024 * 1024, chunkSize: 500_000 })
  t.equal(await ask(clock.server, set('a', 0), set('b', 5), set('c', 0), set('d', 0)), STORED.repeat(4))
  clock.pass(6)
  t.equal(await ask(clock.server, set('e', 0), 'get a\r\n'), STORED + hit('a'), 'or what has expired')
  t.match(await ask(clock.server, 'stats\r\n'), /STAT evictions 0\r\nSTAT reclaimed 1\r\n/)
})

t.test('a full memory that may not evict refuses', async (t) => {
  await using server = await startServer({ memoryLimit: 2 * 1024 * 1024, chunkSize: 500_000, evictions: false })
  const full = 'SERVER_ERROR out of memory storing object\r\n'
  t.equal(await ask(server, ...['a', 'b', 'c', 'd'].map((key) => set(key, 0, '9'))), STORED.repeat(4))
  t.equal(await ask(server, 'add e 0 0 1\r\n1\r\nincr a 1\r\nappend a 0 0 1\r\n1\r\nma e N0\r\n'),
    `${full}SERVER_ERROR out of memory\r\n${full}SERVER_ERROR Out of memory allocating new item\r\n`)
  t.equal(await ask(server, set('a', 0), 'get a\r\n', set('a', 0), set('e', 0)), full + MISS + STORED + full, 'a set that failed has made room')
  t.equal(await ask(server, 'ms b 1 ME q\r\n2\r\nmg b\r\n'), `${full}EN\r\n`, 'and so has an ms in any mode')
})

t.test('a connection that ends in the middle of a value gives its room back', async (t) => {
  await using server = await startServer({ memoryLimit: 2 * 1024 * 1024, chunkSize: 500_000, evictions: false })
  for (let index = 0; index < 5; index++) t.equal(await ask(server, 'set a 0 0 5\r\nab'), '')
  t.equal(await ask(server, ...['a', 'b', 'c', 'd'].map((key) => set(key, 0))), STORED.repeat(4))
})

t.test('statistics tell what happened', async (t) => {
  await using clock = await startAt(START)
  const { server } = clock
  await ask(server, 'set a 0 1 1\r\n1\r\nset b 3 0 2\r\n10\r\nget a b c\r\nincr b 1\r\ndecr c 1\r\ntouch a 1\r\ntouch c 1\r\ndelete c\r\ncas b 0 0 1 99\r\n1\r\n')
  await ask(server, 'cas c 0 0 1 1\r\n1\r\nflush_all 100\r\ngat 1 a\r\ndelete b\r\nset big 0 0 2000000\r\n', Buffer.alloc(2_000_000), '\r\n')
  clock.pass(2)
  await ask(server, 'get a\r\n')
  const stats = new Map([...(await ask(server, 'stats\r\n')).matchAll(/^STAT (\S+) (.*)\r$/gm)].map((match) => [match[1]!, match[2]!]))
  t.match(Object.fromEntries(stats), {
    pid: String(process.pid), version: '1.6.18', time: '1750000002', uptime: '4', curr_connections: '1', total_connections: '5', cmd_get: '4', cmd_set: '4',
    cmd_flush: '1', cmd_touch: '3', get_hits: '2', get_misses: '2', get_expired: '1', delete_misses: '1', delete_hits: '1', incr_hits: '1',
    incr_misses: '0', decr_misses: '1', cas_badval: '1', cas_misses: '1', touch_hits: '2', touch_misses: '1', store_too_large: '1',
    curr_items: '0', total_items: '2', bytes: '0'
  })
  t.match(await ask(server, 'stats reset\r\nstats\r\n'), /^RESET\r\n[^]*STAT cmd_get 0\r\n[^]*STAT get_hits 0\r\n[^]*STAT total_items 0\r\n/)
})

t.test('settings are those of the options, and of the commands since then', async (t) => {
  await using server = await startServer({ memoryLimit: 100 * 1024 * 1024, flushEnabled: false, shutdownEnabled: true, idleTimeout: 7 })
  t.match(await ask(server, 'verbosity 9\r\ncache_memlimit 200\r\nlru tune 10 25 0.1 2.5\r\nlru temp_ttl 5\r\nslabs automove 0\r\nextstore item_age 5\r\nstats settings\r\n'),
    /^(?:OK\r\n){6}STAT maxbytes 209715200\r\n[^]*verbosity 2\r\n[^]*shutdown_command yes\r\n[^]*slab_automove 0\r\n[^]*flush_enabled no\r\n[^]*hot_lru_pct 10\r\n[^]*warm_max_factor 2.50\r\n[^]*temp_lru yes\r\nSTAT temporary_ttl 5\r\nSTAT idle_timeout 7\r\n[^]*ext_item_age 5\r\n/)
})

t.test('dumps', async (t) => {
  await using clock = await startAt(START, { trackSizes: true })
  const { server } = clock
  await ask(server, set('a', 0), set('b c', 0), set('b', 5, 'xyz'), set('gone', -1), `set ${'k'.repeat(100)} 1 0 1\r\n1\r\nms Zm9v 1 b\r\n1\r\n`)
  t.equal(await ask(server, 'stats cachedump 1 0\r\n'), 'ITEM b [3 b; 1750000005 s]\r\nITEM a [1 b; 0 s]\r\nEND\r\n', 'newest first, no encoded keys, and nothing that has expired')
  t.equal(await ask(server, 'stats cachedump 1 1\r\nstats cachedump 63 0\r\n'), 'ITEM b [3 b; 1750000005 s]\r\nEND\r\nEND\r\n')
  t.match(await ask(server, 'lru_crawler metadump 1\r\n'), /^key=a exp=-1 la=1750000000 cas=\d+ fetch=no cls=1 size=61\nkey=b exp=1750000005 .*\nkey=foo .*\nEND\r\n$/)
  t.equal(await ask(server, 'stats sizes\r\n'), 'STAT 64 3\r\nSTAT 192 1\r\nEND\r\n')
  t.match(await ask(server, 'stats items\r\n'), /^STAT items:1:number 3\r\n[^]*STAT items:1:mem_requested \d+\r\n[^]*STAT items:4:number 1\r\n/)
  await using closed = await startServer({ dumpEnabled: false })
  t.equal(await ask(closed, 'stats cachedump 1 1\r\n'), 'CLIENT_ERROR stats cachedump not allowed\r\n')
})

t.test('commands that are for operators', async (t) => {
  await using server = await startServer()
  t.equal(await ask(server, 'watch\r\nversion\r\n'), 'OK\r\n', 'a watcher has no commands any more')
  t.equal(await ask(server, 'lru_crawler crawl 1,2\r\nlru_crawler crawl 64\r\nlru_crawler crawl hash\r\nlru_crawler enable\r\nlru_crawler disable\r\nlru_crawler enable\r\n'),
    'OK\r\nBADCLASS invalid class id\r\nERROR an unknown error happened\r\nERROR failed to start lru crawler thread\r\nOK\r\nOK\r\n')
  t.equal(await ask(server, 'lru_crawler metadump ,\r\n'), 'NOTSTARTED no items to crawl\r\n')
  await using other = await startServer({ casEnabled: false, trackSizes: true })
  t.equal(await ask(other, set('a', 0), 'stats sizes\r\nstats sizes_enable\r\n'), `${STORED}STAT 64 1\r\nEND\r\nSTAT sizes_status error\r\nSTAT sizes_error cas_support_disabled\r\n`)
})

t.test('credentials have to fit into the read buffer', async (t) => {
  await using server = await startServer({ auth: { ada: 'secret' } })
  t.equal(await ask(server, `set a 0 0 20000\r\n${'x'.repeat(20000)}\r\n`), '')
  t.equal(await ask(server, 'set a 0 0 3\r\nada\r\nversion\r\n'), 'CLIENT_ERROR unauthenticated\r\n', 'one reply for all before')
  t.equal(await ask(server, 'set a 0 0 10\r\nada secret\r\nversion\r\n'), `${STORED}VERSION 1.6.18\r\n`)
  t.match(await ask(server, 'set a 0 0 10\r\nada secret\r\nstats settings\r\n'), /binding_protocol ascii\r\n[^]*auth_enabled_ascii yes\r\n/)
})

t.test('replies leave when memcached sends them', async (t) => {
  await using server = await startServer()
  const connection = new RawConnection(server)
  connection.send('set a 0 0 1\r\n1\r\nset b 0 0 3\r\n')
  await sleep(40)
  t.equal(connection.received, '', 'a value under way holds earlier replies back')
  connection.send('abc\r\n')
  t.equal(await connection.finish(), STORED.repeat(2))
  const long = `get ${'k'.repeat(251)}\r\n`
  t.equal(await ask(server, set('a', 0).repeat(30), long), `${STORED.repeat(21)}CLIENT_ERROR bad command line format\r\n`, 'replies go out at the latest after 21 commands')
})

t.test('how the input is cut makes no difference', async (t) => {
  const line = fc.oneof(
    fc.tuple(fc.constantFrom('set', 'append', 'ms'), fc.string({ maxLength: 60 })).map(([name, text]) => {
      const value = Buffer.from(text, 'utf8')
      return Buffer.concat([Buffer.from(`${name} a ${name === 'ms' ? '' : '0 0 '}${value.length}\r\n`), value, Buffer.from('\r\n')])
    }),
    fc.constantFrom('get a\r\n', 'get a b a\n', 'gets a\r\n', 'incr a 1\r\n', 'bogus\r\n', 'mg a v c\r\n', 'delete a\r\n', 'set a 0 0 2\r\nabcd\r\n').map((text) => Buffer.from(text))
  )
  await fc.assert(fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 15 }), fc.array(fc.nat(400), { maxLength: 6 }), async (lines, cuts) => {
    await using whole = await startServer()
    await using pieces = await startServer()
    const bytes = Buffer.concat(lines)
    const wanted = await ask(whole, bytes)
    const connection = new RawConnection(pieces)
    let from = 0
    for (const cut of [...cuts.filter((cut) => cut < bytes.length).sort((one, other) => one - other), bytes.length]) {
      connection.send(bytes.subarray(from, cut))
      from = cut
      await sleep(1)
    }
    t.equal(await connection.finish(), wanted)
  }), { numRuns: 30 })
})

t.test('no input is quadratic', async (t) => {
  await using server = await startServer()
  const keys = Array.from({ length: 10_000 }, (_, index) => `key-${index}`)
  const bytes = Buffer.from(`${keys.map((key) => set(key, 0)).join('')}get ${keys.join(' ')}\r\n`)
  const start = performance.now()
  const replies = await ask(server, bytes)
  t.equal(replies, STORED.repeat(10_000) + keys.map((key) => `VALUE ${key} 0 1\r\nx\r\n`).join('') + MISS)
  const whole = performance.now() - start

  const value = Buffer.alloc(1_000_000, 'v')
  const pieces = Array.from({ length: 1000 }, (_, index) => value.subarray(index * 1000, index * 1000 + 1000))
  t.equal(await ask(server, 'set big 0 0 1000000\r\n', ...pieces, '\r\n'), STORED)
  t.equal((await ask(server, 'get big\r\n'.repeat(20))).length, 20 * (1_000_000 + 'VALUE big 0 1000000\r\n\r\nEND\r\n'.length))
  t.ok(whole < 3000, `10,000 keys in ${whole.toFixed()} ms`)
  const line = Buffer.from(`get ${'k'.repeat(300_000)}\n`)
  const dripping = performance.now()
  const buffer = new ReadBuffer()
  let found: string | undefined
  for (let index = 0; index < line.length; index++) {
    buffer.append(line.subarray(index, index + 1))
    if (index === 3000) buffer.grow()
    buffer.read()
    found = buffer.line()
  }
  const dripped = performance.now() - dripping
  t.equal(found?.length, line.length - 1)
  t.ok(dripped < 3000, `a line of 300,000 bytes, one at a time, in ${dripped.toFixed()} ms`)
})

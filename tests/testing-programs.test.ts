import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { startServer } from '../lib/testing/index.ts'
import { binaryProgram } from './support/binary-programs.ts'
import { withoutValues } from './support/masked-replies.ts'
import { startMemcached1618, withoutMemcached1618 } from './support/memcached-1618.ts'
import { RawConnection, waitFor } from './support/raw-connection.ts'
import { textProgram } from './support/text-programs.ts'

/** The same bytes for memcached 1.6.18 and for the embedded server, and the same answers from both. */

interface Answer { readonly response: string; readonly closed: boolean }

/**
 * All that comes back for these writes, and whether the server closed before the client did. If it is known that the
 * server `closes`, that is waited for.
 */
async function play(port: number, writes: readonly string[], closes = false): Promise<Answer> {
  const connection = new RawConnection({ port })
  for (const write of writes) {
    connection.send(write)
    await sleep(8)
  }
  if (closes) await waitFor(() => connection.ended !== undefined)
  const closed = connection.ended !== undefined
  return { response: await connection.finish(), closed }
}

/** Plays a program on both, on fresh servers; `inspect` is a second program, for what the first has left. */
async function compare(program: readonly string[], inspect: readonly string[], masked: (response: string) => string): Promise<void> {
  // Two writes may reach memcached as one, which can change its answer: then the next attempt decides.
  for (let attempt = 1; ; attempt++) {
    await using real = await startMemcached1618()
    await using embedded = await startServer()
    const answers = async (port: number, closes?: boolean): Promise<Answer[]> => {
      const answer = await play(port, program, closes)
      const { response, closed } = await play(port, inspect)
      return [{ ...answer, response: masked(answer.response) }, { response: withoutTimes(response), closed }]
    }
    const found = await answers(embedded.port)
    const wanted = await answers(real.port, found[0]!.closed)
    const [one, other] = [JSON.stringify(wanted), JSON.stringify(found)]
    if (one === other) return
    if (attempt === 3) throw new Error(`memcached: ${one}\nembedded:  ${other}`)
  }
}

function withoutTimes(response: string): string {
  return response.replace(/ ([tl])\d{2,}/g, ' $1*').replace(/ (la|exp)=-?\d+/g, ' $1=*')
}

/** Statistics that do not depend on time, memory, or how soon what has expired is found. */
const EXACT = /^(?:cmd|delete|incr|decr|cas|touch|store|auth)_|^get_(?:hits|misses)$|^total_items$|^detailed$|^sizes_|_enabled$|^binding_protocol$/

function withoutStatistics(response: string): string {
  return withoutValues(response, ({ opcode, key }) => opcode === 0x10 && key !== '' && !EXACT.test(key))
}

const RUNS = Number(process.env['ERMC_FUZZ_RUNS'] ?? 40)
/** What is there in the end, of the keys that the programs use. */
const LOOK = ['a', 'b', 'n', 'p:x', 'k'.repeat(250), 'IA0KAP8= b'].map((key) => `mg ${key} v f c s t h k\r\n`).join('')

for (const [name, program, masked] of [['text and meta', textProgram, withoutTimes], ['binary', binaryProgram, withoutStatistics]] as const) {
  t.test(`random programs, ${name}`, { skip: withoutMemcached1618 }, async (t) => {
    await fc.assert(fc.asyncProperty(program, (writes) => compare(writes, [LOOK], masked)), { numRuns: RUNS, includeErrorInReport: true })
    t.pass(`${RUNS} programs were answered alike`)
  })
}

t.test('the names of all statistics', { skip: withoutMemcached1618 }, async (t) => {
  const names = async (port: number, section: string): Promise<string[]> => {
    const { response } = await play(port, ['set a 0 0 1\r\n1\r\nset b 1 0 100\r\n', `${'x'.repeat(100)}\r\nget a\r\n`, `stats${section}\r\n`])
    return response.split('\r\n').map((line) => line.replace(/^(STAT )(?:\d+:(?=[als]))?(\S+) .*/, '$1$2'))
  }
  await using real = await startMemcached1618(['-o', 'track_sizes'])
  await using embedded = await startServer({ trackSizes: true })
  for (const section of ['', ' settings', ' items', ' slabs', ' sizes', ' conns', ' extstore', ' detail dump', ' bogus']) {
    t.same(await names(embedded.port, section), await names(real.port, section), `stats${section}`)
  }
})

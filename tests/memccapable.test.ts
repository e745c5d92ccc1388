import { execFile } from 'node:child_process'
import t from 'tap'
import { startServer } from '../lib/testing/index.ts'
import { installed, startMemcached, withoutMemcached } from './support/servers.ts'

/** libmemcached's own test of servers, text and binary: what it asks of memcached, the embedded server answers too. */

const withoutMemccapable = installed('memccapable') ? false : 'memccapable (libmemcached-tools) is not installed'

/** Its tests by their names, with what became of them: `pass`, `FAIL`, … */
async function memccapable(port: number): Promise<{ exit: number; results: Record<string, string> }> {
  const args = ['-h', '127.0.0.1', '-p', String(port), '-t', '20']
  const { exit, output } = await new Promise<{ exit: number; output: string }>((resolve) => {
    execFile('memccapable', args, { encoding: 'latin1' }, (error, stdout) => { resolve({ exit: Number(error?.code ?? 0), output: stdout }) })
  })
  return { exit, results: Object.fromEntries([...output.matchAll(/^((?:ascii|binary) .*?) *\[(\w+)\]$/gm)].map(([, name = '', result = '']) => [name, result])) }
}

t.test('memccapable, at memcached and at the embedded server', { skip: withoutMemccapable || withoutMemcached, timeout: 60_000 }, async (t) => {
  const real = await startMemcached()
  t.teardown(() => real.stop())
  await using embedded = await startServer()
  const [wanted, found] = await Promise.all([memccapable(real.port), memccapable(embedded.port)])
  t.equal(Object.keys(wanted.results).length, 54)
  t.strictSame(new Set(Object.values(wanted.results)), new Set(['pass']))
  t.strictSame(found, wanted)
  t.equal(found.exit, 0)
})

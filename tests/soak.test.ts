import { fileURLToPath } from 'node:url'
import t from 'tap'
import { outsideTap } from './support/outside-tap.ts'
import { ended, type Ended } from './support/program.ts'
import { withoutMemcached } from './support/servers.ts'

/** `npm run soak`, for some seconds, as a user would run it. */

async function soak(args: readonly string[], path = process.env['PATH']): Promise<Ended> {
  const script = fileURLToPath(new URL('soak/soak.ts', import.meta.url))
  const command = outsideTap('env', [`PATH=${path}`, process.execPath, '--import', 'tsx', script, ...args])
  return ended(command, { timeout: 100_000 })
}

t.test('some seconds of it', { skip: withoutMemcached }, async (t) => {
  const { code, out, err } = await soak(['--minutes', '0.1', '--seed', '1'])
  t.equal(code, 0, out)
  t.equal(err, '')
  t.match(out, /4 clients \(text, binary, meta, memjs\) for 0\.1 minutes, seed 1\n/)
  t.match(out, /^\d+ s · \d+ calls\/s · \d+ settled \(.*SOCKET \d+.* ok \d+\) · heap [\d.]+ MB · \d+ sockets · \d+ pending$/m)
  t.equal(out.match(/^✓/gm)?.length, 5, 'each part of the verdict')
  t.notMatch(out, '\x1b', 'no codes of a terminal where there is none')
})

t.test('what cannot be run', async (t) => {
  const none = await soak([], '/nowhere')
  t.equal(none.code, 2)
  t.match(none.err, 'a soak needs a real server: memcached is not installed')
  const unknown = await soak(['--driver', 'telepathy'])
  t.equal(unknown.code, 2)
  t.match(unknown.err, '--driver is one of text, binary, meta, memjs')
})

import { Buffer } from 'node:buffer'
import t from 'tap'
import { noop } from '../../drivers/noop.ts'
import { Client } from '../../lib/client.ts'
import { MemcacheError } from '../../lib/errors.ts'
import { wrap } from '../../lib/wrap.ts'
import { CALLS, contract, type Command } from './contract.ts'
import { rejection } from './rejection.ts'
import { subjects } from './subjects.ts'

for (const subject of subjects) contract(t, subject)

/** A driver that can do nothing at all: what the contract asks of commands that a driver does not have. */
contract(t, {
  name: 'a driver without commands',
  skip: false,
  unsupported: Object.keys(CALLS) as Command[],
  start: async () => ({ options: { driver: wrap('empty', () => ({ commands: {}, close() {} })) }, stop: async () => {} }),
})

void t.test('noop takes every command, remembers nothing, and needs no server', async (t) => {
  await using client = new Client({ driver: noop, host: 'no.such.host.invalid', cacheCas: true })
  const replies: { readonly [command in Command]: unknown } = {
    get: undefined, gets: undefined, gat: undefined, gats: undefined, getMulti: new Map(), getsMulti: new Map(),
    set: true, add: true, replace: true, append: true, prepend: true, cas: true, touch: false, delete: false,
    setMulti: new Map([['unsupported', true]]), deleteMulti: new Map([['unsupported', false]]),
    incr: undefined, decr: undefined, flushAll: true, stats: new Map(), version: '0.0.0', verbosity: true,
  }
  for (const [command, call] of Object.entries(CALLS)) t.strictSame(await call(client), replies[command as Command], command)
  t.equal(client.isConnected(), true)
  t.equal(client.socket, undefined)
  t.equal(await client.incr('k', 5, { initial: 7 }), 7)
  t.equal(await client.decr('k', 5n, { initial: 7 }), 7n)
  t.equal(await client.get('k'), undefined)
  const many = Array.from({ length: 10_000 }, (_, index): [string, number] => [`k${index}`, index])
  t.equal((await client.setMulti(many)).size, many.length)
  t.equal((await client.getMulti(many.map(([key]) => key))).size, 0)

  const wrong = [
    client.get('a b'), client.set('', 1), client.set('k', undefined), client.set('k', new Map()), client.set('k', Buffer.alloc(1_000_001)),
    client.cas('k', 1), client.incr('k', 0.5), client.set('k', 1, { ttl: NaN }), client.stats('\r\n'), client.flushAll(-1),
  ]
  for (const promise of wrong) t.ok((await rejection(promise)) instanceof MemcacheError, 'arguments are checked all the same')

  await client.close()
  t.equal(client.isConnected(), false)
  t.match(await rejection(client.get('k')), { name: 'MemcacheClosedError' })
  await client.connect()
  t.equal(await client.set('k', 1), true)
})

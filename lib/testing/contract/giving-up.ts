import { deepEqual, equal, ok } from 'node:assert/strict'
import { clause, type Clause } from './clause.ts'
import { misbehaviours } from './faulty-server.ts'
import { later, rejection, rejects } from './rejection.ts'

/** How long anything may take beyond its deadline on a machine that is busy: milliseconds. */
const PATIENCE = 2500

/** Callers that do not wait any longer: by their deadline or their signal. */
export const givingUp: readonly Clause[] = [
  clause('a call has its own timeout', ['server', 'get', 'set'], async ({ make, key, faulty }) => {
    const server = await faulty(misbehaviours.silent)
    const client = make({ ...server.address, timeout: 60_000 })
    await client.connect()
    const began = performance.now()
    await Promise.all([
      rejects(client.get(key(), { timeout: 50 }), { name: 'MemcacheTimeoutError', command: 'get', sent: true }),
      rejects(client.set(key(), 'v', { timeout: 60 }), { name: 'MemcacheTimeoutError', command: 'set', sent: true }),
    ])
    const took = performance.now() - began
    ok(took >= 45 && took < PATIENCE, `it took ${took} ms`)
  }),

  clause('a signal that is aborted already rejects with its reason, and nothing is done', ['memory', 'get', 'set', 'getMulti', 'setMulti'], async ({ client, key }) => {
    const k = key()
    const reason = new Error('no longer wanted')
    const signal = AbortSignal.abort(reason)
    const calls = [client.set(k, 'v', { signal }), client.setMulti([[k, 'v']], { signal }), client.get(k, { signal }), client.getMulti([k], { signal })]
    for (const error of await Promise.all(calls.map((call) => rejection(call)))) equal(error, reason)
    equal(await client.get(k), undefined)
  }),

  clause('what is aborted before it is sent is not sent', ['memory', 'get', 'set'], async ({ client, key }) => {
    const k = key()
    await client.connect()
    const reason = new Error('changed my mind')
    const controller = new AbortController()
    const call = later(rejection(client.set(k, 'v', { signal: controller.signal })))
    controller.abort(reason)
    equal(await call, reason)
    equal(await client.get(k), undefined)
  }),

  clause('what is aborted in flight rejects at once, and the next reply is right', ['memory', 'server', 'get', 'set', 'getMulti', 'delete'], async ({ client, key }) => {
    const [a, b] = [key('a'), key('b')]
    await client.set(a, 'A'.repeat(200_000))
    await client.set(b, 'B')
    for (let time = 0; time < 10; time += 1) {
      const controller = new AbortController()
      const { signal } = controller
      const reason = new Error(`aborted for the ${time}th time`)
      const aborted = [client.get(a, { signal }), client.getMulti([a, b], { signal }), client.set(`${b}:${time}`, time, { signal })].map((call) => later(rejection(call)))
      const kept = later(client.get(b))
      await new Promise((resolve) => process.nextTick(resolve)) // they are written, and no reply has been read yet
      controller.abort(reason)
      const next = later(client.get(b))
      deepEqual(await Promise.all(aborted), [reason, reason, reason])
      deepEqual([await kept, await next, await client.delete(key())], ['B', 'B', false])
    }
  }),

  clause('a signal is of no consequence once the call is over', ['memory', 'get', 'set'], async ({ client, key }) => {
    const k = key()
    const controller = new AbortController()
    equal(await client.set(k, 'v', { signal: controller.signal, timeout: 5000 }), true)
    controller.abort()
    equal(await client.get(k), 'v')
  }),
]

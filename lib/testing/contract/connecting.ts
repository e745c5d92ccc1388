import { deepEqual, equal, ok } from 'node:assert/strict'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Client } from '../../index.ts'
import { CALLS, COMMANDS, CONCERNS_ALL } from './calls.ts'
import { clause, type Clause } from './clause.ts'
import { misbehaviours } from './faulty-server.ts'
import { later, rejects } from './rejection.ts'
import type { Scene } from './scene.ts'

const CLOSED = { name: 'MemcacheClosedError' }

/** A connection's beginning and its end, where both are wanted. */
export const connecting: readonly Clause[] = [
  clause('a client connects by itself at its first command, once for all that wait', ['version'], async ({ client }) => {
    const events = record(client)
    equal(client.isConnected(), false)
    await Promise.all([client.version(), client.version(), client.connect(), client.connect(), client.version()])
    equal(client.isConnected(), true)
    await client.connect()
    await nextTurn()
    deepEqual(events, ['connect'])
  }),

  clause('events tell of a connection and of its end, with why', [], async ({ client }) => {
    const events = record(client)
    await client.connect()
    await nextTurn()
    equal(client.isConnected(), true)
    deepEqual(events, ['connect'])
    await client.close()
    await nextTurn()
    equal(client.isConnected(), false)
    equal(client.socket, undefined)
    deepEqual(events, ['connect', 'MemcacheClosedError'])
  }),

  clause('close() ends all that is pending, each call once', [], async ({ make, key, has }) => {
    for (const connected of [false, true]) {
      const client = make()
      if (connected) await client.connect()
      const outcomes = called(client, key, has)
      const closing = client.close()
      for (const { command, call } of outcomes) await rejects(call, { ...CLOSED, command, sent: false }, command)
      await closing
      equal(client.isConnected(), false)
    }
  }),

  clause('close() says of what it has sent that it was sent', ['server', 'get', 'set'], async ({ make, key, faulty }) => {
    const server = await faulty(misbehaviours.silent)
    const client = make(server.address)
    await client.connect()
    const calls = [client.get(key()), client.set(key(), 'v'), client.get(key())].map((call) => later(rejects(call, { ...CLOSED, sent: true })))
    await server.reached
    await client.close()
    await Promise.all(calls)
  }),

  clause('a closed client refuses commands until connect()', [], async ({ client, key, has }) => {
    await client.connect()
    await client.close()
    for (const { command, call } of called(client, key, has)) await rejects(call, { ...CLOSED, command, sent: false }, command)
    await client.connect()
    equal(client.isConnected(), true)
    for (const { call } of called(client, key, has)) await call
  }),

  clause('close() can be called at any time, and never rejects', [], async ({ make }) => {
    const client = make()
    await client.close()
    await Promise.all([client.close(), client.disconnect()])
    const opening = client.connect().catch((error: Error) => error)
    await client.close()
    const failure = await opening
    ok(failure === undefined || failure.name === 'MemcacheClosedError', String(failure))
    await client.connect()
    await client[Symbol.asyncDispose]()
    equal(client.isConnected(), false)
  }),

  clause('connect({ reconnect: true }) ends the connection and makes another one', ['memory', 'get', 'set'], async ({ client, key }) => {
    const k = key()
    await client.set(k, 'v')
    await nextTurn()
    const events = record(client)
    const pending = [client.get(k), client.get(k)].map(later)
    const again = later(client.connect({ reconnect: true }))
    for (const call of pending) await rejects(call, { ...CLOSED, command: 'get' })
    await again
    equal(client.isConnected(), true)
    equal(await client.get(k), 'v')
    await nextTurn()
    deepEqual(events, ['MemcacheClosedError', 'connect'])
  }),

  clause('connect({ reconnect: true }) connects where there is no connection', [], async ({ client }) => {
    await client.connect({ reconnect: true })
    ok(client.isConnected())
  }),
]

/** The events of a client from now on: `connect`, and the name of the cause of a `disconnect`. */
function record(client: Client): string[] {
  const events: string[] = []
  client.on('connect', () => events.push('connect'))
  client.on('disconnect', (cause) => events.push(cause.name))
  return events
}

/** A call of every command that the subject has and that harms nobody else, all in this turn. */
function called(client: Client, key: Scene['key'], has: Scene['has']): { command: string; call: Promise<unknown> }[] {
  const harmless = COMMANDS.filter((command) => has(command) && (has('own server') || !CONCERNS_ALL.includes(command)))
  return harmless.map((command) => ({ command, call: later<unknown>(CALLS[command](client, key(command))) }))
}

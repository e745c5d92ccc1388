import { createHmac } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startServer } from '../lib/testing/index.ts'
import { OPCODES, packet, packetsIn, REQUEST, uint32, type Packet, type PacketParts } from './support/packets.ts'
import { ask, RawConnection, waitFor, type Address } from './support/raw-connection.ts'

/** The embedded server's binary protocol, where recordings and programs that are compared with memcached do not tell all. */

const [SETQ, SASL_LIST, SASL_START, SASL_STEP] = [0x11, 0x20, 0x21, 0x22]
const [NOT_FOUND, AUTH_FAILURE, AUTH_CONTINUE, UNKNOWN, NO_MEMORY] = [0x01, 0x20, 0x21, 0x81, 0x82]

const get = (key: string): PacketParts => ({ opcode: OPCODES.get, key })
const set = (key: string, value: string, exptime = 0): PacketParts => ({ opcode: OPCODES.set, key, value, extras: uint32(0) + uint32(exptime) })
const noop: PacketParts = { opcode: OPCODES.noop }

/** Requests, numbered from 1 by their opaque. */
function bytesOf(requests: readonly PacketParts[]): string {
  return requests.map((each, index) => packet({ magic: REQUEST, opaque: index + 1, ...each })).join('')
}

/** Status and value of each reply, behind the number of its request. */
function told(replies: readonly Packet[] | undefined): unknown[] | undefined {
  return replies?.map(({ opaque, status, value }) => (value === '' ? [opaque, status] : [opaque, status, value]))
}

/** What comes back for requests on a connection of their own. */
async function send(server: Address, ...requests: readonly PacketParts[]): Promise<unknown[] | undefined> {
  return told(packetsIn(await ask(server, bytesOf(requests))))
}

/** What comes back for requests on this connection, once there are so many replies. */
async function sendOn(connection: RawConnection, count: number, ...requests: readonly PacketParts[]): Promise<unknown[] | undefined> {
  connection.send(bytesOf(requests))
  await waitFor(() => (packetsIn(connection.received)?.length ?? 0) >= count || connection.ended !== undefined)
  return told(packetsIn(await connection.take(0)))
}

t.test('a connection speaks the protocol of its first byte, and all see the same items', async (t) => {
  await using server = await startServer()
  const [binary, text] = [new RawConnection(server), new RawConnection(server)]
  t.strictSame(await sendOn(binary, 1, set('a', 'from binary')), [[1, 0]])
  t.ok(await text.ask('get a\r\nset b 0 0 9\r\nfrom text\r\n', 'VALUE a 0 11\r\nfrom binary\r\nEND\r\nSTORED\r\n'))
  t.strictSame(await sendOn(binary, 1, get('b')), [[1, 0, 'from text']])
  t.ok(await text.ask(`\x80${'\0'.repeat(23)}\r\n`, 'ERROR\r\n'), 'it is decided once')
  binary.send('version\r\n'.padEnd(24))
  t.equal(await binary.closed, 'end')
  t.equal(binary.received, '')
  await text.finish()
})

t.test('a server of one protocol', async (t) => {
  await using ascii = await startServer({ protocol: 'ascii' })
  t.equal(await ask(ascii, bytesOf([noop])), 'ERROR\r\n', 'the opcode is a line feed')
  t.equal(await ask(ascii, bytesOf([get('a')])), '', 'and without one there is no line')
  await using binary = await startServer({ protocol: 'binary' })
  const connection = new RawConnection(binary)
  connection.send('version\r\n')
  await sleep(40)
  t.strictSame([connection.received, connection.ended], ['', undefined], 'fewer bytes than a header are waited for')
  connection.send('version\r\n'.repeat(2))
  t.equal(await connection.closed, 'end')
  t.strictSame(await send(binary, noop), [[1, 0]])
})

t.test('how the requests are cut makes no difference', async (t) => {
  await using server = await startServer()
  const requests = [
    set('a', 'abc'), { ...set('b', ''), opcode: SETQ }, get('a'), { opcode: OPCODES.append, key: 'a', value: 'd' }, { opcode: OPCODES.getk, key: 'a' },
    { opcode: OPCODES.hello, value: 'dropped' }, { opcode: OPCODES.stat, key: 'bogus' }, get('b'), { opcode: OPCODES.quit }
  ]
  const bytes = bytesOf(requests)
  const wanted = await ask(server, bytes)
  t.strictSame(told(packetsIn(wanted)), [[1, 0], [3, 0, 'abc'], [4, 0], [5, 0, 'abcd'], [6, UNKNOWN, 'Unknown command'], [7, NOT_FOUND, 'Not found'], [8, 0], [9, 0]])
  for (let cut = 1; cut < bytes.length; cut++) {
    server.clear()
    const connection = new RawConnection(server)
    connection.send(bytes.slice(0, cut))
    await sleep(1)
    connection.send(bytes.slice(cut))
    if (await connection.finish() !== wanted) t.fail(`cut behind ${cut} bytes`)
  }
})

t.test('a key has to fit into the read buffer', async (t) => {
  await using server = await startServer()
  const invalid = [2, 0x04, 'Invalid arguments']
  t.strictSame(await send(server, get('a'), get('k'.repeat(16 * 1024 - 24))), [[1, NOT_FOUND, 'Not found'], invalid])
  t.strictSame(await send(server, get('a'), get('k'.repeat(16 * 1024 - 23))), [[1, NOT_FOUND, 'Not found']])
})

t.test('times are unsigned', async (t) => {
  let now = 1_750_000_000_000
  await using server = await startServer({ now: () => now })
  t.strictSame(await send(server, set('short', '1', 2), set('long', '2', 0xffffffff), { opcode: OPCODES.touch, key: 'short', extras: uint32(10) }), [[1, 0], [2, 0], [3, 0]])
  now += 9000
  t.strictSame(await send(server, get('short'), get('long')), [[1, 0, '1'], [2, 0, '2']])
  now += 1000
  t.strictSame(await send(server, get('short'), get('long')), [[1, NOT_FOUND, 'Not found'], [2, 0, '2']])
  now = 0xffffffff * 1000
  t.strictSame(await send(server, get('long')), [[1, NOT_FOUND, 'Not found']], 'the year 2106')
})

t.test('what a reply refers to keeps its room until that has left', async (t) => {
  await using server = await startServer({ memoryLimit: 2 * 1024 * 1024, chunkSize: 500_000, evictions: false })
  const full = (opaque: number): unknown => [opaque, NO_MEMORY, 'Out of memory allocating item']
  t.strictSame(await send(server, set('a', '1'), set('b', '1'), set('c', '1'), set('d', '1')), [[1, 0], [2, 0], [3, 0], [4, 0]])
  t.strictSame(await send(server, get('a'), { opcode: OPCODES.delete, key: 'a' }, set('e', '1'), set('e', '1')), [[1, 0, '1'], [2, 0], full(3), full(4)])
  t.strictSame(await send(server, set('e', '1'), set('f', '1')), [[1, 0], full(2)], 'once')
  t.strictSame(await send(server, { opcode: OPCODES.delete, key: 'b' }), [[1, 0]])
  for (let index = 0; index < 5; index++) t.equal(await ask(server, bytesOf([set('g', '12345')]).slice(0, -1)), '')
  t.strictSame(await send(server, set('b', '1'), set('h', '1')), [[1, 0], full(2)], 'nor does half a value take any room for good')
})

t.test('faults', async (t) => {
  await using server = await startServer()
  const [one, two] = [new RawConnection(server), new RawConnection(server)]
  t.strictSame(await sendOn(one, 1, noop), [[1, 0]])
  t.strictSame(await sendOn(two, 1, noop), [[1, 0]])
  server.stall()
  one.send(bytesOf([set('a', '1'), get('a')]))
  two.send(bytesOf([{ opcode: OPCODES.quit }]))
  await sleep(40)
  t.strictSame([one.received, two.received, two.ended], ['', '', undefined])
  server.resume()
  t.strictSame(await sendOn(one, 3, noop), [[1, 0], [2, 0, '1'], [1, 0]])
  t.equal(await two.closed, 'end')
  t.strictSame(told(packetsIn(two.received)), [[1, 0]])

  server.garble('HTTP/1.1 400 Bad Request\r\n\r\n')
  one.send(bytesOf([{ ...set('b', '2'), opcode: SETQ }, get('b'), noop]))
  const garbled = `HTTP/1.1 400 Bad Request\r\n\r\n${packet({ opcode: OPCODES.noop, opaque: 3 })}`
  t.equal(await one.take(garbled.length), garbled, 'a quiet request has no reply to be replaced')
  server.garble('one packet')
  one.send(bytesOf([{ opcode: OPCODES.stat, key: 'items' }, noop]))
  t.equal(await one.take(34), `one packet${packet({ opcode: OPCODES.noop, opaque: 2 })}`, 'statistics are one reply')

  server.delay(60)
  const start = performance.now()
  t.strictSame(await sendOn(one, 1, get('a')), [[1, 0, '1']])
  t.ok(performance.now() - start >= 55)
  server.delay(0)

  server.closeAfterBytes(24 + 3)
  one.send(bytesOf([noop, get('a')]))
  t.equal(await one.closed, 'end')
  t.equal(one.received, packet({ opcode: OPCODES.noop, opaque: 1 }) + packet({ opcode: OPCODES.get }).slice(0, 3))

  const three = new RawConnection(server)
  t.strictSame(await sendOn(three, 1, noop), [[1, 0]])
  server.dropConnections({ reset: true })
  t.equal(await three.closed, 'ECONNRESET')
})

const start = (value: string, mechanism = 'PLAIN'): PacketParts => ({ opcode: SASL_START, key: mechanism, value })
const step = (value: string): PacketParts => ({ opcode: SASL_STEP, key: 'PLAIN', value })
const list: PacketParts = { opcode: SASL_LIST }
const ADA = '\0ada\0secret'
const MECHANISMS = 'PLAIN CRAM-MD5'
const welcome = (opaque: number): unknown => [opaque, 0, 'Authenticated']
const refused = (opaque: number): unknown => [opaque, AUTH_FAILURE, 'Auth failure.']

t.test('SASL', async (t) => {
  await using server = await startServer({ protocol: 'binary', auth: { ada: 'secret', 'zoë': 'pass wörd' } })
  const miss = (opaque: number): unknown => [opaque, NOT_FOUND, 'Not found']
  t.strictSame(await send(server, { opcode: OPCODES.version }, list, noop, noop), [[1, 0, '1.6.18'], [2, 0, MECHANISMS], refused(3)], 'no more is allowed')
  t.strictSame(await send(server, start(ADA), get('a')), [welcome(1), miss(2)])
  t.strictSame(await send(server, start('ada\0ada\0secret', 'plain'), get('a')), [welcome(1), miss(2)])
  t.strictSame(await send(server, start(Buffer.from('\0zoë\0pass wörd').toString('latin1')), get('a')), [welcome(1), miss(2)])
  for (const wrong of ['\0ada\0no', 'zoë\0ada\0secret', `${ADA}\0`, `${ADA}x`, 'ada\0secret', '\0ada', '\0', '\0\0', 'secret', 'x'.repeat(2000)]) {
    t.strictSame(await send(server, start(wrong), start(ADA), get('a')), [refused(1), welcome(2), miss(3)], 'which may be tried again')
  }
  t.strictSame(await send(server, step(ADA), start(ADA, 'LOGIN'), start('x'.repeat(600_000)), start(ADA), get('a')),
    [refused(1), refused(2), [3, NO_MEMORY, 'Out of memory'], welcome(4), miss(5)])
  t.strictSame(await send(server, start(''), step(ADA), get('a')), [[1, AUTH_CONTINUE], welcome(2), miss(3)], 'a message of its own')
  t.strictSame(await send(server, start(ADA), start(ADA), get('a')), [welcome(1), refused(2), refused(3)], 'one success is all there is')
  t.strictSame(await send(server, start(ADA), list, get('a')), [welcome(1), [2, 0, MECHANISMS], refused(3)], 'and who asks for the mechanisms loses it')
  const statistics = async (section: string): Promise<Record<string, string>> => {
    const replies = packetsIn(await ask(server, bytesOf([start(ADA), { opcode: OPCODES.stat, key: section }]))) ?? []
    return Object.fromEntries(replies.map(({ key, value }) => [key, value]))
  }
  t.match(await statistics('settings'), { binding_protocol: 'binary', auth_enabled_sasl: 'yes', auth_enabled_ascii: 'no' })
  await send(server, start(ADA), { opcode: OPCODES.stat, key: 'reset' })
  await send(server, start(''), step('no'))
  t.match(await statistics(''), { auth_cmds: '2', auth_errors: '1' }, 'a challenge counts for nothing')
})

t.test('CRAM-MD5', async (t) => {
  await using server = await startServer({ protocol: 'binary', auth: { ada: 'secret' } })
  for (const [user, password, right] of [['ada', 'secret', true], ['ada', 'no', false], ['bob', 'secret', false]] as const) {
    const connection = new RawConnection(server)
    connection.send(bytesOf([start('', 'cram-md5')]))
    await waitFor(() => (packetsIn(connection.received)?.length ?? 0) > 0)
    const [challenge] = packetsIn(await connection.take(0)) ?? []
    t.equal(challenge?.status, AUTH_CONTINUE)
    t.match(challenge?.value, /^<\d+\.\d+@.+>$/)
    const digest = createHmac('md5', password).update(challenge?.value ?? '').digest('hex')
    t.strictSame(await sendOn(connection, 1, step(`${user} ${digest}`)), [right ? welcome(1) : refused(1)])
    t.strictSame(await sendOn(connection, 1, step(`${user} ${digest}`)), [refused(1)], 'it answers one challenge')
    await connection.finish()
  }
  t.strictSame(await send(server, start('ada', 'CRAM-MD5'), start(ADA)), [refused(1), welcome(2)], 'the first word is the server\'s')
})

t.test('credentials for a server that has no users, or asks for them in text', async (t) => {
  await using open = await startServer()
  const unknown = (opaque: number): unknown => [opaque, UNKNOWN, 'Unknown command']
  t.strictSame(await send(open, list, start(ADA), step(ADA), noop), [unknown(1), unknown(2), unknown(3), [4, 0]], 'the message is dropped')
  await using ascii = await startServer({ auth: { 'zoë': 'wörd' } })
  t.equal(await ask(ascii, bytesOf([noop])), 'CLIENT_ERROR unauthenticated\r\n', 'who has users speaks text, unless told otherwise')
  t.equal(await ask(ascii, Buffer.from('set a 0 0 10\r\nzoë wörd\r\nversion\r\n')), 'STORED\r\nVERSION 1.6.18\r\n')
})

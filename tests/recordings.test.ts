import { Buffer } from 'node:buffer'
import t from 'tap'
import type { Item, Request } from '../lib/commands.ts'
import { asksNothing, type Protocol } from '../lib/driver.ts'
import { MemcacheClosedError, MemcacheDriverError, MemcacheError, MemcacheProtocolError } from '../lib/errors.ts'
import { endpointOf, resolveOptions } from '../lib/options.ts'
import { encoded } from './support/exchanges.ts'
import { eachFrame, oursOf, repliesTo, show, SUBJECTS } from './support/replay.ts'
import { startScripted } from './support/scripted-server.ts'

/** What real servers have answered, cut at every byte: however a reply arrives, it is the same reply. What they would not answer is in fuzz.test.ts. */

/** Where something is in the reader's bytes, which depends on how these came. */
const PLACES = new Set(['bytes', 'chunk', 'start', 'keyStart', 'keyEnd', 'valueStart', 'end', 'last', 'item'])

/** The value that a frame brings, of any protocol, as it is at this moment. */
function valueOf(frame: { readonly value?: Buffer; readonly item?: Item | undefined }): string | undefined {
  return (frame.value ?? frame.item?.value)?.toString('latin1')
}

/** The frames in these pieces, up to the first that is none. */
function framesOf(protocol: Protocol<unknown>, pieces: Iterable<Buffer>): string[] {
  const found: string[] = []
  try {
    eachFrame(protocol, pieces, (frame) => {
      found.push(typeof frame === 'string' ? frame : show([Object.fromEntries(Object.entries(frame as object).filter(([name]) => !PLACES.has(name))), valueOf(frame as object)]))
      if ((frame as { last?: boolean }).last === true) found.push('END') // read together with the value, if both are there
      return true
    })
  } catch (error) {
    found.push(show(error))
  }
  return found
}

/** Every place to cut these bytes in two; of long ones, those at their ends and some between. */
function* cuts(length: number): Generator<number> {
  const ends = length < 300 ? length : length < 50_000 ? 40 : 10
  const stride = Math.max(1, Math.floor(length / (length < 50_000 ? 40 : 5)))
  for (let at = 1; at < length; at += at < ends || at > length - ends ? 1 : Math.min(stride, Math.max(1, length - ends - at))) yield at
}

function* singly(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 1) yield bytes.subarray(at, at + 1)
}

for (const subject of SUBJECTS) {
  const { name: spoken, protocol, driver, exchanges, requestsOf, least } = subject
  const ours = oursOf(subject)
  const repliesIn = (requests: readonly Request[], pieces: Iterable<Buffer>): string[] => repliesTo(protocol, requests, pieces).map(show)
  const encode = (request: Request, place: number): string => encoded(protocol, request, place + 1)

  t.test(`${spoken}: frames, cut at every byte, and one byte at a time`, async (t) => {
    const seen = new Set<string>()
    let count = 0
    for (const { name, response } of exchanges) {
      if (seen.has(response)) continue
      seen.add(response)
      const bytes = Buffer.from(response, 'latin1')
      const expected = show(framesOf(protocol, [bytes]))
      for (const at of cuts(bytes.length)) {
        const found = show(framesOf(protocol, [bytes.subarray(0, at), bytes.subarray(at)]))
        count += 1
        if (found !== expected) t.equal(found, expected, `${name}, cut at ${at}`)
      }
      if (bytes.length > 20_000) continue
      const found = show(framesOf(protocol, singly(bytes)))
      if (found !== expected) t.equal(found, expected, `${name}, byte by byte`)
    }
    t.ok(seen.size >= least[0] && count > 10 * seen.size, `${seen.size} different responses, ${count} cuts`)
  })

  t.test(`${spoken}: the client asks for what was asked`, async (t) => {
    for (const { name, requests, request } of ours) {
      const sent = requests.map(encode).join('')
      t.strictSame(requestsOf(sent), requests, name)
      if (spoken === 'text') t.equal(sent, request.replace('flush_all 0', 'flush_all'), `${name}: byte for byte`)
    }
  })

  t.test(`${spoken}: replies to what a client can ask, cut at every byte, and one byte at a time`, async (t) => {
    let count = 0
    for (const { name, requests, response } of ours) {
      const bytes = Buffer.from(response, 'latin1')
      const whole = repliesIn(requests, [bytes])
      const expected = show(whole)
      if (whole.some((each) => each.startsWith(MemcacheProtocolError.prototype.name))) t.fail(`${name}: a server's answer is outside the grammar`, { requests, response, whole })
      for (const at of cuts(bytes.length)) {
        const found = show(repliesIn(requests, [bytes.subarray(0, at), bytes.subarray(at)]))
        count += 1
        if (found !== expected) t.equal(found, expected, `${name}, cut at ${at}`)
      }
      if (bytes.length > 20_000) continue
      const found = show(repliesIn(requests, singly(bytes)))
      if (found !== expected) t.equal(found, expected, `${name}, byte by byte`)
    }
    t.ok(ours.length >= least[1] && count > 10 * ours.length, `${ours.length} exchanges, ${count} cuts`)
  })

  t.test(`${spoken}: through a connection, whole, in two pieces and one byte at a time`, { timeout: 60_000 }, async (t) => {
    let pieces: string[] = []
    let expected = 0
    const server = await startScripted(async (peer) => {
      while (peer.received.length < expected && !peer.gone) await new Promise((resolve) => setImmediate(resolve))
      await peer.pieces(pieces)
      await peer.closed()
    })
    const endpoint = endpointOf(resolveOptions(undefined, { port: server.port, timeout: 5000 }), { onConnect() {}, onDisconnect() {} })
    const through = async (requests: readonly Request[], response: string[]): Promise<string[]> => {
      pieces = response
      expected = requests.map(encode).join('').length
      const client = driver(endpoint)
      const outcomes = await Promise.all(requests.map((request) => client.execute(request).catch((error: unknown) => error)))
      await client.disconnect(new MemcacheClosedError('done'))
      return outcomes.map((each) => (each instanceof MemcacheError && !(each instanceof MemcacheDriverError) ? each.name : show(each)))
    }
    let count = 0
    for (const { name, requests, response } of ours) {
      if (response.length > 200 || requests.some(asksNothing)) continue // what asks for nothing is not sent
      const pure = repliesIn(requests, [Buffer.from(response, 'latin1')])
      if (pure.length < requests.length) continue // the recording goes on in its next step, or the server has closed
      count += 1
      const whole = await through(requests, [response])
      t.same(whole, pure.slice(0, requests.length), `${name}: as the protocol alone says`)
      const middle = Math.floor(response.length / 2)
      for (const cut of [[response.slice(0, middle), response.slice(middle)], [...response]]) {
        const found = await through(requests, cut)
        if (show(found) !== show(whole)) t.same(found, whole, `${name}: in ${cut.length} pieces`)
      }
    }
    t.ok(count > 0.8 * least[1], `${count} exchanges`)
    await server.close()
  })
}

import { Buffer } from 'node:buffer'
import { getEventListeners } from 'node:events'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { AskedKeys } from '../drivers/asked-keys.ts'
import { opaqueToken } from '../drivers/opaque-token.ts'
import { onAbort } from '../lib/abort-watch.ts'
import { Alarm } from '../lib/alarm.ts'
import { executeAll } from '../lib/bulk.ts'
import { ByteReader, readMemory } from '../lib/byte-reader.ts'
import { CasIds } from '../lib/cas-ids.ts'
import { compose, readItem, type Codec } from '../lib/codec.ts'
import type { Execute, Item, Op, Reply, Request } from '../lib/commands.ts'
import { countLike, initialCount, step } from '../lib/counter.ts'
import { expiry } from '../lib/expiry.ts'
import { Fifo } from '../lib/fifo.ts'
import {
  Client,
  MemcacheClosedError,
  MemcacheError,
  MemcacheKeyError,
  MemcacheOverloadError,
  MemcacheServerError,
  MemcacheValueError,
  wrap,
  type Backend,
} from '../lib/index.ts'
import { isBinary, keyRules, nameKeys, wireKey, type KeyLike } from '../lib/key.ts'
import { intercept, stack } from '../lib/middleware.ts'
import { ReceivedItem } from '../lib/received-item.ts'
import { giveMemory, takeMemory } from '../lib/spare-memory.ts'

/** The small parts, each by itself. */

const RUNS = { numRuns: 150, seed: 42 }

// A frame for these tests: its payload's length, a colon, the payload.

function readToyFrame(reader: ByteReader): Buffer | undefined {
  const { bytes, start, end } = reader
  const colon = bytes.indexOf(0x3a, start)
  if (colon === -1 || colon >= end) return undefined
  const length = Number(bytes.toString('latin1', start, colon))
  const last = colon + 1 + length
  if (last > end) return reader.need(last - start)
  const payload = reader.slice(colon + 1, last)
  reader.advance(last)
  return payload
}

/** Feeds chunks as a socket does, in memory that is used again for each. Counts how often a frame was looked for. */
function feedAll(chunks: readonly Buffer[], slab = Buffer.alloc(256 * 1024)): { frames: Buffer[]; looks: number; left: number } {
  const reader = new ByteReader()
  const frames: Buffer[] = []
  let looks = 0
  for (const chunk of chunks) {
    chunk.copy(slab)
    reader.feed(slab, chunk.length)
    while (reader.ready) {
      looks += 1
      const frame = readToyFrame(reader)
      if (frame === undefined) break
      frames.push(frame)
    }
    reader.keep()
    slab.fill('#')
  }
  return { frames, looks, left: reader.end - reader.start }
}

function encodeToy(payloads: readonly Buffer[]): Buffer {
  return Buffer.concat(payloads.flatMap((payload) => [Buffer.from(`${payload.length}:`), payload]))
}

function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...[...cuts].map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place))
}

t.test('ByteReader', async (t) => {
  await t.test('any stream of frames, cut anywhere, gives the same frames', async (t) => {
    const payload = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 500, maxLength: 9000 })).map((bytes) => Buffer.from(bytes))
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 25 }), (payloads, cuts) => {
        const { frames, left } = feedAll(cutAt(encodeToy(payloads), cuts))
        return left === 0 && frames.length === payloads.length && frames.every((frame, index) => frame.equals(payloads[index]!))
      }),
      RUNS,
    )
    const payloads = Array.from({ length: 20 }, (_, index) => Buffer.alloc(index * 7, index))
    const bytes = encodeToy(payloads)
    t.same(feedAll([...bytes].map((byte) => Buffer.of(byte))).frames, payloads, 'one byte at a time')
    t.same(feedAll([bytes]).frames, payloads, 'all at once')
    for (let at = 0; at <= bytes.length; at += 1) {
      const { frames, left } = feedAll([bytes.subarray(0, at), bytes.subarray(at)])
      if (left !== 0 || frames.length !== payloads.length || !frames.every((frame, index) => frame.equals(payloads[index]!))) t.fail(`cut at ${at}`)
    }
    const half = feedAll([bytes.subarray(0, -1)])
    t.equal(half.frames.length, payloads.length - 1, 'what is not whole is no frame')
    t.ok(half.left > 0)
  })

  await t.test('a long value is gathered once, in memory of its own', async (t) => {
    const value = Buffer.alloc(3_000_000)
    for (let index = 0; index < value.length; index += 1) value[index] = index * 7
    const bytes = encodeToy([Buffer.from('before'), value, Buffer.from('behind')])
    const chunks: Buffer[] = []
    for (let at = 0; at < bytes.length; at += 1000) chunks.push(bytes.subarray(at, at + 1000))
    const { frames, looks } = feedAll(chunks)
    t.equal(frames.length, 3)
    t.ok(frames[1]!.equals(value))
    t.ok(looks < 10, `${chunks.length} chunks, ${looks} looks: not one for each`)
    t.ok(frames[1]!.buffer.byteLength < value.length + 100, 'it holds no more memory than its own')
  })

  await t.test('small values of a chunk share one copy of it', async (t) => {
    const slab = Buffer.alloc(64 * 1024)
    const { frames } = feedAll([encodeToy([Buffer.from('small'), Buffer.from('also')])], slab)
    for (const frame of frames) t.not(frame.buffer, slab.buffer)
    t.equal(frames[0]!.buffer, frames[1]!.buffer)
    t.same(frames.map(String), ['small', 'also'], 'although the chunk was overwritten meanwhile')
  })

  await t.test('what is lent', async (t) => {
    const slab = Buffer.alloc(64)
    const reader = new ByteReader()
    const feed = (text: string): void => reader.feed(slab, slab.write(text, 'latin1'))
    const lent = (from: number, to: number): (() => string) => {
      const chunk = reader.lend()
      return () => chunk.bytes.toString('latin1', from - chunk.moved, to - chunk.moved)
    }
    feed('xx1:a2:bc')
    reader.advance(2)
    const first = lent(4, 5)
    reader.advance(5)
    const second = lent(7, 9)
    reader.advance(9)
    reader.keep()
    feed('yyyyyyyyyyyy')
    t.same([first(), second()], ['a', 'bc'], 'stays as it was when the memory is read into again')
    const later = lent(0, 3)
    reader.advance(3)
    t.equal(reader.slice(3, 6).toString(), 'yyy')
    reader.advance(12)
    reader.keep()
    slab.fill(0)
    t.equal(later(), 'yyy', 'with a slice of what comes behind it, too')
    feed('zz')
    const needed = lent(0, 2)
    reader.advance(2)
    reader.release()
    reader.keep()
    t.equal(needed(), 'zz', 'what nobody needs any more is not copied')
    slab.fill(0x2e)
    t.equal(needed(), '..')
    feed('uuvvww')
    const before = reader.lend()
    reader.advance(2)
    reader.release()
    const chunk = reader.lend()
    t.equal(chunk, before)
    reader.advance(4)
    reader.keep()
    slab.fill(0x2e)
    t.same([chunk.bytes.toString('latin1'), chunk.moved], ['vv', 2], 'nor what is released, nor what was not lent')
  })

  await t.test('a piece of a header, and the rest of it in the memory that sockets read into', async (t) => {
    const slab = readMemory()
    for (const length of [1, 5, 512, 513, 2000]) {
      const reader = new ByteReader()
      const header = 'h'.repeat(length)
      reader.feed(slab, slab.write(header, 'latin1'))
      reader.keep()
      reader.feed(slab, slab.write('eader:', 'latin1'))
      t.equal(reader.bytes.toString('latin1', reader.start, reader.end), `${header}eader:`, `${length} bytes`)
      const chunk = reader.lend()
      const from = reader.start
      reader.advance(reader.end)
      reader.keep()
      slab.fill(0)
      t.equal(chunk.bytes.toString('latin1', from - chunk.moved), `${header}eader:`, 'and what was lent of it stays')
    }
  })

  await t.test('memory that a value was gathered in is used again where text was made of it, and nobody has a part of it', async (t) => {
    const SIZE = 10_000
    /** Reads a value that comes in two pieces, and begins with another: whether that is gathered in the same memory. */
    const isReused = (use: (item: ReceivedItem, reader: ByteReader) => void, whole = true): boolean => {
      const reader = new ByteReader()
      const [slab, half] = [Buffer.alloc(SIZE, 'v'), SIZE / 2]
      const begin = (): void => {
        reader.feed(slab, half)
        reader.need(SIZE)
        reader.keep()
      }
      begin()
      reader.feed(slab, half)
      const { buffer } = reader.bytes
      const item = new ReceivedItem(reader.lend(), 0, SIZE, 0, undefined)
      reader.advance(SIZE)
      if (whole) reader.release()
      use(item, reader)
      reader.keep()
      begin()
      return reader.bytes.buffer === buffer
    }
    const text = (item: ReceivedItem): void => void t.equal(item.text, 'v'.repeat(SIZE))
    t.ok(isReused(text))
    t.ok(isReused(text), 'and again')
    t.notOk(isReused(() => {}), 'nobody has read it yet')
    t.notOk(isReused((item) => item.value), 'somebody has it')
    t.notOk(isReused((item) => [item.text, item.value]), 'somebody has it as well')
    t.notOk(isReused((item) => [item.value, item.text]))
    t.notOk(isReused(text, false), 'the reply is not whole')
    const sliced = new ByteReader()
    sliced.feed(Buffer.alloc(SIZE), SIZE)
    sliced.need(2 * SIZE)
    sliced.keep()
    sliced.feed(Buffer.alloc(SIZE), SIZE)
    const { buffer } = sliced.slice(0, 10)
    const item = new ReceivedItem(sliced.lend(), 0, 2 * SIZE, 0, undefined)
    sliced.advance(2 * SIZE)
    sliced.release()
    t.equal(item.text.length, 2 * SIZE)
    sliced.keep()
    t.not(takeMemory(2 * SIZE).buffer, buffer, 'somebody has a slice of it')
  })

  t.test('nothing to read', async (t) => {
    const reader = new ByteReader()
    t.notOk(reader.ready)
    reader.feed(Buffer.alloc(0))
    t.notOk(reader.ready)
    reader.keep()
    reader.feed(Buffer.from('3:ab'))
    t.equal(readToyFrame(reader), undefined)
    t.notOk(reader.ready, 'a frame of known size is not looked at before it is whole')
    reader.keep()
    reader.feed(Buffer.alloc(0))
    t.notOk(reader.ready)
    reader.feed(Buffer.from('c1:'))
    t.ok(reader.ready)
    t.equal(String(readToyFrame(reader)), 'abc')
    t.equal(readToyFrame(reader), undefined)
  })
})

t.test('spare memory', async (t) => {
  const [KB, MB] = [1024, 1024 * 1024]
  const give = (size: number): ArrayBufferLike => {
    const memory = Buffer.allocUnsafeSlow(size)
    giveMemory(memory)
    return memory.buffer
  }
  const isTaken = (size: number, buffer: ArrayBufferLike): boolean => takeMemory(size).buffer === buffer
  const spare = give(100 * KB)
  t.notOk(isTaken(101 * KB, spare), 'too short')
  t.notOk(isTaken(79 * KB, spare), 'so long that a Buffer of it would keep much more than its own')
  t.ok(isTaken(81 * KB, spare))
  t.notOk(isTaken(81 * KB, spare), 'once')
  const [first, second] = [give(50 * KB), give(50 * KB)]
  t.ok(isTaken(50 * KB, second), 'what came last is in the cache of the processor')
  t.ok(isTaken(50 * KB, first))
  for (const size of [4095, 2 * MB + 1]) t.notOk(isTaken(size, give(size)), `${size} bytes are not kept`)
  const all = Array.from({ length: 21 }, () => give(100 * KB)) // 2 MiB are 20 of these and a half
  let kept = 0
  while (all.includes(takeMemory(100 * KB).buffer)) kept += 1
  t.equal(kept, 20, 'no more lies idle')
})

t.test('a key that has been checked', async (t) => {
  const rules = keyRules('', 250, 250)
  t.equal(wireKey('plain', rules), 'plain')
  t.equal(isBinary('plain'), false)
  t.equal(isBinary('two words'), true)
  t.equal(isBinary(wireKey('two words', rules)), true)
  const prefixed = keyRules('two ', 250, 250)
  for (const key of ['words', 'plain']) t.equal(isBinary(wireKey(key, prefixed)), true, 'a plain key behind a prefix that is none')
  t.equal(isBinary(''), false)
  t.equal(isBinary('é'), false)
})

t.test('the opaque of meta requests', async (t) => {
  for (const opaque of [0, 1, 42, 999, 1000, 1001, 1999, 2000, 10_007, 1_000_000, 999_999, 2 ** 31, 0xffff_ffff, 0, 999]) t.equal(opaqueToken(opaque), ` O${opaque}`)
})

t.test('the keys of a multi-key request', async (t) => {
  const keys = ['a', 'bb', 'bc', '\xff', 'a', 'two words', 'bb']
  const place = (asked: AskedKeys, key: string, items?: unknown[]): number | undefined => {
    const bytes = Buffer.from(`VALUE ${key} 0`, 'latin1')
    if (items === undefined) return asked.next(bytes, 6, 6 + key.length)
    const found = asked.any(bytes, 6, 6 + key.length, items)
    if (found !== undefined) items[found] = key
    return found
  }
  const inOrder = new AskedKeys(keys)
  t.same(keys.map((key) => place(inOrder, key)), [0, 1, 2, 3, 4, 5, 6])
  t.equal(place(inOrder, 'a'), undefined, 'each once')
  const some = new AskedKeys(keys)
  t.same(['bc', 'bb', 'bb', 'none'].map((key) => place(some, key)), [2, 6, undefined, undefined], 'with misses between')
  const anyhow = new AskedKeys(keys)
  const items: unknown[] = []
  t.same(['two words', 'bc', 'a', '\xff', 'none', 'b', 'bb', 'a', 'bb'].map((key) => place(anyhow, key, items)), [5, 2, 0, 3, undefined, undefined, 1, 4, 6])
  t.equal(place(anyhow, 'bb', items), 1, 'a third one is a second one')
  for (let length = 1; length <= 13; length += 1) {
    const key = 'abcdefghijklm'.slice(0, length)
    const asked = new AskedKeys([key, key])
    for (let at = 0; at < length; at += 1) t.equal(place(asked, `${key.slice(0, at)}!${key.slice(at + 1)}`), undefined, `another byte at ${at} of ${length}`)
    t.same([place(asked, `${key}!`), place(asked, key.slice(1)), place(asked, key)], [undefined, undefined, 0])
  }
  const guessed = new AskedKeys(['first', 'second', 'third', 'third'])
  const endIn = (line: string, end = line.length): number => guessed.endOfNext(Buffer.from(line, 'latin1'), 6, end)
  t.equal(endIn('VALUE first 0'), -1, 'of none that has come is it known where the next one begins')
  t.equal(place(guessed, 'first'), 0)
  t.same(['VALUE third 0', 'VALUE secone 0', 'VALUE second\r', 'VALUE seconds 0', 'VALUE second'].map((line) => endIn(line)), [-1, -1, -1, -1, -1])
  t.equal(endIn('VALUE second 0', 12), -1, 'the blank is not there yet')
  t.equal(endIn('VALUE second 0'), 12)
  t.equal(endIn('VALUE second 0'), 12, 'to look takes nothing')
  t.equal(guessed.takeNext(), 1)
  t.equal(endIn('VALUE third 0'), 11)
  t.equal(guessed.takeNext(), 2)
  t.equal(place(guessed, 'third'), 3)
  t.equal(endIn('VALUE third 0'), -1, 'there is none any more')
})

t.test('Fifo', async (t) => {
  const command = fc.oneof({ weight: 3, arbitrary: fc.constant('push' as const) }, { weight: 2, arbitrary: fc.constant('shift' as const) }, { weight: 1, arbitrary: fc.constant('look' as const) })
  fc.assert(
    fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
      const fifo = new Fifo<number>()
      const model: number[] = []
      let next = 0
      for (const each of commands) {
        if (each === 'push') {
          fifo.push(next)
          model.push(next++)
        } else if (each === 'shift') {
          if (fifo.shift() !== model.shift()) return false
        } else if (JSON.stringify([...fifo]) !== JSON.stringify(model)) return false
        if (fifo.length !== model.length || fifo.peek() !== model[0]) return false
      }
      return true
    }),
    RUNS,
  )
  const fifo = new Fifo<number>()
  for (const size of [15, 16, 17, 5000, 100_000, 3]) {
    fifo.push(-1)
    fifo.shift() // so that the ring does not begin at its first place
    for (let index = 0; index < size; index += 1) fifo.push(index)
    t.equal(fifo.length, size)
    t.equal([...fifo].length, size)
    let inOrder = true
    for (let index = 0; index < size; index += 1) inOrder &&= fifo.shift() === index
    t.ok(inOrder, `${size} items, first in, first out`)
    t.equal(fifo.length, 0)
    t.equal(fifo.shift(), undefined)
    t.equal(fifo.peek(), undefined)
  }
  const weak = await (async () => {
    const item = new WeakRef({ large: true })
    const held = new Fifo<object>()
    held.push(item.deref()!)
    held.shift()
    return { item, held }
  })()
  if (globalThis.gc !== undefined) {
    globalThis.gc()
    t.equal(weak.item.deref(), undefined, 'what has left is not held')
  }
})

t.test('Alarm', async (t) => {
  /** On a machine that was busy for so long both timers are due at once, and the ring is one turn behind its own. */
  const passed = async (milliseconds: number): Promise<void> => {
    await sleep(milliseconds)
    await nextTurn()
  }
  const rings: number[] = []
  const alarm = new Alarm(() => rings.push(performance.now()))
  const start = performance.now()
  alarm.setFor(start + 40)
  alarm.setFor(start + 20)
  alarm.setFor(start + 60) // later than what it is set for: no matter
  await passed(150)
  t.equal(rings.length, 1, 'one ring, for the earliest')
  t.ok(rings[0]! >= start + 19.5, 'not before its time')
  alarm.setFor(performance.now() - 5)
  await passed(60)
  t.equal(rings.length, 2, 'a moment that has passed rings soon, and it can be set again')
  alarm.setFor(performance.now() + 10)
  alarm.clear()
  alarm.setFor(Infinity)
  await passed(60)
  t.equal(rings.length, 2, 'cleared, and never')
  const warnings: Error[] = []
  process.on('warning', (warning) => warnings.push(warning))
  alarm.setFor(performance.now() + 2 ** 31 + 1000)
  await passed(60)
  t.strictSame([rings.length, warnings], [2, []], 'a moment that is further away than a timer can say')
  alarm.clear()
  const ours = process.getActiveResourcesInfo().length
  alarm.setFor(performance.now() + 100_000)
  t.equal(process.getActiveResourcesInfo().length, ours, 'it keeps no process alive')
  alarm.clear()
})

t.test('onAbort', async (t) => {
  const controller = new AbortController()
  const { signal } = controller
  const called: number[] = []
  const off = Array.from({ length: 50 }, (_, index) => onAbort(signal, () => called.push(index)))
  t.equal(getEventListeners(signal, 'abort').length, 1, 'one listener, however many watch')
  for (const each of off.slice(10)) each()
  off[49]!()
  t.equal(getEventListeners(signal, 'abort').length, 1)
  controller.abort()
  t.same(called, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  for (const each of off) each()
  t.equal(getEventListeners(signal, 'abort').length, 0, 'nothing is left')
  const other = new AbortController()
  const first = onAbort(other.signal, () => called.push(100))
  first()
  t.equal(getEventListeners(other.signal, 'abort').length, 0)
  onAbort(other.signal, () => called.push(101))
  first()
  other.abort()
  t.equal(called.at(-1), 101, 'an old watch that is called off again takes nobody else with it')
})

t.test('keys', async (t) => {
  const rules = keyRules('', 250, 0)
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 300, unit: 'binary' }), fc.string({ maxLength: 20 }), fc.uint8Array({ maxLength: 260 }).map((bytes) => Buffer.from(bytes))), (key: KeyLike) => {
      let wire: string
      try {
        wire = wireKey(key, rules)
      } catch (error) {
        return error instanceof MemcacheKeyError
      }
      const bytes = typeof key === 'string' ? Buffer.from(key, 'utf8') : key
      return /^[^\x00-\x20\x7f]{1,250}$/.test(wire) && !/[^\x00-\xff]/.test(wire) && Buffer.from(wire, 'latin1').equals(bytes)
    }),
    { ...RUNS, numRuns: 1000 },
  )
  for (let code = 0; code <= 0xff; code += 1) {
    const key = Buffer.of(0x61, code, 0x62)
    if (code <= 0x20 || code === 0x7f) t.throws(() => wireKey(key, rules), MemcacheKeyError, `byte ${code}`)
    else t.equal(wireKey(key, rules), key.toString('latin1'))
  }
  for (const injection of ['a\r\nflush_all\r\n', 'a b', 'a\nb', 'a\tb', 'a\0b', ' a', 'a ', '\r', 'k 0 0 1\r\nx\r\nset l']) {
    t.throws(() => wireKey(injection, rules), MemcacheKeyError, JSON.stringify(injection))
    t.throws(() => wireKey(Buffer.from(injection), rules), MemcacheKeyError)
  }
  t.equal(wireKey('x'.repeat(250), rules).length, 250)
  t.throws(() => wireKey('x'.repeat(251), rules), MemcacheKeyError)
  t.equal(wireKey('é'.repeat(125), rules).length, 250, 'counted in bytes')
  t.throws(() => wireKey('é'.repeat(126), rules), MemcacheKeyError)
  t.throws(() => wireKey('x'.repeat(248), { ...rules, prefix: 'pre' }), MemcacheKeyError, 'the prefix counts')
  t.equal(wireKey('k', keyRules('p:', 3, 0)), 'p:k')
  for (const bad of ['', Buffer.alloc(0), '\ud800', 'a\udc00b', undefined, null, 5, {}, ['k'], Symbol('k'), new String('k'), new Uint8Array(2)] as never[]) {
    t.throws(() => wireKey(bad, rules), MemcacheKeyError)
  }
  // These are blanks to a reader, but not to the protocol: their bytes are all above 0x7f.
  for (const key of ['\u00a0', '\u2028', '\u3000', '\u0085', '\ufeff']) t.ok(/^[\x80-\xff]+$/.test(wireKey(key, rules)), `U+${key.charCodeAt(0).toString(16)}`)
  t.equal(keyRules('é', 250, 0).prefix, '\xc3\xa9')
  t.throws(() => keyRules('a b', 250, 0), MemcacheKeyError)
  t.throws(() => keyRules('abc', 3, 0), MemcacheKeyError, 'it leaves no room for a key')

  const binary = keyRules('', 250, 186)
  t.equal(wireKey('a b\r\n', binary), 'a b\r\n')
  t.equal(wireKey(Buffer.from([0, 255]), binary), '\0\xff')
  t.equal(wireKey('x'.repeat(250), binary).length, 250, 'a key that needs nothing special may be as long as ever')
  t.equal(wireKey(' '.repeat(186), binary).length, 186)
  t.throws(() => wireKey(' '.repeat(187), binary), MemcacheKeyError)
  t.throws(() => wireKey('x'.repeat(184), keyRules('p: ', 250, 186)), MemcacheKeyError, 'a prefix with a blank makes every key binary')
  t.equal(wireKey('x'.repeat(183), keyRules('p: ', 250, 186)).length, 186)
  t.throws(() => wireKey('', binary), MemcacheKeyError)

  const named = (...keys: KeyLike[]): [string, string][] => {
    const { wires, names } = nameKeys(keys, rules)
    return wires.map((wire, place) => [wire, names[place] as string])
  }
  t.same(named('a', 'b', 'a'), [['a', 'a'], ['b', 'b']])
  t.same(named('é'), [['\xc3\xa9', 'é']])
  t.same(named(Buffer.from('é')), [['\xc3\xa9', 'é']], 'bytes that are UTF-8 are named by their text')
  t.same(named(Buffer.of(0xff)), [['\xff', '\xff']], 'and others by one character a byte')
  t.same(named('é', Buffer.from('é')), [['\xc3\xa9', 'é']], 'the same key twice')
  t.throws(() => named('\xff', Buffer.of(0xff)), MemcacheKeyError, 'two keys of one name')
})

t.test('expiry', async (t) => {
  const now = Math.floor(Date.now() / 1000)
  for (const [ttl, expires] of [[0, 0], [-0, 0], [1, 1], [2_592_000, 2_592_000], [-1, -1], [-5000, -1]] as const) t.equal(expiry(ttl), expires, `${ttl}`)
  const later = expiry(90 * 86_400)
  t.ok(later >= now + 90 * 86_400 && later <= now + 90 * 86_400 + 5, 'more than 30 days is the moment itself')
  t.ok(expiry(2_592_001) > now)
  const soon = expiry(new Date(Date.now() + 10_000))
  t.ok(soon >= now + 9 && soon <= now + 16)
  t.equal(expiry(new Date(0)), -1)
  t.equal(expiry(new Date(5000)), -1, 'a moment in 1970 is no number of seconds')
  t.equal(expiry(new Date(Date.now() - 1)), -1)
  for (const bad of [NaN, Infinity, -Infinity, 1.5, '60', null, undefined, {}, 60n, new Date(NaN), true] as never[]) t.throws(() => expiry(bad), MemcacheValueError)
  t.throws(() => expiry(new Date('2039-01-01')), MemcacheValueError, 'past what 32 bits can say')
  t.throws(() => expiry(2 ** 31), MemcacheValueError)
  t.throws(() => expiry(Number.MAX_SAFE_INTEGER), MemcacheValueError)
})

t.test('counters', async (t) => {
  t.same(step(1, false), { delta: 1n, down: false })
  t.same(step(-1, false), { delta: 1n, down: true })
  t.same(step(-1, true), { delta: 1n, down: false })
  t.same(step(-0, true), { delta: 0n, down: true })
  t.same(step(2n ** 64n - 1n, true), { delta: 2n ** 64n - 1n, down: true })
  t.same(step(-(2n ** 64n - 1n), false), { delta: 2n ** 64n - 1n, down: true })
  for (const bad of [1.5, NaN, Infinity, 2 ** 53, -(2 ** 53), '1', null, undefined, {}, 2n ** 64n, -(2n ** 64n)] as never[]) t.throws(() => step(bad, false), MemcacheValueError)
  t.equal(initialCount(0), 0n)
  t.equal(initialCount(2n ** 64n - 1n), 2n ** 64n - 1n)
  for (const bad of [-1, -1n, 2n ** 64n, 1.5, NaN, '1', null] as never[]) t.throws(() => initialCount(bad), MemcacheValueError)
  t.equal(countLike(1, 5n), 5)
  t.equal(countLike(1n, 2n ** 64n - 1n), 2n ** 64n - 1n)
  t.equal(countLike(1, BigInt(Number.MAX_SAFE_INTEGER)), Number.MAX_SAFE_INTEGER)
  t.throws(() => countLike(1, 2n ** 53n), MemcacheValueError, 'never a rounded number')
  try {
    countLike(1, 2n ** 60n)
  } catch (error) {
    t.equal((error as MemcacheError).sent, true, 'the server has counted')
  }
})

t.test('CasIds are bounded', async (t) => {
  const ids = new CasIds()
  for (let index = 0; index < 10_000; index += 1) ids.remember(`k${index}`, BigInt(index))
  ids.remember('k0', 99n) // now the last
  for (let index = 0; index < 5000; index += 1) ids.remember(`new${index}`, 1n)
  t.equal(ids.get('k0'), 99n)
  t.equal(ids.get('k1'), undefined, 'what was remembered first is forgotten first')
  t.equal(ids.get('k5000'), undefined)
  t.equal(ids.get('k5001'), 5001n)
  t.equal(ids.get('new4999'), 1n)
  ids.clear()
  t.equal(ids.get('k0'), undefined)
})

t.test('middleware', async (t) => {
  const log: string[] = []
  const layer = (name: string) => intercept({
    get: async (request, next, call) => {
      log.push(`${name} asks for ${request.key} within ${call?.timeout}`)
      const item = await next({ ...request, key: `${name}.${request.key}` }, call)
      log.push(`${name} has ${item?.value.toString()}`)
      return item
    },
  })
  const bottom = (async (request: Request) => {
    log.push(request.op)
    return request.op === 'get' ? { value: Buffer.from(request.key), flags: 0 } : request.op === 'version' ? '1' : undefined
  }) as Execute
  const execute = stack([layer('outer'), layer('inner')])(bottom)
  const item = await execute({ op: 'get', key: 'k', cas: false }, { timeout: 5 })
  t.equal(item?.value.toString(), 'inner.outer.k')
  t.same(log, ['outer asks for k within 5', 'inner asks for outer.k within 5', 'get', 'inner has inner.outer.k', 'outer has inner.outer.k'])
  t.equal(await execute({ op: 'version' }), '1', 'what a layer has no handler for passes')
  t.equal(stack([])(bottom), bottom)
})

t.test('codecs', async (t) => {
  const tag = (name: string): Codec => ({
    encode: (item, mode) => ({ ...item, value: Buffer.from(`${name}(${mode}:${item.value.toString()})`) }),
    decode: (item) => ({ ...item, value: Buffer.from(`${name}-(${item.value.toString()})`) }),
  })
  const both = compose(tag('upper'), tag('lower'))
  const item: Item = { value: Buffer.from('v'), flags: 3, cas: 5n }
  t.equal(both.encode(item, 'set', undefined).value.toString(), 'lower(set:upper(set:v))')
  t.equal(both.decode(item).value.toString(), 'upper-(lower-(v))')
  t.match(both.encode(item, 'cas', undefined), { flags: 3, cas: 5n })
  const failing = (error: unknown): Codec => ({
    encode: (each) => each,
    decode: () => {
      throw error
    },
  })
  const caught = (error: unknown): unknown => {
    try {
      return readItem({ read: failing(error).decode }, item, 'my key')
    } catch (thrown) {
      return thrown
    }
  }
  for (const error of [new SyntaxError('no JSON'), new MemcacheValueError('bad block'), 'a string', new RangeError('x')]) {
    const thrown = caught(error) as MemcacheError
    t.type(thrown, MemcacheValueError)
    t.match(thrown, { sent: true, cause: error, message: /"my key".*flags 3/ })
  }
  const other = new MemcacheServerError('as it is')
  t.equal(caught(other), other)
})

t.test('executeAll', async (t) => {
  const requests = (count: number): Request<'delete'>[] => Array.from({ length: count }, (_, index) => ({ op: 'delete', key: `k${index}` }))
  const executor = (answer: (key: string) => Promise<boolean> | boolean): Execute =>
    (async <O extends Op>(request: Request<O>) => (await answer((request as unknown as Request<'delete'>).key)) as unknown as Reply<O>) as Execute

  const seen: string[] = []
  let underWay = 0
  let most = 0
  const replies = await executeAll(executor(async (key) => {
    seen.push(key)
    most = Math.max(most, (underWay += 1))
    await sleep(Number(key.slice(1)) % 3)
    underWay -= 1
    return Number(key.slice(1)) % 2 === 0
  }), requests(1700), { timeout: 60_000, most: 1000 })
  t.same(replies, Array.from({ length: 1700 }, (_, index) => index % 2 === 0), 'replies in the order of the requests')
  t.same(seen, requests(1700).map(({ key }) => key), 'called in that order, each once')
  t.equal(most, 1000, 'as many at a time as there may be')
  t.same(await executeAll(executor(() => true), [], { timeout: 5 }), [])

  let room = 0
  const crowded = await executeAll(executor(async (key) => {
    if (room >= 100) throw new MemcacheOverloadError('full')
    room += 1
    await sleep(1)
    room -= 1
    return key !== ''
  }), requests(450), { timeout: 60_000 })
  t.equal(crowded.filter(Boolean).length, 450, 'those that find no room wait for the others')
  await t.rejects(executeAll(executor(() => Promise.reject(new MemcacheOverloadError('full of others'))), requests(3), { timeout: 5000 }), MemcacheOverloadError)

  let settled = 0
  const failing = executeAll(executor(async (key) => {
    await sleep(key === 'k1' ? 1 : 20)
    settled += 1
    if (key === 'k1') throw new MemcacheServerError('SERVER_ERROR one')
    return true
  }), requests(10), { timeout: 5000 })
  await t.rejects(failing, { message: 'SERVER_ERROR one' })
  t.equal(settled, 10, 'it rejects when all that were under way have settled')

  const given: unknown[] = []
  await executeAll((async (_request: Request, call: unknown) => void given.push(call)) as unknown as Execute, requests(2), { timeout: 1000, signal: AbortSignal.timeout(60_000) })
  t.ok(given.every((call) => (call as { timeout: number }).timeout <= 1000 && (call as { signal?: AbortSignal }).signal !== undefined), 'timeout and signal are handed on')
})

t.test('wrap: what is closed or cancelled does not run afterwards', async (t) => {
  const ran: string[] = []
  let connected = (): void => {}
  const backend = (): Backend => ({
    connect: () => new Promise((resolve) => (connected = resolve)),
    commands: {
      delete: ({ key }) => {
        ran.push(key)
        return key === 'stuck' ? new Promise(() => {}) : true
      },
      version: () => '1',
    },
    close() {},
  })
  const client = new Client({ driver: wrap('toy', backend), timeout: 5000 })
  const controller = new AbortController()
  const outcomes = Promise.allSettled([client.delete('aborted', { signal: controller.signal }), client.delete('closed'), client.version()])
  await sleep(5)
  controller.abort()
  await client.close()
  connected()
  const [aborted, closed, version] = (await outcomes) as PromiseRejectedResult[]
  await sleep(5)
  t.equal(aborted!.reason.name, 'AbortError')
  t.type(closed!.reason, MemcacheClosedError)
  t.match(closed!.reason, { command: 'delete', sent: false })
  t.match(version!.reason, { command: 'version', sent: false }, 'each has an error of its own')
  t.same(ran, [], 'sent: false, and so it is')
  t.notOk(client.isConnected(), 'a connection that is made after close does not count')

  const again = client.connect()
  await sleep(5)
  connected()
  await again
  const stuck = client.delete('stuck').catch((error: unknown) => error)
  await sleep(5)
  await client.close()
  t.same(ran, ['stuck'])
  t.match(await stuck, { code: 'ERR_MEMCACHE_CLOSED', sent: true }, 'the library had it already')
})

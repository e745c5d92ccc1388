/// <reference types="node" preserve="true" />

/** The commands of the binary protocol: what each opcode means. The order of the checks is memcached 1.6.18's. */

import { saslList, saslStart, saslStep } from './binary-authentication.ts'
import { binaryStatistics } from './binary-statistics.ts'
import { STATUS } from './binary-status.ts'
import { countRetrieval } from './counters.ts'
import { CRLF_BYTES, MAX_KEY_LENGTH } from './item.ts'
import type { BinaryCommand, BinaryContext } from './binary-command.ts'
import type { BinaryReply, BinaryRequest } from './binary-packet.ts'
import type { BinaryStatus } from './binary-status.ts'
import type { StoreMode } from './item-store.ts'

/** With this exptime a counter that is missing is not created. */
const NEVER_CREATE = 0xffffffff

const COUNT_FAILURES = {
  NOT_FOUND: STATUS.notFound,
  EXISTS: STATUS.exists,
  NON_NUMERIC: STATUS.nonNumeric,
  OUT_OF_MEMORY: STATUS.noRoomToGrow
}

const COMMANDS: readonly (readonly [opcode: number, quietOpcode: number | undefined, command: BinaryCommand])[] = [
  [0x00, 0x09, retrieval({})], // get
  [0x0c, 0x0d, retrieval({ withKey: true })], // getk
  [0x1c, undefined, retrieval({ touch: true, withValue: false })], // touch
  [0x1d, 0x1e, retrieval({ touch: true })], // gat
  [0x23, 0x24, retrieval({ touch: true, withKey: true })], // gatk
  [0x01, 0x11, storage('set')],
  [0x02, 0x12, storage('add')],
  [0x03, 0x13, storage('replace')],
  [0x0e, 0x19, storage('append')],
  [0x0f, 0x1a, storage('prepend')],
  [0x04, 0x14, { key: 'needed', run: runDelete }],
  [0x05, 0x15, counting('up')],
  [0x06, 0x16, counting('down')],
  [0x08, 0x18, { key: 'none', extras: [0, 4], run: runFlush }],
  [0x07, 0x17, { key: 'none', run: runQuit }],
  [0x0a, undefined, { key: 'none', run: runNoop }],
  [0x0b, undefined, { key: 'none', open: true, run: runVersion }],
  [0x10, undefined, binaryStatistics],
  [0x20, undefined, saslList],
  [0x21, undefined, saslStart],
  [0x22, undefined, saslStep]
]

const entries = new Map<number, { readonly command: BinaryCommand; readonly quiet: boolean }>()
for (const [opcode, quietOpcode, command] of COMMANDS) {
  entries.set(opcode, { command, quiet: false })
  if (quietOpcode !== undefined) entries.set(quietOpcode, { command, quiet: true })
}

/** Runs one request: its reply is queued, or the session is set to take the value behind it. */
export function runRequest(session: BinaryContext, request: BinaryRequest): void {
  const entry = entries.get(request.opcode)
  const fault = fatalFault(session, request, entry?.command)
  if (fault !== undefined) {
    session.fail(request, fault)
    session.close()
  } else if (entry !== undefined) {
    entry.command.run(session, request, entry.quiet)
  } else {
    // memcached drops the whole body, though extras and key are used by now: so much is lost of what follows.
    session.fail(request, STATUS.unknownCommand, request.extras.length + request.key.length + request.valueLength || undefined)
  }
}

/** What is wrong with a request behind which the connection ends. */
function fatalFault({ sasl }: BinaryContext, request: BinaryRequest, command: BinaryCommand | undefined): BinaryStatus | undefined {
  if (request.valueLength < 0) return STATUS.unknownCommand
  if (sasl?.authenticated === false && command?.open !== true) return STATUS.authFailure
  if (request.key.length > MAX_KEY_LENGTH || (command !== undefined && !fits(request, command))) return STATUS.invalid
  return undefined
}

function fits(request: BinaryRequest, { key, extras = [0], value = false }: BinaryCommand): boolean {
  return extras.includes(request.extras.length)
    && (key === 'optional' || (key === 'needed') === (request.key !== ''))
    && (value || request.valueLength === 0)
}

/** With `touch`, extras: the exptime. */
function retrieval({ touch = false, withKey = false, withValue = true }: { touch?: boolean; withKey?: boolean; withValue?: boolean }): BinaryCommand {
  return {
    key: 'needed',
    extras: [touch ? 4 : 0],
    value: touch,
    run(session, request, quiet) {
      const { store, settings, prefixes } = session.engine
      const { key, extras } = request
      const item = touch ? store.touch(key, store.lifetimes.expiry(extras.readUInt32BE(0))) : store.fetch(key)
      if (settings.detailEnabled) prefixes.countGet(key, item !== undefined)
      countRetrieval(store.counters, item?.slab.counters, touch)
      if (item !== undefined) {
        const value = withValue ? item.data.subarray(0, -CRLF_BYTES) : undefined
        session.reply(request, { flags: item.flags, key: withKey ? key : undefined, value, cas: item.cas })
        session.hold(item)
      } else if (!quiet) {
        if (withKey) session.reply(request, { status: STATUS.notFound.code, key })
        else session.fail(request, STATUS.notFound)
      }
    }
  }
}

/** Extras: flags and exptime, unless it joins values. With a cas id set, add and replace are one: they change that very item. */
function storage(mode: StoreMode): BinaryCommand {
  const joins = mode === 'append' || mode === 'prepend'
  const failures = {
    EXISTS: STATUS.exists,
    NOT_FOUND: STATUS.notFound,
    NOT_STORED: mode === 'add' ? STATUS.exists : mode === 'replace' ? STATUS.notFound : STATUS.notStored
  }
  return {
    key: 'needed',
    extras: [joins ? 0 : 8],
    value: true,
    run(session, request, quiet) {
      const { store, settings, prefixes } = session.engine
      const { key, extras, valueLength } = request
      const [flags, exptime] = joins ? [0, 0] : [extras.readUInt32BE(0), extras.readUInt32BE(4)]
      if (settings.detailEnabled) prefixes.countSet(key)
      const item = store.allocate(key, flags, store.lifetimes.expiry(exptime), valueLength)
      if (typeof item === 'string') {
        session.fail(request, item === 'too large' ? STATUS.tooLarge : STATUS.noRoomForItem, valueLength)
        if (mode === 'set') store.discard(key)
        return
      }
      const cas = settings.casEnabled ? request.cas : 0n
      session.upload(item, () => {
        item.slab.counters.cmd_set++
        const status = store.store(cas === 0n || joins ? mode : 'cas', item, cas)
        if (status !== 'STORED') session.fail(request, failures[status])
        else if (!quiet) session.reply(request, { cas: item.cas })
      })
    }
  }
}

function runDelete(session: BinaryContext, request: BinaryRequest, quiet: boolean): void {
  const { store, settings, prefixes } = session.engine
  const { key, cas } = request
  if (settings.detailEnabled) prefixes.countDelete(key)
  const item = store.peek(key)
  if (item === undefined) {
    store.counters.delete_misses++
    session.fail(request, STATUS.notFound)
  } else if (cas !== 0n && cas !== BigInt(item.cas)) {
    session.fail(request, STATUS.exists)
  } else {
    item.slab.counters.delete_hits++
    store.unlink(item)
    if (!quiet) session.reply(request)
  }
}

/** Extras: the delta; the value of a counter that has to be created, and its exptime. */
function counting(direction: 'up' | 'down'): BinaryCommand {
  const down = direction === 'down'
  return {
    key: 'needed',
    extras: [20],
    run(session, request, quiet) {
      const { store } = session.engine
      const { key, extras, cas } = request
      const [delta, initial, exptime] = [extras.readBigUInt64BE(0), extras.readBigUInt64BE(8), extras.readUInt32BE(16)]
      const result = store.count(key, delta, down, cas)
      if (typeof result !== 'string') {
        if (!quiet) session.reply(request, counted(result.value, result.item.cas))
      } else if (result === 'NOT_FOUND' && exptime !== NEVER_CREATE) {
        const item = store.createCounter(key, initial, store.lifetimes.expiry(exptime))
        if (item === undefined) session.fail(request, STATUS.noRoomForCounter)
        else if (!quiet) session.reply(request, counted(initial, item.cas))
      } else {
        if (result === 'NOT_FOUND') store.counters[down ? 'decr_misses' : 'incr_misses']++
        session.fail(request, COUNT_FAILURES[result])
      }
    }
  }
}

function counted(count: bigint, cas: number): BinaryReply {
  const value = Buffer.allocUnsafe(8)
  value.writeBigUInt64BE(count)
  return { value, cas }
}

/** Extras: the delay, if any. */
function runFlush(session: BinaryContext, request: BinaryRequest, quiet: boolean): void {
  const { store, settings } = session.engine
  if (!settings.flushEnabled) {
    session.fail(request, STATUS.authFailure)
    return
  }
  store.counters.cmd_flush++
  store.flush(request.extras.length === 0 ? 0 : request.extras.readUInt32BE(0))
  if (!quiet) session.reply(request)
}

function runQuit(session: BinaryContext, request: BinaryRequest, quiet: boolean): void {
  if (!quiet) session.reply(request)
  session.flush()
  session.close()
}

function runNoop(session: BinaryContext, request: BinaryRequest): void {
  session.reply(request)
  session.flush()
}

function runVersion(session: BinaryContext, request: BinaryRequest): void {
  session.reply(request, { value: session.engine.settings.version })
}

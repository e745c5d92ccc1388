/// <reference types="node" preserve="true" />

/** The commands of the binary protocol: what each opcode means, and what memcached 1.6.18 refuses, in its order. */

import { AUTH_CONTINUE, STATUS } from './binary-status.ts'
import { binaryStatistics } from './binary-statistics.ts'
import { countRetrieval } from './counters.ts'
import { CRLF_BYTES, MAX_KEY_LENGTH } from './item.ts'
import type { BinaryCommand, BinaryContext } from './binary-command.ts'
import type { BinaryReply, BinaryRequest } from './binary-packet.ts'
import type { StoreMode } from './item-store.ts'
import type { SaslExchange, SaslOutcome } from './sasl.ts'

const VERSION = 0x0b
const SASL_LIST = 0x20
const SASL_START = 0x21
const SASL_STEP = 0x22
/** What a connection may ask for that is not authenticated. */
const ALWAYS_ALLOWED: readonly number[] = [VERSION, SASL_LIST, SASL_START, SASL_STEP]

/** As exptime of a counter that is missing: do not create it. */
const NEVER_CREATE = 0xffffffff
const MAX_MECHANISM_LENGTH = 32

const COMMANDS: readonly (readonly [opcode: number, quiet: number | undefined, command: BinaryCommand])[] = [
  [0x00, 0x09, retrieval({})],
  [0x0c, 0x0d, retrieval({ key: true })],
  [0x1c, undefined, retrieval({ touch: true, value: false })],
  [0x1d, 0x1e, retrieval({ touch: true })],
  [0x23, 0x24, retrieval({ touch: true, key: true })],
  [0x01, 0x11, storage('set')],
  [0x02, 0x12, storage('add')],
  [0x03, 0x13, storage('replace')],
  [0x0e, 0x19, storage('append')],
  [0x0f, 0x1a, storage('prepend')],
  [0x04, 0x14, { key: 'needed', run: runDelete }],
  [0x05, 0x15, counting(false)],
  [0x06, 0x16, counting(true)],
  [0x08, 0x18, { extras: [0, 4], key: 'none', run: runFlush }],
  [0x07, 0x17, { key: 'none', run: runQuit }],
  [0x0a, undefined, { key: 'none', run: runNoop }],
  [VERSION, undefined, { key: 'none', run: runVersion }],
  [0x10, undefined, binaryStatistics],
  [SASL_LIST, undefined, { key: 'none', run: runSaslList }],
  [SASL_START, undefined, { key: 'needed', value: true, run: authentication((sasl, mechanism, response) => sasl.start(mechanism, response)) }],
  [SASL_STEP, undefined, { key: 'needed', value: true, run: authentication((sasl, _, response) => sasl.step(response)) }]
]

interface Entry { readonly command: BinaryCommand; readonly quiet: boolean }

const entries = new Map<number, Entry>()
for (const [opcode, quietOpcode, command] of COMMANDS) {
  entries.set(opcode, { command, quiet: false })
  if (quietOpcode !== undefined) entries.set(quietOpcode, { command, quiet: true })
}

/** Runs one request: its reply is queued, or the session is set to take the value behind it. */
export function runRequest(session: BinaryContext, request: BinaryRequest): void {
  const { sasl } = session
  if (request.valueLength < 0) {
    session.fail(request, STATUS.unknownCommand)
    session.close()
    return
  }
  if (sasl !== undefined && !sasl.authenticated && !ALWAYS_ALLOWED.includes(request.opcode)) {
    session.fail(request, STATUS.authFailure)
    session.close()
    return
  }
  const entry = entries.get(request.opcode)
  if (request.key.length > MAX_KEY_LENGTH || (entry !== undefined && !fits(entry.command, request))) {
    session.fail(request, STATUS.invalid)
    session.close()
    return
  }
  if (entry === undefined) runUnknown(session, request)
  else entry.command.run(session, request, entry.quiet)
}

function fits({ extras = [0], key, value = false }: BinaryCommand, request: BinaryRequest): boolean {
  return extras.includes(request.extras.length) && (key === 'optional' || (key === 'needed') === (request.key !== ''))
    && (value || request.valueLength === 0)
}

/** memcached drops the whole body behind extras and key, although it has used those: packets that follow are lost. */
function runUnknown(session: BinaryContext, request: BinaryRequest): void {
  session.fail(request, STATUS.unknownCommand, request.extras.length + request.key.length + request.valueLength)
}

function retrieval({ touch = false, key = false, value = true }: { touch?: boolean; key?: boolean; value?: boolean }): BinaryCommand {
  return {
    ...(touch ? { extras: [4], value: true } : {}),
    key: 'needed',
    run(session, request, quiet) {
      const { store, settings, prefixes } = session.engine
      const item = touch ? store.touch(request.key, store.lifetimes.expiry(request.extras.readUInt32BE(0))) : store.fetch(request.key)
      if (settings.detailEnabled) prefixes.countGet(request.key, item !== undefined)
      countRetrieval(store.counters, item?.slab.counters, touch)
      if (item !== undefined) {
        session.reply(request, {
          flags: item.flags,
          cas: item.cas,
          key: key ? request.key : undefined,
          value: value ? item.data.subarray(0, -CRLF_BYTES) : undefined
        })
        session.hold(item)
      } else if (!quiet) {
        if (key) session.reply(request, { status: STATUS.notFound.code, key: request.key })
        else session.fail(request, STATUS.notFound)
      }
    }
  }
}

/** set, add and replace have flags and exptime as extras; with a cas id all three replace exactly that item. */
function storage(mode: StoreMode): BinaryCommand {
  const joins = mode === 'append' || mode === 'prepend'
  const notStored = mode === 'add' ? STATUS.exists : mode === 'replace' ? STATUS.notFound : STATUS.notStored
  return {
    extras: [joins ? 0 : 8],
    key: 'needed',
    value: true,
    run(session, request, quiet) {
      const { store, settings, prefixes } = session.engine
      const { key, extras, valueLength } = request
      if (settings.detailEnabled) prefixes.countSet(key)
      const flags = joins ? 0 : extras.readUInt32BE(0)
      const expiresAt = joins ? 0 : store.lifetimes.expiry(extras.readUInt32BE(4))
      const item = store.allocate(key, flags, expiresAt, valueLength)
      if (typeof item === 'string') {
        session.fail(request, item === 'too large' ? STATUS.tooLarge : STATUS.noRoomForItem, valueLength)
        if (mode === 'set') store.discard(key)
        return
      }
      const cas = settings.casEnabled ? request.cas : 0n
      session.upload(item, () => {
        item.slab.counters.cmd_set++
        switch (store.store(cas === 0n || joins ? mode : 'cas', item, cas)) {
          case 'STORED':
            if (!quiet) session.reply(request, { cas: item.cas })
            break
          case 'EXISTS':
            session.fail(request, STATUS.exists)
            break
          case 'NOT_FOUND':
            session.fail(request, STATUS.notFound)
            break
          case 'NOT_STORED':
            session.fail(request, notStored)
        }
      })
    }
  }
}

function runDelete(session: BinaryContext, request: BinaryRequest, quiet: boolean): void {
  const { store, settings, prefixes } = session.engine
  if (settings.detailEnabled) prefixes.countDelete(request.key)
  const item = store.peek(request.key)
  if (item === undefined) {
    store.counters.delete_misses++
    session.fail(request, STATUS.notFound)
  } else if (request.cas !== 0n && request.cas !== BigInt(item.cas)) {
    session.fail(request, STATUS.exists)
  } else {
    item.slab.counters.delete_hits++
    store.unlink(item)
    if (!quiet) session.reply(request)
  }
}

/** Extras: delta and the value of a counter to be created, 8 bytes each, and its exptime. */
function counting(down: boolean): BinaryCommand {
  return {
    extras: [20],
    key: 'needed',
    run(session, request, quiet) {
      const { store } = session.engine
      const { key, extras, cas } = request
      const result = store.count(key, extras.readBigUInt64BE(0), down, cas)
      switch (result) {
        case 'NON_NUMERIC':
          session.fail(request, STATUS.nonNumeric)
          break
        case 'EXISTS':
          session.fail(request, STATUS.exists)
          break
        case 'OUT_OF_MEMORY':
          session.fail(request, STATUS.noRoomToGrow)
          break
        case 'NOT_FOUND':
          if (extras.readUInt32BE(16) !== NEVER_CREATE) {
            createCounter(session, request, quiet)
            break
          }
          if (down) store.counters.decr_misses++
          else store.counters.incr_misses++
          session.fail(request, STATUS.notFound)
          break
        default:
          if (!quiet) session.reply(request, counted(result.value, result.item.cas))
      }
    }
  }
}

function createCounter(session: BinaryContext, request: BinaryRequest, quiet: boolean): void {
  const { store } = session.engine
  const initial = request.extras.readBigUInt64BE(8)
  const digits = String(initial)
  const item = store.allocate(request.key, 0, store.lifetimes.expiry(request.extras.readUInt32BE(16)), digits.length)
  if (typeof item === 'string') {
    session.fail(request, STATUS.noRoomForCounter)
    return
  }
  item.data.write(`${digits}\r\n`, 'latin1')
  store.link(item)
  if (!quiet) session.reply(request, counted(initial, item.cas))
}

function counted(count: bigint, cas: number): BinaryReply {
  const value = Buffer.allocUnsafe(8)
  value.writeBigUInt64BE(count)
  return { value, cas }
}

/** Extras: the delay, if there are any. */
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

function runNoop(session: BinaryContext, request: BinaryRequest): void {
  session.reply(request)
  session.flush()
}

function runVersion(session: BinaryContext, request: BinaryRequest): void {
  session.reply(request, { value: session.engine.settings.version })
}

function runQuit(session: BinaryContext, request: BinaryRequest, quiet: boolean): void {
  if (!quiet) session.reply(request)
  session.flush()
  session.close()
}

function runSaslList(session: BinaryContext, request: BinaryRequest): void {
  if (session.sasl === undefined) session.fail(request, STATUS.unknownCommand)
  else session.reply(request, { value: session.sasl.list() })
}

/** The key is the mechanism's name, the value what the client says; an item's memory holds it meanwhile. */
function authentication(advance: (sasl: SaslExchange, mechanism: string, response: string) => SaslOutcome): BinaryCommand['run'] {
  return (session, request) => {
    const { sasl } = session
    const { store } = session.engine
    if (sasl === undefined) {
      session.fail(request, STATUS.unknownCommand, request.valueLength)
      return
    }
    if (request.key.length > MAX_MECHANISM_LENGTH) {
      session.fail(request, STATUS.invalid, request.valueLength)
      return
    }
    const item = store.allocate(request.key, 0, 0, request.valueLength)
    if (typeof item === 'string' || store.slabs.isChunked(item.size)) {
      if (typeof item !== 'string') store.release(item)
      session.fail(request, STATUS.outOfMemory, request.valueLength)
      return
    }
    session.upload(item, () => {
      store.release(item)
      const outcome = advance(sasl, request.key, item.data.toString('latin1', 0, request.valueLength))
      if (typeof outcome !== 'string') {
        session.reply(request, { status: AUTH_CONTINUE, value: outcome.challenge })
        session.flush()
        return
      }
      store.counters.auth_cmds++
      if (outcome === 'authenticated') {
        session.reply(request, { value: 'Authenticated' })
      } else {
        store.counters.auth_errors++
        session.fail(request, STATUS.authFailure)
      }
    })
  }
}

import { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import fc from 'fast-check'
import type { CountOptions, StoreOptions } from '../../lib/call-options.ts'
import type { Client } from '../../lib/client.ts'
import type { Ttl } from '../../lib/expiry.ts'
import type { KeyLike } from '../../lib/key.ts'

/** Calls of a client's commands as data: programs are made of them, clients make them, the model judges their outcomes. */

/** A cas id that was seen for the key before: how many sightings ago, 0 = the last one. */
export interface Sighting {
  readonly ago: number
}

/** Each command's arguments. `cas` without an id uses the one that the client remembers. */
export interface Commands {
  get: [key: KeyLike]
  gets: [key: KeyLike]
  metaGet: [key: KeyLike]
  delete: [key: KeyLike]
  gat: [key: KeyLike, ttl: Ttl]
  gats: [key: KeyLike, ttl: Ttl]
  touch: [key: KeyLike, ttl: Ttl]
  set: [key: KeyLike, value: unknown, options?: StoreOptions | undefined]
  add: [key: KeyLike, value: unknown, options?: StoreOptions | undefined]
  replace: [key: KeyLike, value: unknown, options?: StoreOptions | undefined]
  append: [key: KeyLike, piece: unknown, options?: StoreOptions | undefined]
  prepend: [key: KeyLike, piece: unknown, options?: StoreOptions | undefined]
  cas: [key: KeyLike, value: unknown, options: { readonly cas?: bigint | Sighting | undefined; readonly ttl?: Ttl }]
  incr: [key: KeyLike, delta: number | bigint, options?: CountOptions | undefined]
  decr: [key: KeyLike, delta: number | bigint, options?: CountOptions | undefined]
  getMulti: [keys: readonly KeyLike[]]
  getsMulti: [keys: readonly KeyLike[]]
  deleteMulti: [keys: readonly KeyLike[]]
  setMulti: [entries: readonly (readonly [KeyLike, unknown])[], options?: StoreOptions | undefined]
  flushAll: [delay?: number]
  resetCas: []
  verbosity: [level: number]
  version: []
}

/** The name of a command. */
export type Command = keyof Commands

/** A call of one of these commands. */
export type Call<C extends Command = Command> = { [K in C]: { readonly command: K; readonly args: Commands[K] } }[C]

/** The commands that concern one key. */
export type KeyCommand = Exclude<Command, 'getMulti' | 'getsMulti' | 'deleteMulti' | 'setMulti' | 'flushAll' | 'resetCas' | 'verbosity' | 'version'>

/** A call that fast-check shows as it would be written. */
export function makeCall<C extends Command>(command: C, args: Commands[C]): Call<C> {
  const call = { command, args } as Call<C>
  return Object.assign(call, { [fc.toStringMethod]: () => showCall(call as Call) })
}

/** A call as it would be written, long values cut. */
export function showCall({ command, args }: Call): string {
  const given = args.filter((argument, place) => argument !== undefined || place < 2)
  return `${command}(${given.map(show).join(', ')})`
}

function show(argument: unknown): string {
  if (Buffer.isBuffer(argument)) return argument.length > 50 ? `<${argument.length} bytes>` : `Buffer.from('${argument.toString('hex')}', 'hex')`
  return inspect(argument, { depth: 6, breakLength: Infinity, maxStringLength: 50 })
}

/** Makes the call. */
export function perform(client: Client, { command, args }: Call): unknown {
  return Reflect.apply(client[command], client, args)
}

/** What came of a call. */
export type Outcome = { readonly value: unknown } | { readonly error: unknown }

/** Waits for what comes of a call. */
export async function outcomeOf(called: unknown): Promise<Outcome> {
  try {
    return { value: await called }
  } catch (error) {
    return { error }
  }
}

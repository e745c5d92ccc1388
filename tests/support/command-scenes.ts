import { isDeepStrictEqual } from 'node:util'
import type { Command } from '../../lib/testing/contract/calls.ts'

/** What each command of the vocabulary finds, gives and leaves: the calls are those of the contract. */

/** A command, on one key. `undefined` is no item. */
export interface Scene {
  /** What is stored before. */
  readonly before: string | number | undefined
  /** Whether this is what the command gives. */
  readonly isRight: (result: unknown, key: string) => boolean
  /** What is stored when it was done. */
  readonly after: unknown
}

function scene(before: string | number | undefined, gives: (key: string) => unknown, after: unknown): Scene {
  return { before, isRight: (result, key) => isDeepStrictEqual(result, gives(key)), after }
}

function isVersionOf(value: string): (result: unknown) => boolean {
  return (result) => {
    const { value: found, cas } = { ...(result as { value?: unknown; cas?: unknown } | undefined) }
    return found === value && typeof cas === 'bigint'
  }
}

/** Text that only one item has. It says whose it is, and is longer than one byte could make another of it. */
export function tokenOf(key: string, nonce: number): string {
  return `<${key}#${String(nonce).padStart(6, '0')}>`
}

/** The scene of each command, with this value on the stage. */
export function scenesOf(value: string): { readonly [command in Command]: Scene } {
  const isVersion = isVersionOf(value)
  const reading = (isRight: Scene['isRight']): Scene => ({ before: value, isRight, after: value })
  return {
    get: reading((found) => found === value),
    getMulti: reading((found, key) => isDeepStrictEqual(found, new Map([[key, value]]))),
    metaGet: reading(isVersion),
    gets: reading(isVersion),
    getsMulti: reading((found, key) => found instanceof Map && found.size === 1 && isVersion(found.get(key))),
    gat: reading((found) => found === value),
    gats: reading(isVersion),
    touch: reading((found) => found === true),
    set: scene(value, () => true, 'v'),
    add: scene(undefined, () => true, 'v'),
    replace: scene(value, () => true, 'v'),
    append: scene(value, () => true, `${value}v`),
    prepend: scene(value, () => true, `v${value}`),
    cas: reading((done) => done === false), // of a version that was long ago
    setMulti: scene(value, (key) => new Map([[key, true]]), 'v'),
    delete: scene(value, () => true, undefined),
    deleteMulti: scene(value, (key) => new Map([[key, true]]), undefined),
    incr: scene(41, () => 42, 42),
    decr: scene(41, () => 40, 40),
    flushAll: scene(value, () => true, undefined),
    stats: reading((found) => found instanceof Map && found.has('curr_items')),
    version: reading((found) => /^\d+\.\d+\.\d+/.test(String(found))),
    verbosity: reading((done) => done === true),
  }
}

/** Whether a command changes what is stored, so that each time it needs a stage of its own. */
export function changes(command: Command): boolean {
  const { before, after } = scenesOf('')[command]
  return before !== after
}

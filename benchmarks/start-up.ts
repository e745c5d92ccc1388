import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { runProgram } from './measurement.ts'
import type { Endpoint } from './server.ts'
import { spreadOf, type Spread } from './statistics.ts'
import type { Subject } from './subjects.ts'

/** What a subject costs before it does anything. */
export interface StartUp {
  readonly subject: string
  /** Milliseconds from the start of a process to the first reply. */
  readonly firstReply?: Spread
  /** Of these, to load the library and make a client. */
  readonly opened?: Spread
  /** Bytes of the package with all that it depends on, as they are installed. */
  readonly installed: number
}

/** Starts each subject in every round. */
export async function startUps(subjects: readonly Subject[], rounds: number, { host, port }: Endpoint, cpu: string | undefined, tick: () => void): Promise<StartUp[]> {
  const samples = new Map(subjects.map(({ name }) => [name, [] as { firstReply: number; opened: number }[]]))
  for (let round = 0; round < rounds; round += 1) {
    for (const { name } of round % 2 === 0 ? subjects : subjects.toReversed()) {
      const found = await runProgram<{ firstReply: number; opened: number }>('first-reply', [name, host, String(port)], cpu)
      if (!('failure' in found)) samples.get(name)?.push(found)
      tick()
    }
  }
  return subjects.map((subject) => {
    const found = samples.get(subject.name) ?? []
    const installed = installedSize(subject)
    if (found.length === 0) return { subject: subject.name, installed }
    return { subject: subject.name, firstReply: spreadOf(found.map((each) => each.firstReply)), opened: spreadOf(found.map((each) => each.opened)), installed }
  })
}

const root = join(import.meta.dirname, '..')
/** What of this folder is in the package. */
const PACKED = ['dist', 'package.json', 'README.md', 'LICENSE']

/** A bare loop is installed with nothing. */
function installedSize({ kind, package: name }: Subject): number {
  if (kind === 'peer') return packageSize(name as string, root, new Set())
  if (kind === 'bare') return 0
  const seen = new Set<string>()
  const others = ['lz4-napi', ...(name === undefined ? [] : [name])].map((other) => packageSize(other, root, seen))
  return PACKED.reduce((sum, file) => sum + sizeOf(join(root, file)), 0) + others.reduce((sum, size) => sum + size, 0)
}

/** The size of a package and of what it depends on, as it is found from a folder; each counts once. */
function packageSize(name: string, from: string, seen: Set<string>): number {
  const folder = folderOf(name, from)
  if (folder === undefined || seen.has(folder)) return 0
  seen.add(folder)
  const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, object>
  const others = Object.keys({ ...dependencies, ...optionalDependencies })
  return sizeOf(folder) + others.reduce((sum, other) => sum + packageSize(other, folder, seen), 0)
}

/** Where Node would find a package; none for an optional one of another platform. */
function folderOf(name: string, from: string): string | undefined {
  const paths = createRequire(join(from, 'package.json')).resolve.paths(name) ?? []
  const found = paths.map((path) => join(path, name)).find((path) => existsSync(join(path, 'package.json')))
  return found === undefined ? undefined : realpathSync(found)
}

/** Bytes of a file, or of all files in a folder but those of other packages. */
function sizeOf(path: string): number {
  if (!existsSync(path)) return 0
  if (!statSync(path).isDirectory()) return statSync(path).size
  return readdirSync(path).filter((name) => name !== 'node_modules').reduce((sum, name) => sum + sizeOf(join(path, name)), 0)
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import type { Test } from 'tap'
import { outsideTap } from './outside-tap.ts'

/** Scripts that use ermc in a process of their own: how that ends, and what it says. */

const root = fileURLToPath(new URL('../..', import.meta.url))
const BUNDLED = { ermc: 'lib/index.ts', memjs: 'drivers/memjs.ts', testing: 'lib/testing/index.ts' }
const PROLOGUE = `
import { Client, binary, meta, noop, text } from './ermc.mjs'
import { memjs } from './memjs.mjs'
import { startServer } from './testing.mjs'
const drivers = { text, meta, binary, memjs }
const quiet = (promise) => promise.catch((error) => error)
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const until = async (condition) => { while (!condition()) await sleep(2) }
`

/** How a process has ended, and what it said. */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

/** A process that runs a script. */
export interface ScriptProcess {
  readonly pid: number
  /** What it has written to stdout up to now. */
  readonly said: () => string
  readonly kill: (signal: NodeJS.Signals) => void
  readonly ended: Promise<Ended>
}

/** What scripts are run with. */
export interface Scripts {
  /** Starts a module with this text, behind imports of all that a script may need. `argv`: for `process.argv`, from 2 on. */
  readonly start: (body: string, argv?: readonly string[]) => ScriptProcess
  /** As `start`, and waits for its end. */
  readonly run: (body: string, argv?: readonly string[]) => Promise<Ended>
}

/** Bundles the sources once, so that a process starts as fast as that of an application does. */
export function scripts(t: Test): Scripts {
  const dir = t.testdir({})
  buildSync({
    absWorkingDir: root, entryPoints: BUNDLED, outdir: dir, outExtension: { '.js': '.mjs' },
    bundle: true, splitting: true, format: 'esm', platform: 'node', packages: 'external', logLevel: 'error',
  })
  let count = 0
  const start = (body: string, argv: readonly string[] = []): ScriptProcess => {
    const file = join(dir, `script-${(count += 1)}.mjs`)
    writeFileSync(file, PROLOGUE + body)
    const child = spawn(...outsideTap(process.execPath, ['--expose-gc', file, ...argv]), { cwd: root, timeout: 60_000, killSignal: 'SIGKILL' })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stdout, stderr }) as Ended)
    return { pid: child.pid as number, said: () => stdout, kill: (signal) => void child.kill(signal), ended }
  }
  return { start, run: (body, argv) => start(body, argv).ended }
}

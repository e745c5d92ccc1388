import { build, stop } from 'esbuild'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Makes what is measured: compiled JavaScript, run by plain Node, as users run it. */

const root = join(import.meta.dirname, '..')

/**
 * Where the compiled programs are, for as long as this process runs. It lies in this package, so that `ermc` is what its package.json
 * says: dist/.
 */
export const COMPILED = join(root, '.tap/bench', String(process.pid))
const PROGRAMS = ['worker', 'first-reply', 'embedded-server', 'memory-worker']

/** Builds the package if dist/ is missing or older than a source, and the programs of the benchmark. */
export async function compile(): Promise<void> {
  if (newest(join(root, 'dist')) < Math.max(...['lib', 'drivers', 'serializers'].map((folder) => newest(join(root, folder))))) {
    execFileSync(process.execPath, ['build.js'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  await build({
    entryPoints: PROGRAMS.map((name) => join(import.meta.dirname, `${name}.ts`)),
    outdir: COMPILED,
    bundle: true,
    splitting: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
  })
  await stop() // its own process, which would stay
  process.once('exit', () => rmSync(COMPILED, { recursive: true, force: true }))
}

/** When a file under this folder was last changed; 0 without one. */
function newest(folder: string): number {
  if (!existsSync(folder)) return 0
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return Math.max(0, ...files.map((name) => statSync(join(folder, name)).mtimeMs))
}

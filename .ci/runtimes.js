/**
 * The package as it is published, on every runtime that it is meant for: `node .ci/runtimes.js`. Packs it, installs it into a
 * folder of its own, fetches the runtimes, and runs the programs of tests/runtimes on each of them, beside a memcached of their
 * own. It exits with 0 only if every program did on every runtime.
 */
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

process.chdir(join(import.meta.dirname, '..'))
const work = '.tap/runtimes'
const consumer = join(work, 'consumer')
const PROGRAMS = ['contract.js', 'smoke.js']

/**
 * npm has each runtime's program in packages that are for one platform; of several, the first that starts here is taken. The
 * usual Bun wants a processor with AVX2. Deno is told to leave node_modules as npm has made it. The newer Node is where
 * tests/support/newer-node.ts looks for one.
 */
const RUNTIMES = [
  { name: 'this Node', program: process.execPath },
  { name: 'a newer Node', folder: '.tap/newer-node', packages: [`node-${process.platform}-${process.arch}@24.21.0`], path: 'bin/node' },
  { name: 'the newest Node', packages: [`node-${process.platform}-${process.arch}@26.12.1`], path: 'bin/node' },
  { name: 'Bun', packages: [`@oven/bun-linux-${bunArch()}@1.4.5`, `@oven/bun-linux-${bunArch()}-baseline@1.4.5`], path: 'bin/bun', args: ['run'] },
  { name: 'Deno', packages: [`@deno/linux-${process.arch}-glibc@2.9.6`], path: 'deno', args: ['run', '--allow-all', '--node-modules-dir=manual'] },
]

const failed = []
installPackage()
for (const runtime of RUNTIMES) {
  const program = runtime.program ?? fetchProgram(runtime)
  if (program === undefined) failed.push(`${runtime.name} is not to be had`)
  else for (const file of PROGRAMS) await run(runtime, program, file)
}
console.log(failed.length === 0 ? 'Every program did on every runtime.' : failed.map((what) => `FAILED: ${what}`).join('\n'))
process.exitCode = failed.length === 0 ? 0 : 1

function bunArch() {
  return process.arch === 'arm64' ? 'aarch64' : process.arch
}

/** The package with the other ones that it leaves to those who want them, in the versions of the lock file. */
function installPackage() {
  rmSync(consumer, { recursive: true, force: true })
  mkdirSync(consumer, { recursive: true })
  writeFileSync(join(consumer, 'package.json'), '{ "private": true, "type": "module" }\n')
  npm('run', 'build')
  const [{ filename }] = JSON.parse(npm('pack', '--json', '--ignore-scripts', '--pack-destination', work))
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'))
  npm('install', '--prefix', consumer, '--no-audit', '--no-fund', join(work, filename), `memjs@${packages['node_modules/memjs'].version}`)
  for (const file of PROGRAMS) copyFileSync(join('tests/runtimes', file), join(consumer, file))
}

/** Runs npm; gives what it prints. */
function npm(...args) {
  const { status, stdout } = spawnSync('npm', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (status !== 0) throw new Error(`npm ${args.join(' ')} ended with ${status}`)
  return stdout
}

function fetchProgram({ name, packages, path, folder = join(work, name) }) {
  for (const wanted of packages) {
    const program = resolve(folder, 'node_modules', wanted.replace(/@[^@]*$/, ''), path)
    if (starts(program)) return program
    try {
      npm('install', '--prefix', folder, '--no-save', '--no-package-lock', '--no-audit', '--no-fund', wanted)
    } catch (error) {
      console.log(`${name}: ${error.message}`)
    }
    if (starts(program)) return program
  }
}

function starts(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0
}

/** Runs one program on a memcached that nobody else uses, so that it may be flushed. */
async function run({ name, args = [] }, program, file) {
  const port = await freePort()
  const memcached = spawn('memcached', ['-l', '127.0.0.1', '-p', port, '-U', '0', ...(process.getuid() === 0 ? ['-u', 'root'] : [])], { stdio: 'ignore' })
  await listening(port)
  const env = { ...process.env, DENO_DIR: resolve(work, 'deno'), DENO_NO_UPDATE_CHECK: '1', NO_COLOR: '1' }
  const { status, signal } = spawnSync(program, [...args, file, `127.0.0.1:${port}`], { cwd: consumer, env, stdio: ['ignore', 'inherit', 'inherit'], timeout: 300_000 })
  memcached.kill('SIGKILL')
  if (status !== 0) failed.push(`${file} on ${name} ended with ${status ?? signal}`)
}

async function listening(port) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const socket = connect(port, '127.0.0.1')
    const connected = await new Promise((resolve) => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
    socket.destroy()
    if (connected) return
    await sleep(25)
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(String(port)))
    })
  })
}

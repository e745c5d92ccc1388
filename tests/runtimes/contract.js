/**
 * Holds the package as it is published to the contract of its drivers, on whatever runtime this is. It stands beside the
 * package, which it finds by its name, and takes the address of a memcached that nobody else uses, if there is one:
 * `contract.js [host:port]`. It says how many checks there were, and exits with 0 only if all of them held.
 */
import { createConnection } from 'node:net'
import process from 'node:process'
import { binary, Client, meta, noop, text } from 'ermc'
import { memjs } from 'ermc/drivers/memjs'
import { driverContract, startServer } from 'ermc/testing'

const DRIVERS = {
  text: { driver: text, unsupported: ['metaGet', 'binaryKeys'] },
  binary: { driver: binary, unsupported: ['metaGet', 'verbosity'] },
  meta: { driver: meta },
  memjs: { driver: memjs, unsupported: ['metaGet', 'verbosity'] },
}
/** Fewer checks than this on a driver and a server are not the contract. */
const LEAST = 90
/** A check that hangs is one that fails. */
const PATIENCE = 30_000

const { Bun, Deno } = globalThis
const runtime = Bun ? `Bun ${Bun.version}` : Deno ? `Deno ${Deno.version.deno}` : `Node ${process.versions.node}`
const [memcached] = process.argv.slice(2)
let failures = 0
let total = 0

for (const [name, { driver, ...said }] of Object.entries(DRIVERS)) {
  let ahead = 0
  const server = await startServer({ now: () => Date.now() + ahead })
  const address = { host: server.host, port: server.port }
  await hold(`${name} on the embedded server`, { ...said, ...subject(driver, address), advance: (seconds) => void (ahead += seconds * 1000) })
  await server.close()
  if (memcached === undefined) continue
  const { hostname: host, port } = new URL(`memcached://${memcached}`)
  await hold(`${name} on memcached`, { ...said, ...subject(driver, { host, port: Number(port) }) })
}
await hold('noop', { client: (options) => new Client({ driver: noop, ...options }), serverless: true, forgets: true }, 10)

console.log(`${runtime}: ${total - failures} of ${total} checks of the contract held`)
process.exit(failures === 0 ? 0 : 1)

function subject(driver, address) {
  return { client: (options) => new Client({ driver, ...address, ...options }), secondsLeft: (key) => secondsLeft(address, key) }
}

async function hold(what, subject, least = LEAST) {
  const checks = driverContract(subject)
  const failed = []
  for (const { name, run } of checks) {
    let timer
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`not done after ${PATIENCE} ms`)), PATIENCE)))
    await Promise.race([run(), late]).catch((error) => failed.push(`  ${what}: ${name}\n    ${String(error?.stack ?? error).replaceAll('\n', '\n    ')}`))
    clearTimeout(timer)
  }
  if (checks.length < least) failed.push(`  ${what}: only ${checks.length} checks`)
  total += checks.length
  failures += failed.length
  console.log(`${runtime}: ${what}: ${checks.length} checks, ${failed.length} failed`)
  for (const failure of failed) console.log(failure)
}

/** The server's own word for when an item expires: a meta `get` by a socket of its own. */
function secondsLeft({ host, port }, key) {
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, host, () => socket.write(`mg ${key} t\r\n`, 'latin1'))
    socket.on('error', reject)
    socket.once('data', (bytes) => {
      socket.destroy()
      const [, seconds] = /^HD t(-?\d+)\r\n$/.exec(bytes.toString('latin1')) ?? []
      if (seconds === undefined) reject(new Error(`the server has no time for ${key}: ${bytes}`))
      else resolve(Number(seconds))
    })
  })
}

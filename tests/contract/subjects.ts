import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { noop } from '../../drivers/noop.ts'
import { Client } from '../../lib/client.ts'
import type { DriverFactory } from '../../lib/driver.ts'
import type { ClientOptions } from '../../lib/options.ts'
import { COMMANDS } from '../../lib/testing/contract/calls.ts'
import { startServer, type ContractSubject, type ServerOptions } from '../../lib/testing/index.ts'
import { wrap } from '../../lib/wrap.ts'
import { Authority, withoutOpenssl } from '../support/certificates.ts'
import { DRIVERS as SPEAKING } from '../support/drivers.ts'
import { FaultProxy, HARMLESS, type Plan } from '../support/fault-proxy.ts'
import { freePort, startMemcached, withoutMemcached } from '../support/servers.ts'

/** The table: each driver on each server. A driver that comes later is one more line in {@link DRIVERS}, or in tests/support/drivers.ts. */

/** A driver, what it says of itself, and the servers that the contract is run on. */
interface DriverRow extends Omit<ContractSubject, 'client'> {
  readonly name: string
  readonly driver: DriverFactory
  readonly servers: readonly ServerRow[]
}

/** A server that can be started, and how it is reached. */
interface ServerRow {
  readonly name: string
  /** Why it cannot run here. */
  readonly skip: string | false
  start(): Promise<Running>
}

/** A server that is up. */
interface Running extends Pick<ContractSubject, 'advance' | 'secondsLeft' | 'shared'> {
  readonly address: ClientOptions
  stop(): Promise<void>
}

/** One row of the product: a driver on a server. */
export interface Row {
  readonly name: string
  readonly skip: string | false
  start(): Promise<{ readonly subject: ContractSubject; stop(): Promise<void> }>
}

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === '::1'))
const withoutIPv6: string | false = hasIPv6 ? false : 'this machine has no ::1'
const withoutUnixSockets: string | false = process.platform === 'win32' ? 'Windows has no unix sockets of this kind' : false

const NO_SERVER: ServerRow = { name: 'no server', skip: false, start: async () => ({ address: {}, stop: async () => {} }) }

/** Bytes: of longer pieces the rest comes at once, since a value of a megabyte would drip for minutes. */
const DRIPPING = 40

/** A server of somebody else, in place of the memcached that is started here. */
const given = process.env['MEMCACHED']

const embeddedServer: ServerRow = { name: 'the embedded server', skip: false, start: () => embedded({}) }
const realServer: ServerRow = { name: 'memcached', skip: withoutMemcached, start: real }
const SERVERS: readonly ServerRow[] = [
  embeddedServer,
  given === undefined
    ? realServer
    : { name: `memcached at ${given}`, skip: false, start: async () => givenServer(given) },
]

const WITH_TLS: readonly ServerRow[] = [...SERVERS, { name: 'memcached by TLS', skip: withoutMemcached || withoutOpenssl, start: realByTls }]

const ALL_WAYS: readonly ServerRow[] = [
  ...WITH_TLS,
  { name: 'the embedded server by a unix socket', skip: withoutUnixSockets, start: async () => embedded({ path: await socketPath() }) },
  { name: 'the embedded server by IPv6', skip: withoutIPv6, start: () => embedded({ host: '::1' }) },
  { name: 'the embedded server by a host name', skip: false, start: () => embedded({}, { host: 'localhost' }) },
  { name: 'memcached by a unix socket', skip: withoutMemcached || withoutUnixSockets, start: realByPath },
]

const DRIVERS: readonly DriverRow[] = [
  ...SPEAKING.map((row) => ({ ...row, servers: row.name === 'text' ? ALL_WAYS : WITH_TLS })),
  { name: 'noop', driver: noop, servers: [NO_SERVER], serverless: true, forgets: true },
  {
    name: 'a driver without commands',
    driver: wrap('empty', () => ({ commands: {}, close() {} })),
    servers: [NO_SERVER],
    serverless: true,
    forgets: true,
    unsupported: [...COMMANDS, 'binaryKeys'],
  },
]

/** Each driver on each of its servers. */
export const rows = DRIVERS.flatMap(rowsOf)

/** What the way to a server can be like, if nothing gets lost on it. */
const WAYS: { readonly [name: string]: Plan } = {
  'a proxy': HARMLESS,
  'a proxy that drips': { request: { does: 'drip', bytes: DRIPPING }, reply: { does: 'drip', bytes: DRIPPING } },
  'a proxy that takes its time': { request: { does: 'delay', for: 1 }, reply: { does: 'delay', for: 1 } },
}

/** Each driver on a server that is reached in each of these ways. */
export const proxiedRows = SPEAKING.flatMap((row) =>
  rowsOf({ ...row, servers: Object.entries(WAYS).map(([way, plan]) => behind(way, plan, withoutMemcached ? embeddedServer : realServer)) }),
)

function rowsOf({ name, driver, servers, ...said }: DriverRow): Row[] {
  return servers.map((server) => ({
    name: `${name} on ${server.name}`,
    skip: server.skip,
    start: async () => {
      const { address, stop, ...running } = await server.start()
      const client: ContractSubject['client'] = (options) => {
        const own = options?.port === undefined && options?.path === undefined ? {} : { tls: undefined } // servers of the checks speak in clear
        return new Client({ driver, ...address, ...own, ...options })
      }
      return { subject: { ...said, ...running, client }, stop }
    },
  }))
}

function behind(way: string, plan: Plan, { name, skip, start }: ServerRow): ServerRow {
  return {
    name: `${name} behind ${way}`,
    skip,
    start: async () => {
      const { address: { host, port = 0 }, stop, ...running } = await start()
      const proxy = await FaultProxy.start({ host, port })
      proxy.plan = plan
      return { ...running, address: { host: proxy.host, port: proxy.port }, stop: async () => void (await Promise.all([proxy.close(), stop()])) }
    },
  }
}

async function embedded(options: ServerOptions, more: ClientOptions = {}): Promise<Running> {
  let ahead = 0
  const server = await startServer({ ...options, now: () => Date.now() + ahead })
  const address = server.path === undefined ? { host: server.host, port: server.port, ...more } : { path: server.path }
  return {
    address,
    advance: (seconds) => void (ahead += seconds * 1000),
    secondsLeft: (key) => secondsLeft(address, key),
    stop: () => server.close(),
  }
}

async function real(): Promise<Running> {
  const server = await startMemcached()
  const address = { host: server.host, port: server.port }
  return { address, secondsLeft: (key) => secondsLeft(address, key), stop: () => server.stop() }
}

async function realByTls(): Promise<Running> {
  const authority = new Authority()
  const { certFile, keyFile } = authority.certify('server', 'IP:127.0.0.1')
  const clear = await freePort()
  const own = ['-l', `notls:127.0.0.1:${clear}`, '-Z', '-o', `ssl_chain_cert=${certFile}`, '-o', `ssl_key=${keyFile}`]
  const server = await startMemcached(own)
  return {
    address: { host: server.host, port: server.port, tls: { ca: authority.ca } },
    secondsLeft: (key) => secondsLeft({ host: server.host, port: clear }, key),
    async stop() {
      await server.stop()
      authority.remove()
    },
  }
}

async function realByPath(): Promise<Running> {
  const path = await socketPath()
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  const child = spawn('memcached', ['-s', path, ...user], { stdio: 'ignore' })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await gone
    await rm(path, { force: true })
  }
  for (let attempt = 0; (await ask({ path }, 'mn\r\n')) === ''; attempt += 1) {
    if (attempt === 200 || child.exitCode !== null) {
      await stop()
      throw new Error(`memcached does not listen on ${path}`)
    }
    await sleep(25)
  }
  return { address: { path }, secondsLeft: (key) => secondsLeft({ path }, key), stop }
}

function givenServer(at: string): Running {
  const { hostname, port } = new URL(`memcached://${at}`)
  const address = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 11211) }
  return { address, shared: true, secondsLeft: (key) => secondsLeft(address, key), stop: () => Promise.resolve() }
}

/** A path that is short enough for a unix socket, in a folder of its own. */
async function socketPath(): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), 'ermc-')), 's')
}

/** A meta `get` for the time that an item has left. */
async function secondsLeft(address: ClientOptions, key: string): Promise<number> {
  const reply = await ask(address, `mg ${key} t\r\n`)
  const [, seconds] = /^HD t(-?\d+)\r\n$/.exec(reply) ?? []
  if (seconds === undefined) throw new Error(`the server has no time for ${key}: ${JSON.stringify(reply)}`)
  return Number(seconds)
}

/** The one line that a server says to this, by a socket of its own; '' where there is no server. */
function ask({ host, port, path }: ClientOptions, line: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path === undefined ? { host: host ?? '', port: port ?? 0 } : { path })
    let reply = ''
    socket.setEncoding('latin1')
    socket.on('connect', () => socket.write(line, 'latin1'))
    socket.on('data', (text: string) => {
      reply += text
      if (reply.endsWith('\r\n')) socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(reply))
  })
}

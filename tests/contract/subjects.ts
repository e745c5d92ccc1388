import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { text } from '../../drivers/text.ts'
import type { DriverFactory } from '../../lib/driver.ts'
import type { ClientOptions } from '../../lib/options.ts'
import { startServer, type ServerOptions } from '../../lib/testing/index.ts'
import { startMemcached, withoutMemcached } from '../support/servers.ts'
import type { Command, Running, Subject } from './contract.ts'

/** The table: each driver on each server. A driver that comes later is one more line in {@link DRIVERS}. */

interface DriverRow {
  readonly name: string
  readonly driver: DriverFactory
  readonly unsupported: readonly Command[]
}

const DRIVERS: readonly DriverRow[] = [{ name: 'text', driver: text, unsupported: [] }]

type Start = Omit<Subject, 'name' | 'unsupported'> & { readonly name: string }

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === '::1'))
const withoutIPv6: string | false = hasIPv6 ? false : 'this machine has no ::1'
const withoutUnixSockets: string | false = process.platform === 'win32' ? 'Windows has no unix sockets of this kind' : false

/** A server of somebody else, in place of the memcached that is started here. */
const given = process.env['MEMCACHED']

const SERVERS: readonly Start[] = [
  { name: 'the embedded server', skip: false, start: () => embedded({}) },
  { name: 'the embedded server by a unix socket', skip: withoutUnixSockets, start: async () => embedded({ path: await socketPath() }) },
  { name: 'the embedded server by IPv6', skip: withoutIPv6, start: () => embedded({ host: '::1' }) },
  { name: 'the embedded server by a host name', skip: false, start: () => embedded({}, { host: 'localhost' }) },
  ...(given === undefined
    ? [
        { name: 'memcached', skip: withoutMemcached, start: real },
        { name: 'memcached by a unix socket', skip: withoutMemcached || withoutUnixSockets, start: realByPath },
      ]
    : [{ name: `memcached at ${given}`, skip: false as const, start: async () => givenServer(given) }]),
]

export const subjects: readonly Subject[] = DRIVERS.flatMap(({ name, driver, unsupported }) =>
  SERVERS.map((server) => ({
    name: `${name} on ${server.name}`,
    skip: server.skip,
    unsupported,
    start: async () => {
      const running = await server.start()
      return { ...running, options: { ...running.options, driver } }
    },
  })),
)

async function embedded(options: ServerOptions, more: ClientOptions = {}): Promise<Running> {
  let ahead = 0
  const server = await startServer({ ...options, now: () => Date.now() + ahead })
  const address = server.path === undefined ? { host: server.host, port: server.port, ...more } : { path: server.path }
  return {
    options: address,
    advance: (seconds) => void (ahead += seconds * 1000),
    secondsLeft: (key) => secondsLeft(address, key),
    stop: () => server.close(),
  }
}

async function real(): Promise<Running> {
  const server = await startMemcached()
  const address = { host: server.host, port: server.port }
  return { options: address, secondsLeft: (key) => secondsLeft(address, key), stop: () => server.stop() }
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
  return { options: { path }, secondsLeft: (key) => secondsLeft({ path }, key), stop }
}

function givenServer(address: string): Running {
  const { hostname, port } = new URL(`memcached://${address}`)
  const options = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 11211) }
  return { options, secondsLeft: (key) => secondsLeft(options, key), stop: () => Promise.resolve() }
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

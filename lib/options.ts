/// <reference types="node" preserve="true" />
import type { ConnectionOptions } from 'node:tls'
import { text } from '../drivers/text.ts'
import { json } from '../serializers/json.ts'
import { LONGEST_TIMEOUT } from './alarm.ts'
import { whole } from './arguments.ts'
import { isPlain } from './call-options.ts'
import type { Compressor } from './compression.ts'
import { Credentials } from './credentials.ts'
import type { Driver, DriverFactory, Endpoint } from './driver.ts'
import { MemcacheUnsupportedError, MemcacheValueError } from './errors.ts'
import { isFormat } from './format.ts'
import { keyRules, type KeyRules } from './key.ts'
import type { Middleware } from './middleware.ts'
import type { Format, Serializer } from './serialization.ts'
import { show } from './show.ts'
import { secured } from './tls-socket.ts'

/** What a client can be told. Times are in milliseconds, lengths in bytes. */
export interface ClientOptions {
  /** An IPv4 or IPv6 address or a host name. Default `127.0.0.1`. */
  readonly host?: string | undefined
  /** Default 11211. */
  readonly port?: number | undefined
  /** A unix socket, instead of host and port. */
  readonly path?: string | undefined
  /**
   * TLS. `true`: the server's certificate has to be good, for the host's name, by the authorities that Node knows. Or what
   * `tls.connect` takes beside where to: `ca`, `cert`, `key`, `servername`, … Default: none.
   */
  readonly tls?: true | ConnectionOptions | undefined
  /** With `password`: SASL PLAIN on `binary` and `memjs`, ASCII authentication on `text` and `meta`. Default: none. */
  readonly username?: string | undefined
  /** It is in no error, event or log of ermc. */
  readonly password?: string | undefined
  /** How to talk to the server: `text` (the default), `binary`, `meta`, `memjs`, `noop`, or a driver of your own. */
  readonly driver?: DriverFactory | undefined
  /** Until a connection stands, TLS and authentication included. Default 3000. */
  readonly connectTimeout?: number | undefined
  /** From a call to its settled promise, connecting included. Default 3000. */
  readonly timeout?: number | undefined
  /** The longest key, prefix included. Default 250, which is memcached's own limit. */
  readonly maxKeyLength?: number | undefined
  /** The longest value as it is stored, which may be compressed. Default 1,000,000. */
  readonly maxValueLength?: number | undefined
  /** Send small packets at once (TCP_NODELAY). Default true. */
  readonly disableNagle?: boolean | undefined
  /** TCP keep-alive. Default true. */
  readonly keepAlive?: boolean | undefined
  /** An idle connection keeps no process alive: that ends without `close()` once nothing is waited for. Default false. */
  readonly unref?: boolean | undefined
  /**
   * How values that are no string, Buffer, integer or bigint become bytes. Of a list the first one writes, and all of them
   * read; what `json` has written is always read. Or a whole format, such as another client's. Default `json`.
   */
  readonly serializer?: Serializer | readonly Serializer[] | Format | undefined
  /**
   * Of a list the first one writes, and all of them read; what a built-in one has written is always read. There is none
   * beside a whole format, which has its own. Default `lz4`.
   */
  readonly compressor?: Compressor | readonly Compressor[] | undefined
  /** Values from this length on are compressed, and stored so if that is shorter. Default 0: never. */
  readonly minCompressLength?: number | undefined
  /** Your own layers around every command, the first outermost. They see values as bytes, serialized and compressed. */
  readonly layers?: readonly Middleware[] | undefined
  /** `gets` remembers the cas id, and `cas` without one uses it. Default false. */
  readonly cacheCas?: boolean | undefined
  /** Faults of connection and server become a miss, `false` or `undefined`. Bad arguments still reject. Default false. */
  readonly errorAsMiss?: boolean | undefined
  /** How many requests may wait for their reply; past it a call rejects with MemcacheOverloadError. Default 100,000. */
  readonly maxPending?: number | undefined
  /** How many bytes these requests may have together. Default 128 MiB. */
  readonly maxPendingBytes?: number | undefined
  /**
   * On the driver `text`, `get`s that are called in one turn travel to a memcached as one multi-key `get`, which costs it and you
   * less. Default true.
   */
  readonly joinGets?: boolean | undefined
  /** Put before every key. Default ''. */
  readonly keyPrefix?: string | undefined
  /** Keys may have blanks, control characters and any other bytes, where the driver can say them. Default false. */
  readonly binaryKeys?: boolean | undefined
  /** Let traces (see tracing.ts) name the keys of commands. Default false. */
  readonly traceKeys?: boolean | undefined
}

/** Checked options, with the defaults in place of what was not said. */
export type Settings = { readonly [K in Exclude<keyof ClientOptions, Unset>]-?: NonNullable<ClientOptions[K]> } & {
  readonly [K in Unset]: ClientOptions[K]
}

/** The options for which not to be said is a value of its own. */
type Unset = 'path' | 'tls' | 'username' | 'password' | 'compressor'

const defaults: Settings = {
  host: '127.0.0.1',
  port: 11211,
  path: undefined,
  tls: undefined,
  username: undefined,
  password: undefined,
  driver: text,
  connectTimeout: 3000,
  timeout: 3000,
  maxKeyLength: 250,
  maxValueLength: 1_000_000,
  disableNagle: true,
  keepAlive: true,
  unref: false,
  serializer: json,
  compressor: undefined,
  minCompressLength: 0,
  layers: [],
  cacheCas: false,
  errorAsMiss: false,
  maxPending: 100_000,
  maxPendingBytes: 128 * 1024 * 1024,
  joinGets: true,
  keyPrefix: '',
  binaryKeys: false,
  traceKeys: false,
}

/** Bytes: memcached itself takes no item of more than 1 GiB. */
const LARGEST_VALUE = 2 ** 30
/** Bytes: what is accepted from a server, and decompressed, whatever this client's own limit for storing. */
const LONGEST_REPLY = 64 * 1024 * 1024

/** The least and the most that a number may be. */
const ranges = new Map<string, readonly [number, number]>(Object.entries({
  port: [1, 65535],
  connectTimeout: [1, LONGEST_TIMEOUT],
  timeout: [1, LONGEST_TIMEOUT],
  maxKeyLength: [1, 65535],
  maxValueLength: [0, LARGEST_VALUE],
  minCompressLength: [0, LARGEST_VALUE],
  maxPending: [1, Number.MAX_SAFE_INTEGER],
  maxPendingBytes: [1, Number.MAX_SAFE_INTEGER],
} as const))

/** What the objects can do that say how values are stored. */
const METHODS = {
  serializer: ['serialize', 'deserialize'],
  compressor: ['compress', 'decompress'],
  format: ['encode', 'decode'],
} as const

/** What no name of a host or socket has; in an error it could begin a line of its own. */
const CONTROL = /[\x00-\x1f\x7f]/

/** What `tls.connect` also takes, and is said by other options here, or is ours to decide. */
const NOT_OF_TLS = ['host', 'port', 'path', 'socket', 'noDelay', 'keepAlive', 'onread', 'timeout', 'signal']

/**
 * The settings of a client: what the options say, else what the URL says, else the defaults.
 * @throws MemcacheValueError for what is no option, of the wrong type or out of range, and for a URL that cannot be read. No
 * message repeats a URL or a password.
 */
export function resolveOptions(url: string | undefined, options: ClientOptions): Settings {
  if (!isPlain(options)) throw new MemcacheValueError('the options are a plain object, behind a URL that is a string')
  const said = Object.entries(options).filter(([, value]) => value !== undefined)
  for (const [name, value] of said) checkOption(name, value)
  const settings: Settings = { ...defaults, ...(url === undefined ? {} : parseUrl(url)), ...Object.fromEntries(said) }
  credentialsOf(settings) // refuses what cannot be
  return settings
}

/** What a driver needs to know of the settings. */
export function endpointOf(settings: Settings, events: Pick<Endpoint, 'onConnect' | 'onDisconnect'>): Endpoint {
  const { host, port, path, connectTimeout, timeout, disableNagle, keepAlive, unref, joinGets, maxPending, maxPendingBytes, maxValueLength } = settings
  const name = path ?? `${host.includes(':') ? `[${host}]` : host}:${port}`
  const maxReplyLength = Math.max(LONGEST_REPLY, maxValueLength)
  const tls = settings.tls && secured(settings.tls === true ? {} : settings.tls)
  const credentials = credentialsOf(settings)
  return { host, port, path, tls, credentials, name, connectTimeout, timeout, disableNagle, keepAlive, unref, joinGets, maxPending, maxPendingBytes, maxReplyLength, ...events }
}

/** @throws MemcacheValueError where there is only one of the two, or one that no protocol can say. */
function credentialsOf({ username, password }: Settings): Credentials | undefined {
  if (username === undefined && password === undefined) return undefined
  if (username === undefined || password === undefined) {
    throw new MemcacheValueError(`there is no ${username === undefined ? 'username for the password' : 'password for the username'}`)
  }
  return new Credentials(username, password)
}

/** @throws MemcacheUnsupportedError for TLS or credentials that the driver would leave out. */
export function checkTransports({ tls, username }: Settings, { transports }: Driver): void {
  if (tls !== undefined && transports?.tls !== true) throw new MemcacheUnsupportedError('this driver has no TLS: "tls" needs one that has')
  if (username !== undefined && transports?.credentials !== true) {
    throw new MemcacheUnsupportedError('this driver does not authenticate: "username" and "password" need one that does')
  }
}

/** What a client's keys have to be. @throws MemcacheUnsupportedError for `binaryKeys` on a driver that cannot say them. */
export function keyRulesOf({ keyPrefix, maxKeyLength, binaryKeys }: Settings, { longestBinaryKey }: Driver): KeyRules {
  if (!binaryKeys) return keyRules(keyPrefix, maxKeyLength, 0)
  if (longestBinaryKey !== undefined) return keyRules(keyPrefix, maxKeyLength, longestBinaryKey)
  throw new MemcacheUnsupportedError('this driver has no keys with blanks or control characters: "binaryKeys" needs one such as binary or meta')
}

/**
 * `memcached://[user:password@]host[:port]`, `memcacheds:` for TLS, or `unix:/path`, with credentials
 * `unix://user:password@/path`. Messages do not repeat the URL: it may hold a password.
 */
function parseUrl(url: string): Partial<Settings> {
  if (url.startsWith('unix:')) return parseUnixUrl(url)
  if (!URL.canParse(url)) throw new MemcacheValueError('the URL cannot be read: memcached://host:port and unix:/path can')
  const { protocol, hostname, port, pathname, search, hash, username, password } = new URL(url)
  if (protocol !== 'memcached:' && protocol !== 'memcacheds:') {
    throw new MemcacheValueError('the URL does not begin with "memcached:", "memcacheds:" or "unix:"')
  }
  if (hostname === '') throw new MemcacheValueError('the URL has no host')
  if (pathname.replace('/', '') !== '' || search !== '' || hash !== '') {
    throw new MemcacheValueError('the URL has more than a host and a port: options go in the second argument')
  }
  const host = hostname.replace(/^\[|\]$/g, '') // an IPv6 address stands in brackets
  const tls = protocol === 'memcacheds:' ? ({ tls: true } as const) : {}
  const settings = { host, ...tls, ...credentialsIn(username, password) }
  if (port === '') return settings
  checkOption('port', Number(port))
  return { ...settings, port: Number(port) }
}

function parseUnixUrl(url: string): Partial<Settings> {
  const [, username = '', password = '', path = ''] = /^unix:(?:\/\/(?:([^/:@]*)(?::([^/@]*))?@)?(?=\/))?(.*)$/s.exec(url) ?? []
  if (path.startsWith('//')) throw new MemcacheValueError('the URL has a host, and a unix socket has none: unix:/path')
  checkOption('path', path)
  return { path, ...credentialsIn(username, password) }
}

/** What stands in a URL in front of an @, where every byte can be written as %XX. */
function credentialsIn(username: string, password: string): Partial<Settings> {
  try {
    return {
      ...(username === '' ? {} : { username: decodeURIComponent(username) }),
      ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    }
  } catch {
    throw new MemcacheValueError('the credentials in the URL are no percent-encoded UTF-8')
  }
}

function checkOption(name: string, value: unknown): void {
  if (!Object.hasOwn(defaults, name)) throw new MemcacheValueError(`there is no option "${name}"`)
  const range = ranges.get(name)
  if (range !== undefined) return void whole(`"${name}"`, value, range)
  if (name === 'serializer' || name === 'compressor') return checkParts(name, value)
  if (name === 'tls') return checkTls(value)
  const secret = name === 'username' || name === 'password' // not shown, whatever it is
  if (secret && typeof value !== 'string') throw new MemcacheValueError(`the option "${name}" is no string`)
  const expected = name === 'path' || secret ? 'string' : typeof defaults[name as keyof Settings]
  if (typeof value !== expected || value === null) throw new MemcacheValueError(`the option "${name}" is a ${expected}, not ${show(value)}`)
  if ((name === 'host' || name === 'path') && (value === '' || CONTROL.test(String(value)))) {
    throw new MemcacheValueError(`the option "${name}" is ${show(value)}`)
  }
  if (name === 'layers' && !(Array.isArray(value) && value.every((layer) => typeof layer === 'function'))) {
    throw new MemcacheValueError('the option "layers" is a list of functions')
  }
}

/** What else is in it Node checks. */
function checkTls(value: unknown): void {
  if (value === true) return
  if (!isObject(value) || Array.isArray(value)) throw new MemcacheValueError(`the option "tls" is true or an object, not ${show(value)}`)
  const wrong = NOT_OF_TLS.find((name) => name in value)
  if (wrong !== undefined) throw new MemcacheValueError(`the option "tls" has a "${wrong}", which is said outside of it, or not at all`)
}

/** Checks one part, or each of a list. @throws MemcacheValueError for what cannot be one. */
function checkParts(name: 'serializer' | 'compressor', value: unknown): void {
  if (name === 'serializer' && isObject(value) && isFormat(value)) return checkFormat(value)
  const parts: readonly unknown[] = [value].flat()
  if (parts.length === 0) throw new MemcacheValueError(`the option "${name}" is an empty list`)
  for (const part of parts) checkPart(name, part)
}

/** @throws MemcacheValueError unless it has its methods, and a flag that an item can have. */
function checkPart(name: 'serializer' | 'compressor', part: unknown): void {
  checkMethods(name, part)
  whole(`"${name}.flag"`, (part as Serializer | Compressor).flag, [1, 2 ** 32 - 1])
}

function checkFormat(format: Format): void {
  checkMethods('format', format)
  if (!Array.isArray(format.compressors)) throw new MemcacheValueError('the format has no list of compressors, which may be empty')
  for (const compressor of format.compressors) checkPart('compressor', compressor)
  whole('"format.counterFlags"', format.counterFlags ?? 0, [0, 2 ** 32 - 1])
}

function checkMethods(name: keyof typeof METHODS, part: unknown): void {
  if (!isObject(part)) throw new MemcacheValueError(`a ${name} is an object, not ${show(part)}`)
  for (const method of METHODS[name]) {
    if (typeof Reflect.get(part, method) !== 'function') throw new MemcacheValueError(`the ${name} has no method "${method}"`)
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

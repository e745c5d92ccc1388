import type { Client, Opening } from './client.ts'

type Callback = (error: unknown, reply: unknown) => void

/** What is used of the library. */
interface Memcached {
  get(key: string, callback: Callback): void
  getMulti(keys: readonly string[], callback: Callback): void
  set(key: string, value: unknown, lifetime: number, callback: Callback): void
  add(key: string, value: unknown, lifetime: number, callback: Callback): void
  replace(key: string, value: unknown, lifetime: number, callback: Callback): void
  append(key: string, value: unknown, callback: Callback): void
  prepend(key: string, value: unknown, callback: Callback): void
  del(key: string, callback: Callback): void
  incr(key: string, amount: number, callback: Callback): void
  decr(key: string, amount: number, callback: Callback): void
  end(): void
}

/** A callback as a promise: what every caller of this library writes today. */
function promised(call: (callback: Callback) => void): Promise<unknown> {
  return new Promise((resolve, reject) => call((error, reply) => (error ? reject(error as Error) : resolve(reply))))
}

/** memcached: text protocol, up to ten connections, callbacks, values are strings or what they were by flags of its own. */
export async function memcached({ host, port }: Opening): Promise<Client> {
  const { default: Library } = (await import('memcached' as string)) as { default: new (server: string) => Memcached }
  const client = new Library(`${host}:${port}`)
  return {
    get: (key) => promised((done) => client.get(key, done)),
    getMulti: (keys) => promised((done) => client.getMulti(keys, done)),
    set: (key, value) => promised((done) => client.set(key, value, 0, done)),
    add: (key, value) => promised((done) => client.add(key, value, 0, done)),
    replace: (key, value) => promised((done) => client.replace(key, value, 0, done)),
    append: (key, value) => promised((done) => client.append(key, value, done)),
    prepend: (key, value) => promised((done) => client.prepend(key, value, done)),
    delete: (key) => promised((done) => client.del(key, done)),
    incr: (key) => promised((done) => client.incr(key, 1, done)),
    decr: (key) => promised((done) => client.decr(key, 1, done)),
    close: () => client.end(),
    readValues: (reply) => new Map(Object.entries(reply as object)),
  }
}

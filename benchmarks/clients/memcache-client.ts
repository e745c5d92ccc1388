import type { Client, Opening } from './client.ts'

/** What is used of the library. */
interface MemcacheClient extends Required<Omit<Client, 'getMulti' | 'get' | 'incr' | 'decr'>> {
  get(key: string | readonly string[]): Promise<unknown>
  incr(key: string, amount: number): Promise<unknown>
  decr(key: string, amount: number): Promise<unknown>
  shutdown(): void
}

/** memcache-client: text protocol, one connection, replies are objects with a value in them. */
export async function memcacheClient({ host, port }: Opening): Promise<Client> {
  const library = (await import('memcache-client')) as unknown as { MemcacheClient: new (options: { server: string }) => MemcacheClient }
  const client = new library.MemcacheClient({ server: `${host}:${port}` })
  return {
    get: (key) => client.get(key),
    getMulti: (keys) => client.get(keys),
    set: (key, value) => client.set(key, value),
    add: (key, value) => client.add(key, value),
    replace: (key, value) => client.replace(key, value),
    append: (key, value) => client.append(key, value),
    prepend: (key, value) => client.prepend(key, value),
    delete: (key) => client.delete(key),
    incr: (key) => client.incr(key, 1),
    decr: (key) => client.decr(key, 1),
    close: () => client.shutdown(),
    readValue: (reply) => (typeof reply === 'string' ? Number(reply) : (reply as { value: unknown } | undefined)?.value),
    readValues: (reply) => new Map(Object.entries(reply as Record<string, { value: unknown }>).map(([key, { value }]) => [key, value])),
    readDone: (reply) => ['STORED', 'DELETED'].includes((reply as string[])[0] as string),
  }
}

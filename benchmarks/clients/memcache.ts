import type { Client, Opening } from './client.ts'

/** What is used of the library. */
interface Memcache extends Required<Omit<Client, 'getMulti'>> {
  gets(keys: readonly string[]): Promise<unknown>
  disconnect(): Promise<void>
}

/** memcache: text protocol, one connection, a write for each command, values are strings. */
export async function memcache({ host, port }: Opening): Promise<Client> {
  const library = (await import('memcache')) as unknown as { Memcache: new (options: { nodes: string[] }) => Memcache }
  const client = new library.Memcache({ nodes: [`${host}:${port}`] })
  return {
    get: (key) => client.get(key),
    getMulti: (keys) => client.gets(keys),
    set: (key, value) => client.set(key, value),
    add: (key, value) => client.add(key, value),
    replace: (key, value) => client.replace(key, value),
    append: (key, value) => client.append(key, value),
    prepend: (key, value) => client.prepend(key, value),
    delete: (key) => client.delete(key),
    incr: (key) => client.incr(key),
    decr: (key) => client.decr(key),
    close: () => client.disconnect(),
  }
}

import type { Client, Opening } from './client.ts'

/** What is used of the library. */
interface Memjs extends Required<Omit<Client, 'getMulti' | 'incr' | 'decr'>> {
  set(key: string, value: unknown, options?: object): Promise<unknown>
  increment(key: string, amount: number, options: object): Promise<unknown>
  decrement(key: string, amount: number, options: object): Promise<unknown>
}

/** memjs: binary protocol, one connection, values are Buffers. It has no multi-get. */
export async function memjs({ host, port }: Opening): Promise<Client> {
  const library = (await import('memjs')) as unknown as { Client: { create(server: string): Memjs } }
  const client = library.Client.create(`${host}:${port}`)
  return {
    get: (key) => client.get(key),
    set: (key, value) => client.set(key, value, {}),
    add: (key, value) => client.add(key, value),
    replace: (key, value) => client.replace(key, value),
    append: (key, value) => client.append(key, value),
    prepend: (key, value) => client.prepend(key, value),
    delete: (key) => client.delete(key),
    incr: (key) => client.increment(key, 1, {}),
    decr: (key) => client.decrement(key, 1, {}),
    close: () => client.close(),
    readValue: (reply) => (reply as { value: unknown }).value ?? undefined,
  }
}

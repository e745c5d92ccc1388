import type { Client } from '../client.ts'
import { Consumer, type ConsumeOptions } from './consumer.ts'
import { checkConsume, type QueueOptions } from './options.ts'

/**
 * The jobs of one queue that is spread over several servers, as one stream: from each server at most `concurrency` at a time.
 * A server that is down is tried again and again, and slows no other one.
 * @throws MemcacheUnsupportedError where a client's driver is not `text`, MemcacheKeyError for what is no name of a queue.
 */
export function consumeAll<T = unknown>(clients: Iterable<Client>, name: string, { codec, ...options }: ConsumeOptions & QueueOptions<T> = {}): Consumer<T> {
  const addresses = Array.from(clients, (client) => client.queue<T>(name, { codec }).address)
  return new Consumer(addresses, checkConsume(options))
}

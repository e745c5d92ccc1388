import { list } from '../arguments.ts'
import { NO_OPTIONS } from '../call-options.ts'
import type { Client } from '../client.ts'
import { MemcacheValueError } from '../errors.ts'
import { Consumer, type ConsumeOptions } from './consumer.ts'
import { checkConsume, type QueueOptions } from './options.ts'

/**
 * The jobs of one queue that is spread over several servers, as one stream: from each server at most `concurrency` at a time.
 * A server that is down is tried again and again, and slows no other one.
 * @throws MemcacheUnsupportedError where a client's driver is not `text`, MemcacheKeyError for what is no name of a queue,
 * MemcacheValueError where there is no client.
 */
export function consumeAll<T = unknown>(clients: Iterable<Client>, name: string, { codec, ...options }: ConsumeOptions & QueueOptions<T> = NO_OPTIONS): Consumer<T> {
  const addresses = Array.from(list('clients', clients), (client) => client.queue<T>(name, { codec }).address)
  if (addresses.length === 0) throw new MemcacheValueError('consumeAll needs a client at least: from none, no job would ever come')
  return new Consumer(addresses, checkConsume(options))
}

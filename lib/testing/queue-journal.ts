/// <reference types="node" preserve="true" />

import { closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import type { QueueItem } from './queue-source.ts'

const LF = 0x0a

/** An item, and the queue that it is in. */
export interface KeptItem {
  readonly name: string
  readonly item: QueueItem
}

/**
 * A file that outlives the server, with what its queues have. It is written before the reply that tells of it, by one
 * call each, so that a process that is killed leaves no more behind than one record that is not whole.
 *
 *     + <queue> <id> <flags> <added> <expires> <length>, then the value: an item was added
 *     - <queue> <id>: it is gone for good
 *     ! <queue>: all of the queue's items are
 */
export class QueueJournal {
  /** What was there at the start, the oldest first. */
  readonly kept: readonly KeptItem[]
  #file: number

  constructor(path: string) {
    this.kept = existsSync(path) ? keptIn(readFileSync(path)) : []
    // In the old file's place at once: at no time is a killed process without either.
    writeFileSync(`${path}.new`, Buffer.concat(this.kept.map(({ name, item }) => added(name, item))))
    renameSync(`${path}.new`, path)
    this.#file = openSync(path, 'a')
  }

  add(name: string, item: QueueItem): void {
    writeSync(this.#file, added(name, item))
  }

  remove(name: string, id: number): void {
    writeSync(this.#file, `- ${name} ${id}\n`, null, 'latin1')
  }

  drop(name: string): void {
    writeSync(this.#file, `! ${name}\n`, null, 'latin1')
  }

  close(): void {
    closeSync(this.#file)
  }
}

function added(name: string, { id, flags, addedAt, expiresAt, data }: QueueItem): Buffer {
  return Buffer.concat([Buffer.from(`+ ${name} ${id} ${flags} ${addedAt} ${expiresAt} ${data.length}\n`, 'latin1'), data])
}

function keptIn(bytes: Buffer): KeptItem[] {
  const queues = new Map<string, Map<number, KeptItem>>()
  for (let start = 0, end = bytes.indexOf(LF); end !== -1; end = bytes.indexOf(LF, start)) {
    const [kind, name = '', ...numbers] = bytes.toString('latin1', start, end).split(' ')
    const [id = 0, flags = 0, addedAt = 0, expiresAt = 0, length = 0] = numbers.map(Number)
    start = end + 1
    if (kind === '+') {
      if (start + length > bytes.length) break
      const data = Buffer.from(bytes.subarray(start, start + length))
      const items = queues.get(name) ?? new Map<number, KeptItem>()
      queues.set(name, items.set(id, { name, item: { id, flags, addedAt, expiresAt, data } }))
      start += length
    } else if (kind === '-') queues.get(name)?.delete(id)
    else queues.delete(name)
  }
  return [...queues.values()].flatMap((items) => [...items.values()])
}

import { Buffer } from 'node:buffer'
import type { Client } from './clients/client.ts'
import type { Exercise, Scenario } from './scenarios.ts'

/** A scenario as calls of a client. */
export interface Calls {
  /** Makes operations number `from` to `from + count` possible; not measured. */
  prepare?(from: number, count: number): Promise<void>
  operation(index: number): Promise<unknown>
  /** Whether this reply to operation number `index` is right. */
  isRight(reply: unknown, index: number): boolean
}

/** How many unmeasured calls are made at once. */
const AT_ONCE = 64
/** Counters begin here, so that they can be counted up and down without becoming longer or 0. */
const COUNTER = 2_000_000_000
/** Of what keys are asked for is decided this many times, then again the same. */
const CHOICES = 8192

/** Stores what a scenario needs, and gives its calls. Keys begin with `prefix`. */
export async function exercise(client: Client, scenario: Scenario, prefix: string): Promise<Calls> {
  const keys = Array.from({ length: scenario.keys }, (_, index) => key(prefix, index, scenario.keyLength))
  const values = keys.map((_, index) => scenario.value(index))
  const at = <T>(list: readonly T[], index: number): T => list[index % list.length] as T
  const isDone = client.readDone ?? ((reply) => reply === true)
  const valueOf = client.readValue ?? ((reply) => reply)
  const valuesOf = client.readValues ?? ((reply) => reply as ReadonlyMap<string, unknown>)
  const done = { isRight: isDone }
  const fill = async (value: (index: number) => unknown = (index) => values[index]): Promise<void> => {
    await each(keys.length, (index) => client.set(keys[index] as string, value(index)))
  }
  const fresh: string[] = []
  const freshKey = (index: number): string => (fresh[index] ??= key(`${prefix}${index.toString(36)}.`, index, scenario.keyLength))
  const count = (method: 'incr' | 'decr') => async (): Promise<Calls> => {
    await fill(() => String(COUNTER))
    const call = bound(client, method)
    return {
      operation: (index) => call(at(keys, index)),
      isRight(reply) {
        const value = Number(valueOf(reply))
        return Number.isInteger(value) && (method === 'incr' ? value > COUNTER : value < COUNTER && value > COUNTER / 2)
      },
    }
  }
  const extend = (method: 'append' | 'prepend') => async (): Promise<Calls> => {
    await fill()
    const call = bound(client, method)
    return { operation: (index) => call(at(keys, index), '.'), ...done }
  }

  const makers: { readonly [name in Exercise]: () => Promise<Calls> | Calls } = {
    async get() {
      await fill()
      return { operation: (index) => client.get(at(keys, index)), isRight: (reply, index) => same(valueOf(reply), at(values, index)) }
    },
    set: () => ({ operation: (index) => client.set(at(keys, index), at(values, index)), ...done }),
    miss: () => ({ operation: (index) => client.get(at(keys, index)), isRight: (reply) => valueOf(reply) === undefined }),
    async getMulti() {
      await fill()
      const length = Number(/\d+$/.exec(scenario.name)?.[0])
      const groups = Array.from({ length: keys.length / length }, (_, index) => keys.slice(index * length, (index + 1) * length))
      const call = bound(client, 'getMulti')
      return {
        operation: (index) => call(at(groups, index)),
        isRight(reply, index) {
          const [found, group] = [valuesOf(reply), at(groups, index)]
          const first = (index % groups.length) * length
          return found.size === group.length && group.every((name, place) => same(found.get(name), values[first + place]))
        },
      }
    },
    async mix() {
      await fill()
      const choices = zipfian(keys.length)
      return {
        operation: (index) => {
          const chosen = at(choices, index)
          const name = keys[chosen] as string
          return index % 10 === 9 ? client.set(name, values[chosen]) : client.get(name)
        },
        isRight: (reply, index) => (index % 10 === 9 ? isDone(reply) : same(valueOf(reply), values[at(choices, index)])),
      }
    },
    add() {
      const call = bound(client, 'add')
      const prepare = async (from: number, count: number): Promise<void> => {
        for (let index = from; index < from + count; index += 1) freshKey(index)
      }
      return { prepare, operation: (index) => call(fresh[index] as string, at(values, index)), ...done }
    },
    async replace() {
      await fill()
      const call = bound(client, 'replace')
      return { operation: (index) => call(at(keys, index), at(values, index)), ...done }
    },
    append: extend('append'),
    prepend: extend('prepend'),
    incr: count('incr'),
    decr: count('decr'),
    delete() {
      const call = bound(client, 'delete')
      const prepare = (from: number, count: number): Promise<void> => each(count, (index) => client.set(freshKey(from + index), at(values, index)))
      return { prepare, operation: (index) => call(fresh[index] as string), ...done }
    },
  }
  return makers[scenario.exercise]()
}

/** A key of this length, which is the prefix, the number and dots between. */
function key(prefix: string, index: number, length: number): string {
  return prefix + String(index).padStart(length - prefix.length, '.')
}

async function each(count: number, call: (index: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < count; from += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, index) => call(from + index)))
  }
}

function bound<M extends keyof Client>(client: Client, method: M): NonNullable<Client[M]> {
  const call = client[method]
  if (typeof call !== 'function') throw new Error(`there is no ${method}`)
  return call.bind(client) as NonNullable<Client[M]>
}

/** Whether a value has come back as it was stored. Where a library gives bytes for text, and text for numbers, these count too. */
function same(value: unknown, stored: unknown): boolean {
  if (value === stored) return true
  if (Buffer.isBuffer(value)) return Buffer.isBuffer(stored) ? value.equals(stored) : value.toString() === stored
  return typeof value === 'object' && value !== null && JSON.stringify(value) === JSON.stringify(stored)
}

/** Numbers below `size`, of which the first are the most frequent: as keys of real caches are, by Zipf's law with exponent 0.99. */
function zipfian(size: number): number[] {
  const sums: number[] = []
  for (let rank = 1, sum = 0; rank <= size; rank += 1) sums.push((sum += rank ** -0.99))
  const total = sums.at(-1) as number
  let state = 0x9e3779b9
  return Array.from({ length: CHOICES }, () => {
    state ^= state << 13 // xorshift: as good as random, and the same in every run
    state ^= state >>> 17
    state ^= state << 5
    const point = ((state >>> 0) / 2 ** 32) * total
    return sums.findIndex((sum) => sum >= point)
  })
}

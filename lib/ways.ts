import type { Exchange, Protocol } from './driver.ts'

/** How a protocol says one operation, whichever that is. */
export type Way = Exchange<never, never>

/** How a protocol says its operations, by their names. */
export type Ways = ReadonlyMap<string, Way>

/**
 * The exchanges of a protocol, as objects of one shape, which V8 reads fastest. Whatever somebody has written to
 * Object.prototype is not in them.
 */
export function waysOf<Frame>({ commands }: Protocol<Frame>): Ways {
  const ways = new Map<string, Way>()
  for (const op in commands) {
    const exchange = own(commands, op as keyof typeof commands) as Way | undefined
    if (exchange === undefined) continue
    ways.set(op, { encode: exchange.encode, reply: own(exchange, 'reply'), decode: own(exchange, 'decode'), waits: own(exchange, 'waits') } as Way)
  }
  return ways
}

/** A property of an object or its class, but not one that all objects have. */
function own<T extends object, K extends keyof T>(object: T, name: K): T[K] | undefined {
  const value = object[name]
  return value === (Object.prototype as T)[name] && !Object.hasOwn(object, name) ? undefined : value
}

/** An item of the {@link Model}. */
interface Item {
  value: string | number
  version: number
}

/**
 * What a memcached does with these commands, as plainly as it can be said. Counters are small numbers, every other value
 * is text that is no number.
 */
export class Model {
  readonly #items = new Map<string, Item>()
  #versions = 0

  get(key: string): string | number | undefined {
    return this.#items.get(key)?.value
  }

  /** The version of an item: another one after each change. */
  version(key: string): number | undefined {
    return this.#items.get(key)?.version
  }

  has(key: string): boolean {
    return this.#items.has(key)
  }

  set(key: string, value: string | number): true {
    this.#items.set(key, { value, version: (this.#versions += 1) })
    return true
  }

  add(key: string, value: string | number): boolean {
    return !this.has(key) && this.set(key, value)
  }

  replace(key: string, value: string | number): boolean {
    return this.has(key) && this.set(key, value)
  }

  append(key: string, text: string): boolean {
    return this.has(key) && this.set(key, `${this.get(key)}${text}`)
  }

  prepend(key: string, text: string): boolean {
    return this.has(key) && this.set(key, `${text}${this.get(key)}`)
  }

  cas(key: string, value: string | number, version: number | undefined): boolean {
    return this.has(key) && this.version(key) === version && this.set(key, value)
  }

  delete(key: string): boolean {
    return this.#items.delete(key)
  }

  /** The new count; `undefined` where there is nothing, the name of the error where there is no number. */
  count(key: string, step: number): number | string | undefined {
    const value = this.get(key)
    if (typeof value !== 'number') return value === undefined ? undefined : 'MemcacheClientError'
    const count = Math.max(value + step, 0)
    this.set(key, count)
    return count
  }
}

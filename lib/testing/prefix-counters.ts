/** `stats detail`: commands counted by the part of the key before the first colon; other keys are not counted. */

interface Uses { get: number; hit: number; set: number; del: number }

/** Counts only what it is told, which is nothing while `stats detail` is off. */
export class PrefixCounters {
  #uses = new Map<string, Uses>()

  countGet(key: string, hit: boolean): void {
    const uses = this.#of(key)
    if (uses === undefined) return
    uses.get++
    if (hit) uses.hit++
  }

  countSet(key: string): void {
    const uses = this.#of(key)
    if (uses !== undefined) uses.set++
  }

  countDelete(key: string): void {
    const uses = this.#of(key)
    if (uses !== undefined) uses.del++
  }

  reset(): void {
    this.#uses.clear()
  }

  /** `PREFIX <prefix> get <n> hit <n> set <n> del <n>`, one line a prefix, and `END`. */
  dump(): string {
    let text = ''
    for (const [prefix, { get, hit, set, del }] of this.#uses) text += `PREFIX ${prefix} get ${get} hit ${hit} set ${set} del ${del}\r\n`
    return `${text}END\r\n`
  }

  #of(key: string): Uses | undefined {
    const colon = key.indexOf(':')
    if (colon === -1) return undefined
    const prefix = key.slice(0, colon)
    let uses = this.#uses.get(prefix)
    if (uses === undefined) this.#uses.set(prefix, (uses = { get: 0, hit: 0, set: 0, del: 0 }))
    return uses
  }
}

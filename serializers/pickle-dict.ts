import { MemcacheValueError } from '../lib/errors.ts'

/** A dict while its items may still come: only then is it known whether all of its keys are strings. */
export class Dict {
  /** Keys and values in turn. */
  readonly items: unknown[] = []
  /** An OrderedDict, which becomes a Map whatever its keys are. */
  readonly ordered: boolean
  /** What it becomes. */
  result: Record<string, unknown> | Map<unknown, unknown> | undefined

  constructor(ordered = false) {
    this.ordered = ordered
  }

  /** Keys and values in turn. */
  add(items: readonly unknown[]): void {
    if (items.length % 2 !== 0) throw new MemcacheValueError('the pickle has a key without a value')
    for (const item of items) this.items.push(item)
  }

  /** Whether it becomes a plain object. */
  isNamed(): boolean {
    return !this.ordered && this.items.every((item, index) => index % 2 === 1 || typeof item === 'string')
  }
}

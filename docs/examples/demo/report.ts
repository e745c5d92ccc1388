/** Printing and checking: each line of the demo is a call, what came of it, and whether that is what was expected. */
import { isDeepStrictEqual, inspect } from 'node:util'
import type { MemcacheError } from '../../../lib/index.ts'

/** What a call is expected to reject with. */
export interface ExpectedFault {
  readonly name: string
  readonly code: string
  readonly sent: boolean
}

/** Colour only where somebody looks at it and has not asked to be spared: https://no-color.org. */
export function useColour(stream: { readonly isTTY?: boolean }, { NO_COLOR, TERM }: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && !NO_COLOR && TERM !== 'dumb'
}

/** Says on a stream how the steps went, and counts them. */
export class Report {
  readonly #out: { write(text: string): unknown }
  readonly #colour: boolean
  #passed = 0
  #failed = 0

  constructor(out: { write(text: string): unknown }, colour: boolean) {
    this.#out = out
    this.#colour = colour
  }

  chapter(title: string): void {
    this.#line(`\n${this.#paint(1, title)}`)
  }

  note(text: string): void {
    this.#line(`  ${this.#paint(2, text)}`)
  }

  /** A call and its result; `remark` says what is to be seen in it. */
  check(call: string, actual: unknown, expected: unknown, remark = ''): void {
    const right = isDeepStrictEqual(actual, expected)
    const result = `${call} ${this.#paint(36, `→ ${show(actual)}`)}`
    this.#step(right, remark === '' ? result : `${result}   ${this.#paint(2, remark)}`, `expected ${show(expected)}`)
  }

  /** A statement and whether it is true. */
  holds(statement: string, truth: boolean): void {
    this.#step(truth, statement, 'this is not so')
  }

  /** A call that has to reject: the error's name, code and message, and whether the request had left. */
  async rejects(call: string, promise: Promise<unknown>, expected: ExpectedFault): Promise<void> {
    const outcome = await promise.then(
      (value) => `it gave ${show(value)}`,
      (error: unknown) => error as MemcacheError,
    )
    if (typeof outcome === 'string') return this.#step(false, call, `${outcome}, expected ${expected.name}`)
    const { name, code, sent, message } = outcome
    const right = name === expected.name && code === expected.code && sent === expected.sent
    this.#step(right, `${call} ${this.#paint(33, `→ ${name}`)}`, `expected ${show(expected)}`)
    this.note(`    code ${code}, sent ${sent}: ${message}`)
  }

  /** The demo itself could not go on. */
  failed(error: unknown): void {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    this.#step(false, 'the demo could not go on', text)
  }

  /** The closing line. Whether every step did what it says. */
  summary(): boolean {
    const good = this.#failed === 0 && this.#passed > 0
    const text = good ? `All ${this.#passed} steps did what they say.` : `${this.#failed} of ${this.#passed + this.#failed} steps failed.`
    this.#line(`\n${this.#paint(good ? 32 : 31, text)}`)
    return good
  }

  #step(right: boolean, text: string, problem: string): void {
    if (right) this.#passed += 1
    else this.#failed += 1
    this.#line(`  ${right ? this.#paint(32, '✓') : this.#paint(31, '✗')} ${text}`)
    if (!right) this.#line(`    ${this.#paint(31, problem)}`)
  }

  #line(text: string): void {
    this.#out.write(`${text}\n`)
  }

  #paint(colour: number, text: string): string {
    return this.#colour ? `\x1b[${colour}m${text}\x1b[0m` : text
  }
}

function show(value: unknown): string {
  const text = inspect(value, { breakLength: Infinity, maxStringLength: 60, depth: 4 })
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

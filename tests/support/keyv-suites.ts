import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { root } from './pages.ts'

/**
 * Keyv's own checks of stores, run by tap. Their packages bring two test runners and a database along, so they are no
 * dependencies of this project: `.ci/run` puts them into a folder of their own. They are given what they call of a runner,
 * and are not changed in anything.
 */

const folder = join(root, '.tap/keyv-suites')

/** Why they cannot run, or `false`: what tap's `skip` takes. */
export const withoutKeyvSuites: string | false = existsSync(join(folder, 'node_modules/@keyv/test-suite')) ? false : 'the test suites of Keyv are not here: .ci/run fetches them'

/** A check of a suite, with what comes before and after it. */
export interface KeyvCheck {
  readonly name: string
  run(): Promise<void>
}

type Step = (t: unknown) => unknown
type Suite = (test: unknown, Keyv: unknown, store: () => unknown) => void

/** The checks of a suite: 2 is for Keyv 5, in the manner of vitest; 1 is for Keyv 4, in that of ava. */
export function keyvChecks(version: 1 | 2, Keyv: unknown, store: () => unknown): KeyvCheck[] {
  const load = createRequire(join(folder, 'package.json'))
  const { keyvApiTests, keyvValueTests, ...rest } = load(version === 1 ? 'keyv-test-suite-1' : '@keyv/test-suite') as { [name: string]: Suite }
  const namespaces = rest['keyvNamespaceTest'] ?? rest['keyvNamepsaceTests'] // the names that they have there
  return [keyvApiTests, keyvValueTests, namespaces].flatMap((suite) => {
    if (suite === undefined) throw new Error(`suite ${version} of Keyv has not the parts that it had`)
    return checksOf(suite, Keyv, store)
  })
}

function checksOf(suite: Suite, Keyv: unknown, store: () => unknown): KeyvCheck[] {
  const [before, after, last]: [Step[], Step[], Step[]] = [[], [], []]
  const found: { name: string; body: Step }[] = []
  const add = (name: string, body: Step): void => void found.push({ name, body })
  const hook = (steps: Step[]) => (step: Step): void => void steps.push(step)
  suite({ it: add, serial: add, beforeEach: hook(before), afterEach: hook(after), after: { always: hook(last) } }, Keyv, store)
  return found.map(({ name, body }, index) => ({
    name,
    run: async () => {
      for (const step of [...before, body, ...after, ...(index === found.length - 1 ? last : [])]) await step(asserts)
    },
  }))
}

/** What the suites ask of a runner's assertions: `expect` of vitest, and some of ava. */
const asserts = {
  expect: (actual: unknown) => ({
    toBe: (expected: unknown) => assert.ok(Object.is(actual, expected), `${String(actual)} is not ${String(expected)}`),
    toEqual: (expected: unknown) => assert.deepStrictEqual(actual, expected),
    toBeTruthy: () => assert.ok(actual),
    toBeFalsy: () => assert.ok(!actual),
    toBeUndefined: () => assert.equal(actual, undefined),
    toBeDefined: () => assert.notEqual(actual, undefined),
    toBeNull: () => assert.equal(actual, null),
  }),
  is: (actual: unknown, expected: unknown) => assert.ok(Object.is(actual, expected), `${String(actual)} is not ${String(expected)}`),
  true: (actual: unknown) => assert.equal(actual, true),
  deepEqual: (actual: unknown, expected: unknown) => assert.deepStrictEqual(actual, expected),
}

/** Runs them one after another; gives the problem of each that has one. */
export async function problemsOf(checks: readonly KeyvCheck[]): Promise<Map<string, unknown>> {
  const problems = new Map<string, unknown>()
  for (const { name, run } of checks) {
    try {
      await run()
    } catch (error) {
      problems.set(name, error)
    }
  }
  return problems
}

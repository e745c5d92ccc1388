import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Description } from './descriptions.ts'
import { root } from './pages.ts'

/** A line of tests/fixtures/pickles.jsonl, which tests/interop/pickles.py makes. */
export interface Recorded {
  readonly by: string
  readonly protocol: number
  readonly pickle: string
  readonly value: Description
}

/** What Python 2.7 and 3.13 have pickled. */
export const recorded = readFileSync(join(root, 'tests/fixtures/pickles.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Recorded)

const index = fc.nat(recorded.length - 1)
const bend = fc.record({ at: fc.nat(), kind: fc.constantFrom('set', 'insert', 'delete', 'splice'), byte: fc.nat(255), from: index })

/** The same with a few bytes changed, added or taken away, or with another one from its middle on. */
export const bentPickles = fc.tuple(index, fc.array(bend, { minLength: 1, maxLength: 4 })).map(([first, bends]) =>
  bends.reduce((bytes, { at, kind, byte, from }) => {
    const place = at % (bytes.length + 1)
    const [head, tail] = [bytes.subarray(0, place), bytes.subarray(place)]
    if (kind === 'splice') return Buffer.concat([head, bytesOf(from).subarray(at % 7)])
    return Buffer.concat([head, Buffer.from(kind === 'delete' ? [] : [byte]), kind === 'insert' ? tail : tail.subarray(1)])
  }, bytesOf(first)),
)

function bytesOf(line: number): Buffer {
  return Buffer.from((recorded[line] as Recorded).pickle, 'base64')
}

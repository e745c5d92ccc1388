/**
 * Asks two versions of Python what they read in the pickles that are written here, and prints their answers, for
 * tests/fixtures/written-pickles.jsonl:
 *
 *     npx tsx tests/interop/record-written.ts python2.7 python3.13
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { pickle } from '../../serializers/pickle.ts'
import { ANY_PYTHON, PYTHON_3 } from '../support/pickled-values.ts'

const script = fileURLToPath(new URL('pickles.py', import.meta.url))
const [python2 = 'python2.7', python3 = 'python3'] = process.argv.slice(2)

function ask(python: string, pickles: readonly string[]): unknown[] {
  const { stdout } = spawnSync(python, [script, 'read'], { input: pickles.map((line) => `${line}\n`).join(''), encoding: 'utf8', maxBuffer: 2 ** 26 })
  return stdout.trim().split('\n').map((line) => JSON.parse(line) as unknown)
}

const pickles = [...ANY_PYTHON, ...PYTHON_3].map((value) => pickle.serialize(value).toString('base64'))
const old = ask(python2, pickles.slice(0, ANY_PYTHON.length))
const current = ask(python3, pickles)
for (const [index, written] of pickles.entries()) {
  const read = { ...(index < old.length ? { '2.7': old[index] } : {}), '3.13': current[index] }
  console.log(JSON.stringify({ pickle: written, read }))
}

import { appendFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { campaign, minimal, type Findings } from './campaign.ts'
import { corpusLine, FUZZED } from './trial.ts'

/**
 * Fuzzes the parsers, guided by coverage: `npm run fuzz -- --minutes 10 [--seed 5] [--protocol meta] [--save]`. It prints the
 * seed, and each failure as a line for tests/fixtures/fuzz-corpus; `--save` adds what reached new code there. Exits with 1
 * if anything was wrong.
 */

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string' }, protocol: { type: 'string' }, save: { type: 'boolean', default: false } } })
const seed = Number(values.seed ?? Date.now() % 1e9)
const subjects = FUZZED.filter(({ name }) => values.protocol === undefined || name === values.protocol)
if (subjects.length === 0 || !(Number(values.minutes) > 0) || !Number.isInteger(seed)) throw new Error('--minutes N, --seed N, --protocol text, meta or binary')

let failed = false
for (const subject of subjects) {
  const { name } = subject
  const tell = ({ tried, fresh, reached, failures }: Findings): void => {
    console.log(`${name}, seed ${seed}: ${tried} inputs, ${reached} parts reached, ${fresh.length} inputs reached new ones, ${failures.length} failures`)
  }
  const findings = campaign(subject, (Number(values.minutes) * 60_000) / subjects.length, seed, tell)
  tell(findings)
  for (const { input, flaws } of findings.failures) console.log(`${flaws.join('\n')}\n${corpusLine(subject, input)}`)
  failed ||= findings.failures.length > 0
  const kept = values.save ? minimal(subject, findings.fresh) : []
  for (const input of kept) appendFileSync(new URL(`../fixtures/fuzz-corpus/${name}.jsonl`, import.meta.url), `${corpusLine(subject, input)}\n`)
  if (values.save) console.log(`${name}: ${kept.length} inputs were added to the corpus`)
}
process.exitCode = failed ? 1 : 0

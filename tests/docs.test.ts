import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import memjs from 'memjs'
import t from 'tap'
import * as ermc from '../lib/index.ts'
import { startServer } from '../lib/testing/index.ts'
import { outsideTap } from './support/outside-tap.ts'
import { anchors, brokenLinks, pages, read, root, snippets, type Snippet } from './support/pages.ts'
import type { Outcome } from './support/run-snippets.ts'
import { checked, standalone } from './support/snippet-code.ts'

/** Pages that teach by example: each has code that runs. */
const WITH_CODE = ['README.md', ...['serializers', 'layers', 'getting-started', 'connecting', 'commands', 'errors', 'reliability', 'testing', 'writing-drivers', 'other-clients', 'coming-from', 'tracing', 'keyv'].map((name) => `docs/${name}.md`)]
/** What a fence may say. Everything that could be run is. */
const RUN = new Set(['ts', 'js'])
const NOT_RUN = new Set(['sh', 'text', 'python', 'json'])

/** Writes the snippets where `ermc` is this checkout, and gives the folder's tsconfig. */
function write(folder: string, found: readonly Snippet[], toText: (snippet: Snippet) => string): string {
  mkdirSync(folder, { recursive: true })
  for (const snippet of found) writeFileSync(join(folder, fileName(snippet)), toText(snippet))
  const tsconfig = join(folder, '..', 'tsconfig.json')
  const paths = {
    ermc: [join(root, 'lib/index.ts')],
    'ermc/keyv': [join(root, 'lib/keyv.ts')],
    'ermc/testing': [join(root, 'lib/testing/index.ts')],
    'ermc/drivers/*': [join(root, 'drivers/*.ts')],
    'ermc/serializers/*': [join(root, 'serializers/*.ts')],
  }
  const compilerOptions = { rootDir: root, paths, noUnusedLocals: false, noUnusedParameters: false }
  writeFileSync(tsconfig, JSON.stringify({ extends: join(root, 'tsconfig.json'), compilerOptions, include: ['types/*'] }))
  return tsconfig
}

/**
 * JavaScript is TypeScript too, and as that it may have `await using` before Node does. A snippet whose first line is a
 * comment with a file's name is that file, for others to import.
 */
function fileName({ page, line, code }: Snippet): string {
  const [, name] = /^\/\/ ([a-z.-]+\.ts)\n/.exec(code) ?? []
  return name ?? `${page.replaceAll('/', '.')}.L${String(line).padStart(4, '0')}.mts`
}

/** The compiler's complaints about the snippets, one a line. */
function compile(folder: string, found: readonly Snippet[]): string {
  const tsconfig = write(join(folder, 'types'), found, standalone)
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const { status, stdout, stderr } = spawnSync(...outsideTap(process.execPath, [tsc, '-p', tsconfig]), { encoding: 'utf8' })
  return status === 0 ? '' : stdout + stderr
}

/** Runs the snippets in one process, which has to end by itself. Gives the problem of each file, '' for none. */
async function run(folder: string, found: readonly Snippet[]): Promise<Map<string, string>> {
  const tsconfig = write(join(folder, 'run'), found, checked)
  const program = fileURLToPath(new URL('support/run-snippets.ts', import.meta.url))
  const child = spawn(...outsideTap(process.execPath, ['--import', 'tsx', program, join(folder, 'run')]), {
    env: { ...process.env, TSX_TSCONFIG_PATH: tsconfig },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    timeout: 60_000,
  })
  const problems = new Map<string, string>()
  child.on('message', ({ file, problem = '' }: Outcome) => problems.set(file, problem))
  let said = ''
  child.stdout?.on('data', (text) => (said += text))
  child.stderr?.on('data', (text) => (said += text))
  const end = await new Promise<number | string | null>((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)))
  if (end !== 0) problems.set('all', `the process ended with ${end}: ${said}`)
  return problems
}

t.test('every snippet runs, and does what it says', async (t) => {
  const found = pages().flatMap((page) => snippets(page))
  const runnable = found.filter(({ language }) => RUN.has(language))
  for (const { page, line, language } of found) t.ok(RUN.has(language) || NOT_RUN.has(language), `${page}:${line}: ${language || 'no language'}`)
  for (const page of WITH_CODE) t.ok(runnable.some((snippet) => snippet.page === page), `${page} has code that runs`)

  t.equal(compile(t.testdir(), runnable), '', 'the compiler accepts them')
  const problems = await run(t.testdirName, runnable)
  for (const snippet of runnable) t.equal(problems.get(fileName(snippet)), '', `${snippet.page}:${snippet.line}`)
  t.equal(problems.get('all'), undefined)
})

t.test('a snippet that is wrong is found', async (t) => {
  const snippet = (line: number, code: string, language = 'ts'): Snippet => ({ page: 'a.md', line, language, code })
  const wrongValue = snippet(10, "await client.set('a', 1)\nawait client.get('a') // → 2")
  const wrongFault = snippet(20, "await client.get('a') // rejects: MemcacheKeyError")
  const throws = snippet(30, "throw new Error('no')")
  const leaves = snippet(40, "import { Client } from 'ermc'\nawait new Client().version()")
  const right = snippet(50, "await client.set('a', [1]) // → true  (a remark)\nconst a = await client.get('a') // → [ 1 ]\nconsole.log('b') // → b", 'js')
  const problems = await run(t.testdir(), [wrongValue, wrongFault, throws, leaves, right])
  t.match(problems.get(fileName(wrongValue)), 'line 11: 1, not 2 as it says')
  t.match(problems.get(fileName(wrongFault)), 'line 20: undefined, not MemcacheKeyError')
  t.match(problems.get(fileName(throws)), 'Error: no')
  t.match(problems.get(fileName(leaves)), 'leaves a connection open')
  t.equal(problems.get(fileName(right)), '')
  t.throws(() => checked(snippet(1, 'const a = [\n1, // → 1\n]')), /not behind a statement/)
  t.match(compile(t.testdirName, [snippet(7, "const n: number = await client.get<string>('a')")]), /L0007\.mts\(7,7\): error TS2322/)
})

t.test('every link inside the project leads somewhere', async (t) => {
  for (const page of pages()) t.same(brokenLinks(page), [], page)
  t.same(brokenLinks('README.md', '# A b\n[x](nowhere.md) [y](#a-b) [z](#c) [w](https://example.com) `[v](no.md)`'), [
    'nowhere.md: there is no such file',
    '#c: there is no such heading',
  ])
  t.same([...anchors('# `get(key)` · a\n## a\n## a\n```sh\n# no\n```')], ['getkey--a', 'a', 'a-1'])
})

t.test('every test that a page names is there', async (t) => {
  for (const page of pages()) {
    for (const [, file = ''] of read(page).matchAll(/`(tests\/[\w./-]+\.ts)`/g)) t.ok(existsSync(join(root, file)), `${page}: ${file}`)
  }
})

t.test('nothing public is left out', async (t) => {
  const commands = read('docs/commands.md')
  const methods = Object.getOwnPropertyNames(ermc.Client.prototype).filter((name) => name !== 'constructor' && name !== 'socket')
  for (const name of methods) {
    t.match(commands, `\`${name}(`, `docs/commands.md: ${name}`)
    t.match(read('README.md'), `\`${name}(`, `README.md: ${name}`)
  }
  t.match(commands, '`socket`')

  for (const name of membersOf('lib/options.ts', 'ClientOptions')) t.match(read('README.md'), `\`${name}\``, `README.md: option ${name}`)

  const errors = read('docs/errors.md')
  for (const [name, exported] of Object.entries(ermc)) {
    if (!name.endsWith('Error')) continue
    t.match(errors, name, `docs/errors.md: ${name}`)
    const { code } = new (exported as typeof ermc.MemcacheError)('')
    t.match(errors, new RegExp(`\\b${code}\\b`), `docs/errors.md: ${code}`)
  }

  const testing = read('docs/testing.md')
  for (const name of membersOf('lib/testing/settings.ts', 'ServerOptions')) t.match(testing, `\`${name}\``, `docs/testing.md: option ${name}`)
  await using server = await startServer()
  const switches = [...Object.getOwnPropertyNames(Object.getPrototypeOf(server))].filter((name) => !['constructor', 'listen'].includes(name))
  for (const name of switches) t.match(testing, new RegExp(`\`${name}[(\`]`), `docs/testing.md: ${name}`)

  const comingFrom = read('docs/coming-from.md')
  for (const name of Object.keys(memjs.Client.prototype)) t.match(comingFrom, new RegExp(`\`${name}[(\`]`), `docs/coming-from.md: memjs's ${name}`)
})

t.test('every script that a page names is there', async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  for (const page of pages()) {
    for (const [, name = ''] of read(page).matchAll(/npm run ([a-z:]+)/g)) t.hasProp(scripts, name, `${page}: npm run ${name}`)
  }
})

t.test('every test that holds a promise is there', async (t) => {
  let held = 0
  for (const [row] of read('docs/reliability.md').matchAll(/^\| .*`tests\/.*$/gm)) {
    for (const [, file = '', names = ''] of row.matchAll(/`(tests\/[\w./-]+)`: ([^;|]*(?:\*[^*]*\*[^;|]*)*)/g)) {
      const source = readFileSync(join(root, file), 'utf8')
      for (const [, name = ''] of names.matchAll(/\*([^*]+)\*/g)) {
        held += 1
        t.ok(source.replaceAll("\\'", "'").includes(name), `${file}: ${name}`)
      }
    }
  }
  t.ok(held > 15, `${held} tests are named`)
})

/** The names that an interface declares. */
function membersOf(file: string, name: string): string[] {
  const [, body = ''] = new RegExp(`interface ${name} {\n([\\s\\S]*?)\n}`).exec(readFileSync(join(root, file), 'utf8')) ?? []
  const names = Array.from(body.matchAll(/^ {2}(?:readonly )?(\w+)\??:/gm), ([, member = '']) => member)
  if (names.length === 0) throw new Error(`${file} has no interface ${name}`)
  return names
}

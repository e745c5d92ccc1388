import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import t from 'tap'
import { outsideTap } from './support/outside-tap.ts'
import { root } from './support/pages.ts'

/** The package as its users get it: packed, installed into an empty folder, and used in each way. */

t.setTimeout(300_000)

const work = mkdtempSync(join(tmpdir(), 'ermc-package-'))
t.teardown(() => rmSync(work, { recursive: true, force: true }))
const consumer = join(work, 'consumer')

/** Runs a program to its end; gives all it said, and fails if it failed. */
function run(cwd: string, program: string, ...args: string[]): string {
  const { npm_config_local_prefix: _, ...env } = process.env // that of an outer npm, which would install into its own folder
  const { status, error, stdout, stderr } = spawnSync(...outsideTap(program, args), { cwd, env, encoding: 'utf8', timeout: 120_000 })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${error?.message ?? ''}${stdout}${stderr}`)
  return stdout + stderr
}

function node(cwd: string, ...args: string[]): string {
  return run(cwd, process.execPath, ...args)
}

/** Packs a copy of the sources, so that whatever else uses dist/ at the moment is not disturbed. */
function pack(): string {
  const sources = join(work, 'sources')
  mkdirSync(sources)
  for (const name of readdirSync(root)) {
    if (name === 'node_modules' || name === 'dist' || name.startsWith('.') || name.endsWith('.tgz')) continue
    cpSync(join(root, name), join(sources, name), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(sources, 'node_modules'))
  run(sources, 'npm', 'pack', '--pack-destination', work)
  const tarball = readdirSync(work).find((name) => name.endsWith('.tgz'))
  if (tarball === undefined) throw new Error('npm pack has made no tarball')
  return join(work, tarball)
}

const tarball = pack()
/** What is loaded when it is first used. */
const LATER = ['drivers/binary', 'drivers/meta', 'lib/queue/queue-parts', 'lib/request-check', 'lib/tls-socket', 'lib/wrapped-connection', 'serializers/foreign-formats', 'serializers/v8-checks']
/** The ways into the package, by the sources that they lead to. */
const WAYS = ['lib/index', 'lib/testing/index', 'lib/keyv', 'drivers/memjs', 'serializers/msgpack']

t.test('what is in it', async (t) => {
  const files = run(work, 'tar', '-tzf', tarball).trim().split('\n').map((name) => name.replace(/^package\//, ''))
  const [code, rest] = [files.filter((name) => name.startsWith('dist/')), files.filter((name) => !name.startsWith('dist/'))]
  t.same(rest.sort(), ['LICENSE', 'README.md', 'package.json'])
  const found = code.filter((name) => !name.endsWith('.d.ts'))
  const expected = [
    ...WAYS.flatMap((stem) => [`dist/esm/${stem}.js`, `dist/esm/${stem}.bundler.js`]),
    ...[...WAYS, 'lib/core', ...LATER].flatMap((stem) => [`dist/cjs/${stem}.js`, `dist/cjs/${stem}.js.map`]),
  ]
  t.same(found.sort(), ['dist/cjs/package.json', ...expected].sort(), 'the code once, and doors to it')
  const sources = new Set(['lib', 'drivers', 'serializers'].flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name))))
  for (const format of ['esm', 'cjs']) {
    const declarations = code.filter((name) => name.startsWith(`dist/${format}/`) && name.endsWith('.d.ts')).map((name) => name.slice(`dist/${format}/`.length, -'.d.ts'.length))
    t.same(declarations.filter((stem) => !sources.has(`${stem}.ts`)), [], `${format}: each declaration is of a source`)
    t.same(WAYS.filter((stem) => !declarations.includes(stem)), [])
    t.ok(declarations.length < sources.size / 2, `${format}: ${declarations.length} declarations, without those that nothing leads to`)
  }
})

/** In bytes, and files. Whoever makes it larger than this says here why that is worth it; whoever makes it smaller, by how much. */
const BUDGET = { packed: 500_000, unpacked: 2_000_000, files: 170 }

t.test('how large it is', async (t) => {
  const names = run(work, 'tar', '-tzf', tarball).trim().split('\n')
  const unpacked = spawnSync('tar', ['-xzOf', tarball], { maxBuffer: 2 * BUDGET.unpacked }).stdout.length
  for (const [what, size] of Object.entries({ packed: statSync(tarball).size, unpacked, files: names.length })) {
    const most = BUDGET[what as keyof typeof BUDGET]
    t.ok(size > 0 && size <= most, `${what}: ${size}, ${most} at most`)
  }
})

/** Licences under which whatever comes with ermc, or is asked for by it, can be used by anybody. */
const LICENCES = new Set(['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'BlueOak-1.0.0', 'Unlicense', 'CC0-1.0'])

t.test('under which licences it and what comes with it stand', async (t) => {
  interface Described {
    readonly license?: string
    readonly dev?: boolean
    readonly optional?: boolean
    readonly dependencies?: { readonly [name: string]: string }
    readonly optionalDependencies?: { readonly [name: string]: string }
    readonly peerDependencies?: { readonly [name: string]: string }
  }
  const read = (file: string): unknown => JSON.parse(readFileSync(join(root, file), 'utf8'))
  const { packages } = read('package-lock.json') as { packages: { readonly [path: string]: Described } }
  const wanted = new Set([''])
  for (const path of wanted) {
    const { dependencies, optionalDependencies, peerDependencies } = packages[path] ?? {}
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      const nested = `${path}/node_modules/${name}`
      wanted.add(nested in packages ? nested : `node_modules/${name}`)
    }
  }
  for (const path of wanted) {
    const { license, optional } = packages[path] ?? {}
    t.ok(LICENCES.has(license ?? ''), `${path || 'ermc'}: ${license}`)
    if (!existsSync(join(root, path, 'package.json'))) t.ok(optional, `${path} is not installed, being for another platform`)
    else t.equal((read(join(path, 'package.json')) as Described).license, license, `${path || 'ermc'} says so itself`)
  }
  t.ok(['node_modules/lz4-napi', 'node_modules/memjs'].every((path) => wanted.has(path)), `${wanted.size} packages`)
})

t.test('installed into an empty folder', async (t) => {
  mkdirSync(consumer)
  writeFileSync(join(consumer, 'package.json'), '{ "name": "consumer", "private": true }')
  run(consumer, 'npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', tarball)
  t.same(readdirSync(join(consumer, 'node_modules')).filter((name) => !/^[.@]/.test(name)), ['ermc', 'lz4-napi'], 'with one dependency')
})

t.test('the source maps lead to the sources, which they have in them', async (t) => {
  const installed = join(consumer, 'node_modules/ermc')
  const fault = `new Client({ port: -1 })`
  writeFileSync(join(consumer, 'fault.mjs'), `import { Client } from 'ermc'\ntry { ${fault} } catch (error) { console.log(error.stack) }`)
  writeFileSync(join(consumer, 'fault.cjs'), `const { Client } = require('ermc')\ntry { ${fault} } catch (error) { console.log(error.stack) }`)
  for (const [format, program] of [['esm', 'fault.mjs'], ['cjs', 'fault.cjs']] as const) {
    const [, source = '', line] = /ermc\/((?:lib|drivers|serializers)\/[a-z/-]+\.ts):(\d+):/.exec(node(consumer, '--enable-source-maps', program)) ?? []
    t.match(source && readFileSync(join(root, source), 'utf8').split('\n')[Number(line) - 1], /throw .*MemcacheValueError/, `${format}: ${source}:${line}`)
    const maps = readdirSync(join(installed, 'dist/cjs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.map'))
    for (const name of maps) {
      const file = join(installed, 'dist/cjs', name)
      const { sources, sourcesContent = [] } = JSON.parse(readFileSync(file, 'utf8')) as { sources: string[]; sourcesContent?: string[] }
      for (const [place, source] of sources.entries()) {
        const path = relative(installed, join(dirname(file), source))
        if (path.startsWith('dist/')) t.ok(existsSync(join(installed, path)), 'what the bundler has added is of no source')
        else t.equal(sourcesContent[place], readFileSync(join(root, path), 'utf8'), `${format}: ${name}: ${path}`)
      }
    }
  }
})

/** Stores and reads through the package, compressed too; lz4-napi may not be there before it is needed. */
const USE = `
async function use({ Client }, { startServer }, loaded) {
  const server = await startServer()
  const client = new Client(server.url, { minCompressLength: 100 })
  assert.equal(await client.set('short', { a: [1] }), true)
  assert.deepEqual(await client.get('short'), { a: [1] })
  assert.equal(loaded(), false, 'lz4-napi is loaded too early')
  assert.equal(await client.set('long', 'long '.repeat(1000)), true)
  assert.equal(await client.get('long'), 'long '.repeat(1000))
  assert.equal(loaded(), true)
  await client.close()
  await server.close()
  console.log('used')
}
const lz4In = (cache) => Object.keys(cache).some((path) => path.includes('lz4-napi'))
`

t.test('as an ES module', async (t) => {
  const program = `
    import assert from 'node:assert/strict'
    import { createRequire } from 'node:module'
    import * as ermc from 'ermc'
    import * as testing from 'ermc/testing'
    ${USE}
    await use(ermc, testing, () => lz4In(createRequire(import.meta.url).cache))`
  writeFileSync(join(consumer, 'use.mjs'), program)
  t.match(node(consumer, 'use.mjs'), 'used')
})

t.test('through require', async (t) => {
  const program = `
    const assert = require('node:assert/strict')
    ${USE}
    use(require('ermc'), require('ermc/testing'), () => lz4In(require.cache))
    assert.equal(require('ermc/package.json').name, 'ermc')`
  writeFileSync(join(consumer, 'use.cjs'), program)
  t.match(node(consumer, 'use.cjs'), 'used')
})

/** What needs a package that npm does not install by itself: what it is called, and the option that it is for. */
const OPTIONAL = [
  { name: 'memjs', option: 'driver', from: 'ermc/drivers/memjs', needs: 'memjs' },
  { name: 'msgpack', option: 'serializer', from: 'ermc/serializers/msgpack', needs: '@msgpack/msgpack' },
]

for (const { name, option, from, needs } of OPTIONAL) {
  t.test(`${name}, without the package ${needs} and with it`, async (t) => {
    const body = `
      const use = async ({ Client }, { startServer }, { ${name} }) => {
        const server = await startServer()
        const client = new Client(server.url, { ${option}: ${name} })
        assert.equal(await client.set('k', { a: 1 }), true)
        assert.deepEqual(await client.get('k'), { a: 1 })
        await client.close()
        await server.close()
        console.log('used')
      }
      const say = (error) => console.log(error.name, error.message)`
    const all = ['ermc', 'ermc/testing', from]
    const imports = all.map((path, place) => `import * as m${place} from '${path}'\n`).join('')
    writeFileSync(join(consumer, `${name}.mjs`), `import assert from 'node:assert/strict'\n${imports}${body}\nuse(m0, m1, m2).catch(say).finally(() => process.exit())`)
    const required = all.map((path) => `require('${path}')`).join(', ')
    writeFileSync(join(consumer, `${name}.cjs`), `const assert = require('node:assert/strict')\n${body}\nuse(${required}).catch(say).finally(() => process.exit())`)
    for (const format of ['mjs', 'cjs']) t.match(node(consumer, `${name}.${format}`), new RegExp(`MemcacheUnsupportedError .*npm install ${needs}`))
    mkdirSync(dirname(join(consumer, 'node_modules', needs)), { recursive: true })
    symlinkSync(join(root, 'node_modules', needs), join(consumer, 'node_modules', needs))
    for (const format of ['mjs', 'cjs']) t.match(node(consumer, `${name}.${format}`), 'used')
  })
}

t.test('the programs that .ci/runtimes.js runs on every runtime, on this one', async (t) => {
  for (const [program, last] of [['contract', /^Node [\d.]+: (\d{3}) of \1 checks of the contract held$/m], ['smoke', /^Node [\d.]+: all is well$/m]] as const) {
    cpSync(join(root, `tests/runtimes/${program}.js`), join(consumer, `${program}.mjs`))
    t.match(node(consumer, `${program}.mjs`), last)
  }
})

t.test('the adapter for Keyv, without Keyv, imported and required', async (t) => {
  const program = `
    import assert from 'node:assert/strict'
    import { createRequire } from 'node:module'
    import { Client } from 'ermc'
    import * as esm from 'ermc/keyv'
    import { startServer } from 'ermc/testing'
    const require = createRequire(import.meta.url)
    const cjs = require('ermc/keyv')
    const server = await startServer()
    const clients = [new Client(server.url), new (require('ermc').Client)(server.url)]
    for (const client of clients) {
      for (const { KeyvErmc } of [esm, cjs]) {
        const store = new KeyvErmc(client, { namespace: 'a' })
        assert.equal(await store.set('k', 'v', 5000), true)
        assert.equal(await store.get('k'), 'v')
        await store.disconnect()
        assert.equal(client.isConnected(), true)
      }
      await client.close()
    }
    await server.close()
    console.log('used')`
  writeFileSync(join(consumer, 'keyv.mjs'), program)
  t.match(node(consumer, 'keyv.mjs'), 'used')
})

t.test('import and require give the same objects', async (t) => {
  const program = `
    import assert from 'node:assert/strict'
    import { createRequire } from 'node:module'
    const require = createRequire(import.meta.url)
    for (const way of ['ermc', 'ermc/testing', 'ermc/keyv']) {
      const [esm, cjs] = [await import(way), require(way)]
      assert.deepEqual(Object.keys(cjs).sort(), Object.keys(esm).sort())
      for (const name of Object.keys(esm)) assert.equal(cjs[name], esm[name], name)
    }
    console.log('the same')`
  writeFileSync(join(consumer, 'both.mjs'), program)
  t.match(node(consumer, 'both.mjs'), 'the same')
})

/** What most processes never need, and what uses each: a value each, to see that it works. */
const FIRST_USES = `
const loaded = () => [...Object.keys(require.cache), ...process.moduleLoadList.map((name) => name.replace('NativeModule ', 'node:'))]
const isLoaded = (part) => loaded().some((name) => name === part || name.endsWith('/ermc/dist/cjs/' + part + '.js') || name.includes('/node_modules/' + part + '/'))
async function useAll({ Client, compat, consumeAll, intercept, noop, pickle, v8, binary, meta }, { startServer }) {
  const server = await startServer()
  const roundTrip = async (options) => {
    const client = new Client(server.url, { minCompressLength: 100, ...options })
    await client.set('k', { a: ['b'.repeat(200)] })
    const value = await client.get('k')
    await client.close()
    if (options.driver !== noop) assert.deepEqual(value, { a: ['b'.repeat(200)] })
  }
  const uses = {
    'drivers/binary': () => roundTrip({ driver: binary }),
    'drivers/meta': () => roundTrip({ driver: meta }),
    'lib/queue/queue-parts': async () => assert.throws(() => consumeAll([], 'q'), { name: 'MemcacheValueError' }) ?? new Client(server.url).queue('q').name,
    'lib/request-check': () => roundTrip({ layers: [intercept({ get: (request, next, call) => next(request, call) })] }),
    'lib/tls-socket': async () => assert.throws(() => new Client({ tls: { ca: 'x', cert: 'none' } }), { name: 'MemcacheValueError' }),
    'lib/wrapped-connection': () => roundTrip({ driver: noop }),
    'serializers/foreign-formats': () => roundTrip({ serializer: pickle }).then(() => roundTrip({ serializer: compat.pylibmc })),
    'serializers/v8-checks': () => roundTrip({ serializer: v8 }),
  }
  assert.deepEqual(Object.keys(uses), LATER)
  for (const [part, use] of Object.entries(uses)) {
    assert.equal(isLoaded(part), false, part + ' is loaded before its use')
    await use()
    assert.equal(isLoaded(part), true, part + ' is not loaded')
  }
  await server.close()
  console.log('used')
}`

t.test('what most processes never need is loaded when it is first used', async (t) => {
  const idle = [...LATER, 'lz4-napi', 'node:tls', 'node:zlib', 'node:v8']
  const body = `const LATER = ${JSON.stringify(LATER)}\n${FIRST_USES}\nconst early = () => ${JSON.stringify(idle)}.filter(isLoaded)\n`
  const cjs = `const assert = require('node:assert/strict')\n${body}\nconst before = early()\nconst ermc = require('ermc')\nassert.deepEqual(early(), before)\nuseAll(ermc, require('ermc/testing'))`
  const esm = `import assert from 'node:assert/strict'\nimport { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)\n${body}\nconst before = early()\nconst ermc = await import('ermc')\nassert.deepEqual(early(), before)\nawait useAll(ermc, await import('ermc/testing'))`
  writeFileSync(join(consumer, 'later.cjs'), cjs)
  writeFileSync(join(consumer, 'later.mjs'), esm)
  for (const format of ['cjs', 'mjs']) t.match(node(consumer, `later.${format}`), 'used')
})

t.test('how long it takes to load, beside another client', async (t) => {
  const took = (program: string): number => Number(node(consumer, '--input-type=module', '-e', `const start = performance.now(); ${program}; console.log(performance.now() - start)`))
  const memjs = JSON.stringify(join(root, 'node_modules/memjs/lib/memjs/memjs.js'))
  const rounds = Array.from({ length: 5 }, () => ({ ermc: took(`await import('ermc')`), memjs: took(`await import(${memjs})`) }))
  const least = (name: 'ermc' | 'memjs'): number => Math.min(...rounds.map((round) => round[name])) // what a busy machine adds is left out
  t.ok(least('ermc') < 3 * least('memjs'), `${least('ermc')} ms; memjs ${least('memjs')}`)
})

t.test('bundled by its user', async (t) => {
  writeFileSync(join(consumer, 'bundled.mjs'), `import { Client, pickle } from 'ermc'\nimport { startServer } from 'ermc/testing'
    const server = await startServer()
    const client = new Client(server.url, { serializer: pickle })
    await client.set('k', { a: [1] })
    console.log(JSON.stringify(await client.get('k')))
    await client.close()
    await server.close()`)
  for (const [format, name] of [['esm', 'bundle.mjs']] as const) {
    const banner = `--banner:js=import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)` // as esbuild's users write for Node
    run(consumer, join(root, 'node_modules/.bin/esbuild'), 'bundled.mjs', '--bundle', '--platform=node', `--format=${format}`, '--external:lz4-napi', banner, `--outfile=${join(work, name)}`)
    t.match(node(work, join(work, name)), '{"a":[1]}', 'from a folder without the package')
  }
})

/** Buffer and the like must not become any for those whose tsconfig does not name Node's types. */
const TYPED = `
import { Client, flags, intercept, MemcacheError, text, type ClientOptions, type Item, type KeyLike, type Serializer } from 'ermc'
import { memjs } from 'ermc/drivers/memjs'
import { KeyvErmc } from 'ermc/keyv'
import { msgpack } from 'ermc/serializers/msgpack'
import { startServer, type ServerOptions, type TestServer } from 'ermc/testing'

type IsAny<T> = 0 extends 1 & T ? true : false
type None<T extends readonly false[]> = T
export type NotAny = None<[
  IsAny<KeyLike>, IsAny<Item['value']>, IsAny<ReturnType<Serializer['serialize']>>, IsAny<Client>, IsAny<Client['socket']>,
  IsAny<NonNullable<Client['socket']>['write']>, IsAny<ClientOptions['driver']>, IsAny<typeof text>, IsAny<typeof memjs>, IsAny<typeof msgpack>, IsAny<MemcacheError['sent']>,
  IsAny<Parameters<TestServer['garble']>[0]>, IsAny<ServerOptions['now']>, IsAny<TestServer>, IsAny<KeyvErmc>, IsAny<KeyvErmc['namespace']>,
]>

const options: ClientOptions = { port: 11211, layers: [intercept({ get: (request, next, call) => next(request, call) })] }

export async function use(): Promise<void> {
  const server: TestServer = await startServer({ port: 0 })
  const client = new Client(server.url, options)
  const value: { name: string } | undefined = await client.get<{ name: string }>('a')
  const big: bigint | undefined = await client.incr('a', 1n)
  const count: number | undefined = await client.decr('a')
  const many: Map<string, number> = await client.getMulti<number>(['a'])
  const flag: 32 = flags.json
  client.on('disconnect', (cause) => cause.sent)
  // @ts-expect-error a key is no number
  await client.get(1)
  // @ts-expect-error there is no such option
  await client.set('a', 1, { expires: 60 })
  // @ts-expect-error what is read may be missing
  const missing: number = await client.get<number>('a')
  console.log(value, big, count, many, flag, missing)
  await client[Symbol.asyncDispose]()
}
`

t.test('from TypeScript', async (t) => {
  symlinkSync(join(root, 'node_modules/@types'), join(consumer, 'node_modules/@types'))
  writeFileSync(join(consumer, 'typed.mts'), TYPED)
  writeFileSync(join(consumer, 'typed.cts'), TYPED)
  const ways = { node16: 'node16', nodenext: 'nodenext', bundler: 'esnext' }
  for (const [moduleResolution, module] of Object.entries(ways)) {
    const compilerOptions = { module, moduleResolution, target: 'es2022', types: [], strict: true, exactOptionalPropertyTypes: true, noEmit: true }
    const include = moduleResolution === 'bundler' ? ['typed.mts'] : ['typed.mts', 'typed.cts']
    const tsconfig = `tsconfig.${moduleResolution}.json`
    writeFileSync(join(consumer, tsconfig), JSON.stringify({ compilerOptions, include }))
    // To the older compiler nodenext is what node16 is.
    for (const compiler of moduleResolution === 'nodenext' ? ['typescript'] : ['typescript', 'typescript5']) {
      t.equal(node(consumer, join(root, 'node_modules', compiler, 'bin/tsc'), '-p', tsconfig), '', `${compiler}, ${moduleResolution}`)
    }
  }
})

t.test('what it lets out is what the report says', async (t) => {
  const installed = join(consumer, 'node_modules/ermc')
  t.equal(node(root, 'api-report.js', '--check', installed), '')
  const declarations = join(installed, 'dist/esm/lib/index.d.ts')
  const before = readFileSync(declarations, 'utf8')
  writeFileSync(declarations, `${before}export declare function added(value: number): string;\n`)
  t.throws(() => node(root, 'api-report.js', '--check', installed), { message: /npm run api[^]*\+ function added\(value: number\): string;/ }, 'a change is seen')
  writeFileSync(declarations, before)
})

t.test('as the linters of packages see it', async (t) => {
  const installed = join(consumer, 'node_modules/ermc')
  t.match(node(consumer, join(root, 'node_modules/publint/src/cli.js'), '--strict', installed), 'All good!')
  const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js')
  const report = node(consumer, attw, '--profile', 'node16', '--no-emoji', tarball) // fails where there is a problem
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: object }
  t.equal(report.match(/OK \(ESM\)/g)?.length, Object.keys(exports).length - 1, 'all but package.json') // which way around it prints its table depends on its size
})

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { build } from 'esbuild'
import t from 'tap'
import * as ermc from '../lib/index.ts'
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
/** The ways into the package, by the sources that they lead to. */
const WAYS = ['lib/index', 'lib/testing/index', 'lib/keyv', 'drivers/memjs', 'serializers/msgpack']
/** What Node loads of the main way only when it is first called. */
const LATER = ['binary', 'formats', 'meta', 'queue', 'tls', 'v8', 'wrap']

t.test('what is in it', async (t) => {
  const files = run(work, 'tar', '-tzf', tarball).trim().split('\n').map((name) => name.replace(/^package\//, ''))
  const [code, rest] = [files.filter((name) => name.startsWith('dist/')), files.filter((name) => !name.startsWith('dist/'))]
  t.same(rest.sort(), ['LICENSE', 'README.md', 'package.json'])
  const found = code.filter((name) => !name.endsWith('.d.ts'))
  const bundled = ['esm', 'cjs'].flatMap((format) => WAYS.map((stem) => `dist/${format}/${stem}.js`)).filter((name) => name !== 'dist/cjs/lib/index.js')
  const forNode = ['index.mjs', 'index.cjs', ...LATER.map((name) => `${name}.cjs`)].map((name) => `dist/node/${name}`)
  const expected = [...bundled, ...forNode].flatMap((name) => [name, `${name}.map`])
  t.same(found.sort(), ['dist/cjs/package.json', ...expected].sort(), 'a file of code for each way into it, what Node loads later of the main one, and their maps')
  const sources = new Set(['lib', 'drivers', 'serializers'].flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name))))
  for (const format of ['esm', 'cjs']) {
    const declarations = code.filter((name) => name.startsWith(`dist/${format}/`) && name.endsWith('.d.ts')).map((name) => name.slice(`dist/${format}/`.length, -'.d.ts'.length))
    t.same(declarations.filter((stem) => !sources.has(`${stem}.ts`)), [], `${format}: each declaration is of a source`)
    t.same(WAYS.filter((stem) => !declarations.includes(stem)), [])
    t.ok(declarations.length < sources.size / 2, `${format}: ${declarations.length} declarations, without those that nothing leads to`)
  }
})

/** In bytes, and files; three quarters are source maps, with the sources in them, once for each format, and for the main way twice more: what Node loads at once takes it a third less time so. Whoever makes it larger than this says here why that is worth it; whoever makes it smaller, by how much. */
const BUDGET = { packed: 1_300_000, unpacked: 5_000_000, files: 185 }

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
  for (const program of ['fault.mjs', 'fault.cjs']) {
    const [, source = '', line] = /ermc\/((?:lib|drivers|serializers)\/[a-z/-]+\.ts):(\d+):/.exec(node(consumer, '--enable-source-maps', program)) ?? []
    t.match(source && readFileSync(join(root, source), 'utf8').split('\n')[Number(line) - 1], /throw .*MemcacheValueError/, `${program}: ${source}:${line}`)
  }
  for (const format of ['esm', 'cjs', 'node']) {
    const maps = readdirSync(join(installed, 'dist', format), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.map'))
    for (const name of maps) {
      const file = join(installed, 'dist', format, name)
      const { sources, sourcesContent = [] } = JSON.parse(readFileSync(file, 'utf8')) as { sources: string[]; sourcesContent?: string[] }
      for (const [place, source] of sources.entries()) {
        const path = relative(installed, join(dirname(file), source))
        if (!existsSync(join(root, path)) || path.startsWith('dist/')) t.ok(sourcesContent[place], `${format}: ${name}: what the build has added, which is of no source`)
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

/** Calls what is loaded later, each part of it, and says after each call what is loaded. */
const CALL_LATER = `
async function callAll(ermc, { startServer }, cache) {
  const { Client, binary, compat, consumeAll, meta, noop, pickle, v8 } = ermc
  const server = await startServer()
  const loaded = () => Object.keys(cache).filter((path) => path.includes('ermc/dist/node/')).map((path) => basename(path, '.cjs')).filter((name) => name !== 'index').sort().join()
  const tell = async (options, use = async (client) => assert.deepEqual([await client.set('k', [1]), await client.get('k')], [true, [1]])) => {
    const client = new Client(server.url, options)
    await use(client)
    await client.close()
    console.log(loaded())
  }
  console.log(loaded())
  await tell({})
  await tell({ driver: binary })
  await tell({ driver: meta })
  await tell({ driver: noop }, (client) => client.get('k'))
  await tell({ serializer: pickle })
  await tell({ serializer: compat.phpMemcached })
  await tell({ serializer: v8 })
  await tell({ tls: true }, (client) => assert.rejects(client.get('k'), ermc.MemcacheSocketError))
  await tell({}, async (client) => assert.equal(await client.queue('jobs').get(), undefined))
  await tell({}, async (client) => {
    const [all, one] = [consumeAll([client], 'jobs'), client.queue('jobs').consume()]
    await Promise.all([all.close(), one.close()])
    assert.equal(all.constructor, one.constructor, 'what one file has is there once, whichever of its functions is called')
  })
  await server.close()
}`

t.test('what is loaded later is loaded by the first call, and not before', async (t) => {
  const steps = ['', '', 'binary', 'meta', 'wrap', 'formats', '', 'v8', 'tls', 'queue', '']
  const expected = steps.map((_, place) => steps.slice(0, place + 1).filter((name) => name !== '').sort().join())
  t.same(expected.at(-1)?.split(','), LATER, 'all of it')
  const begin = (imports: string): string => `${imports}\n${CALL_LATER}`
  const esm = begin(`import assert from 'node:assert/strict'\nimport { createRequire } from 'node:module'\nimport { basename } from 'node:path'\nimport * as ermc from 'ermc'\nimport * as testing from 'ermc/testing'`)
  writeFileSync(join(consumer, 'later.mjs'), `${esm}\nawait callAll(ermc, testing, createRequire(import.meta.url).cache)`)
  writeFileSync(join(consumer, 'later.cjs'), `${begin(`const assert = require('node:assert/strict')\nconst { basename } = require('node:path')`)}\ncallAll(require('ermc'), require('ermc/testing'), require.cache)`)
  for (const program of ['later.mjs', 'later.cjs']) t.same(node(consumer, program).split('\n').slice(0, -1), expected, program)
})

/** A program that uses what is loaded later, and what is asked of Node only then; `begin` makes `ermc`, `keyv` and `testing` of the package. */
const bundled = (begin: string): string => `
  ${begin}
  const { binary, Client, compat, lz4, meta, v8 } = ermc
  const run = async () => {
    const server = await testing.startServer()
    for (const options of [{ driver: binary, serializer: compat.pyermc }, { driver: meta, serializer: v8 }, { compressor: lz4, minCompressLength: 1 }]) {
      const client = new Client(server.url, options)
      console.log(await client.set('k', { a: 1 }), await client.get('k'), await new keyv.KeyvErmc(client).get('nothing'))
      await client.close()
    }
    await new Client(server.url, { tls: true, timeout: 2000 }).get('k').catch((error) => console.log(error.name))
    await server.close()
  }
  run().catch((error) => console.log(error.name, error.message)).finally(() => process.exit())`

const PATHS = { ermc: 'ermc', keyv: 'ermc/keyv', testing: 'ermc/testing' }

t.test('in one file with a program, made by a bundler', async (t) => {
  const sources = {
    mjs: bundled(Object.entries(PATHS).map(([name, path]) => `import * as ${name} from '${path}'`).join('\n')),
    cjs: bundled(Object.entries(PATHS).map(([name, path]) => `const ${name} = require('${path}')`).join('\n')),
  }
  const all = `${'true { a: 1 } undefined\n'.repeat(3)}MemcacheSocketError\n`
  for (const [kind, source] of Object.entries(sources)) {
    const entry = join(consumer, `bundled.${kind}`)
    writeFileSync(entry, source)
    for (const format of ['esm', 'cjs'] as const) {
      for (const conditions of [undefined, ['module', 'production'], ['production']]) {
        const outfile = join(consumer, `bundle.${format === 'esm' ? 'mjs' : 'cjs'}`)
        await build({ entryPoints: [entry], outfile, bundle: true, format, platform: 'node', target: 'node20', logLevel: 'silent', ...(conditions && { conditions }) })
        const name = `${kind} to ${format}, ${conditions?.join(' and ') ?? 'by itself'}`
        if (kind === 'cjs' && format === 'esm') continue // what esbuild makes of any CommonJS that requires node:
        if (kind === 'mjs' && conditions?.includes('module') === false) t.match(node(consumer, outfile), /^MemcacheUnsupportedError a part of ermc does not load: /, name)
        else t.equal(node(consumer, outfile), all, name)
      }
    }
  }
})

t.test('linked, and under another name', async (t) => {
  const program = `const { KeyvErmc } = require('NAME/keyv'); require('NAME'); import('NAME/keyv').then((esm) => console.log(typeof KeyvErmc, typeof esm.KeyvErmc))`
  for (const name of ['ermc', 'cache']) {
    const folder = mkdtempSync(join(work, 'linked-'))
    mkdirSync(join(folder, 'node_modules'))
    cpSync(join(consumer, 'node_modules/ermc'), join(folder, 'there'), { recursive: true })
    symlinkSync(join(folder, 'there'), join(folder, 'node_modules', name))
    t.equal(node(folder, '-e', program.replaceAll('NAME', name)), 'function function\n', name)
  }
})

t.test('a part that does not load is Unsupported, and no fault of the value', async (t) => {
  const folder = mkdtempSync(join(work, 'partly-'))
  cpSync(join(consumer, 'node_modules'), join(folder, 'node_modules'), { recursive: true })
  rmSync(join(folder, 'node_modules/ermc/dist/node/formats.cjs'))
  const program = `
    const { startServer } = require('ermc/testing')
    const { Client, compat, pickle } = require('ermc')
    const run = async () => {
      const server = await startServer()
      const say = (error) => console.log(error.name, error.message.split(':')[0], error.cause?.code, error.sent)
      await new Client(server.url).set('k', 'v')
      await new Client(server.url, { layers: [(next) => (request, call) => next({ ...request, item: { ...request.item, flags: 1 } }, call)] }).set('k', 'v')
      await new Client(server.url, { serializer: pickle }).get('k').catch(say)
      await new Client(server.url, { serializer: pickle }).set('k', {}).catch(say)
      try { compat.dalli } catch (error) { say(error) }
    }
    run().finally(() => process.exit())`
  const said = 'MemcacheUnsupportedError a part of ermc does not load MODULE_NOT_FOUND'
  t.equal(node(folder, '-e', program), `${said} true\n${said} false\n${said} false\n`)
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

t.test('the adapter for Keyv, without Keyv, and with a client of either copy', async (t) => {
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

t.test('both copies in one process: instanceof holds between them', async (t) => {
  const program = `
    import assert from 'node:assert/strict'
    import { createRequire } from 'node:module'
    import * as esm from 'ermc'
    const cjs = createRequire(import.meta.url)('ermc')
    assert.notEqual(cjs.MemcacheError, esm.MemcacheError, 'these are two copies')
    assert.deepEqual(Object.keys(cjs).sort(), Object.keys(esm).sort())
    const classes = Object.keys(esm).filter((name) => name.endsWith('Error'))
    for (const name of classes) {
      for (const other of classes) {
        const expected = new esm[name]('') instanceof esm[other]
        assert.equal(new cjs[name]('') instanceof esm[other], expected, name + ' ' + other)
        assert.equal(new esm[name]('') instanceof cjs[other], expected, name + ' ' + other)
      }
    }
    console.log(classes.length)`
  writeFileSync(join(consumer, 'both.mjs'), program)
  t.equal(node(consumer, 'both.mjs').trim(), String(Object.keys(ermc).filter((name) => name.endsWith('Error')).length))
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

/**
 * Builds dist/. The compiler writes the declarations, one for each source and format. The code is there once, as CommonJS: the ES
 * modules are doors to it, so that `import` and `require` give the same objects. It is in few files, since a hundred small ones take
 * several times as long to load as to run: one for each way into the package, one for all that these have in common (the core), and
 * one for each part that most processes never need, which is loaded when something of it is first used.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, posix } from 'node:path'
import { build, transform } from 'esbuild'

process.chdir(import.meta.dirname)
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const [esm, cjs] = ['dist/esm', 'dist/cjs']

const MAIN = 'lib/index'
const CORE = 'lib/core'
const ways = Object.values(exports).filter((way) => typeof way !== 'string') // but package.json
/** The sources that these are, without the extension. */
const WAYS_IN = ways.map((way) => way.import.default.slice(`./${esm}/`.length, -'.js'.length))
/** What is loaded later: a file of the build, and the sources in it that others import. */
const LATER = {
  'drivers/binary': ['drivers/binary', 'drivers/packet'],
  'drivers/meta': ['drivers/meta'],
  'lib/queue/queue-parts': ['lib/queue/queues', 'lib/queue/consumer', 'lib/queue/options'],
  'lib/request-check': ['lib/request-check'],
  'lib/tls-socket': ['lib/tls-socket'],
  'lib/wrapped-connection': ['lib/wrapped-connection'],
  'serializers/foreign-formats': ['serializers/compat-formats', 'serializers/pickle-reader', 'serializers/pickle-writer'],
  'serializers/v8-checks': ['serializers/v8-bounds', 'serializers/v8-flaws'],
}

const OPTIONS = { bundle: true, packages: 'external', platform: 'node', target: 'node20', logLevel: 'warning', write: false, define: { 'import.meta.url': '__filename' } }

rmSync('dist', { recursive: true, force: true })
for (const project of ['tsconfig.build.json', 'tsconfig.build.cjs.json']) {
  execFileSync(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', project], { stdio: 'inherit' })
}
keepReachable(esm, ways.map((way) => way.import.types))
keepReachable(cjs, ways.map((way) => way.require.types))
// Node takes every .js file of this package for an ES module unless a package.json nearer to it says otherwise.
writeFileSync(join(cjs, 'package.json'), '{ "type": "commonjs" }\n')

const partOf = await assign()
/** The sources of the core that other parts import. */
const asked = new Set()
for (const way of WAYS_IN) await write(way, `export * from './${way}.ts'`)
for (const [part, sources] of Object.entries(LATER)) await write(part, sources.map((source) => `export * from './${source}.ts'`).join('\n'))
await write(CORE, Array.from(asked, (source) => `export * as ${identifier(source)} from './${source}.ts'`).join('\n'))
for (const way of WAYS_IN) writeDoors(way)
checkLoading()

/** Removes the declarations that none of these leads to. */
function keepReachable(folder, entries) {
  const reached = new Set(entries.map((file) => join(file)))
  for (const file of reached) {
    for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from |import\()['"](\..*)\.ts['"]/g)) reached.add(join(dirname(file), `${path}.d.ts`))
  }
  for (const file of readdirSync(folder, { recursive: true })) if (file.endsWith('.d.ts') && !reached.has(join(folder, file))) rmSync(join(folder, file))
}

/** Which part of the build each source is in. */
async function assign() {
  const { metafile } = await build({ ...OPTIONS, outdir: cjs, entryPoints: WAYS_IN.map((way) => `${way}.ts`), metafile: true, format: 'esm' })
  const parts = new Map([...WAYS_IN.map((way) => [way, way]), ...Object.entries(LATER).flatMap(([part, sources]) => sources.map((source) => [source, part]))])
  const spread = (roots, part) => {
    const reached = new Set(roots)
    for (const source of reached) {
      for (const { path, external } of metafile.inputs[`${source}.ts`].imports) {
        const imported = path.replace(/\.ts$/, '')
        if (external || parts.get(imported) === part) continue
        if (!parts.has(imported)) {
          parts.set(imported, part)
          reached.add(imported)
        } else if (parts.get(imported) !== CORE && !(LATER[parts.get(imported)] ?? []).includes(imported)) {
          throw new Error(`${source}, in ${part}, imports ${imported}, which is in ${parts.get(imported)}: what two parts need belongs into the core`)
        }
      }
    }
  }
  const { imports } = metafile.inputs[`${MAIN}.ts`]
  const first = imports.map(({ path }) => path.replace(/\.ts$/, ''))
  for (const source of first) if (!parts.has(source)) parts.set(source, CORE)
  spread(first.filter((source) => parts.get(source) === CORE), CORE)
  for (const part of WAYS_IN) if (part !== MAIN) spread([part], part)
  for (const [part, sources] of Object.entries(LATER)) spread(sources, part)
  return parts
}

/** Writes a part. What it imports of another one is taken from that one's file; if that is loaded later, where it is first used. */
async function write(part, contents) {
  const file = `${cjs}/${part}.js`
  const stdin = { contents, resolveDir: '.', sourcefile: file, loader: 'ts' }
  const { outputFiles } = await build({ ...OPTIONS, stdin, outfile: file, format: 'cjs', sourcemap: 'external', plugins: [{ name: 'parts', setup: (setup) => setup.onResolve({ filter: /^\..*\.ts$/ }, elsewhere(part)) }] })
  const [map, { text }] = outputFiles
  const code = text.replace(/^var (\w+) = require\("part:(.+)"\);$/gm, (_, variable, source) => {
    const from = partOf.get(source)
    const load = `require("${posix.relative(dirname(part), from).replace(/^(?!\.)/, './')}.js")`
    if (from === CORE) {
      asked.add(source)
      return `var ${variable} = ${load}.${identifier(source)};`
    }
    if (!(from in LATER)) return `var ${variable} = ${load};`
    const names = new Set(Array.from(text.matchAll(new RegExp(`\\b${variable}\\.(\\w+)`, 'g')), ([, name]) => name))
    return `var ${variable} = { ${Array.from(names, (name) => `get ${name}() { return (${variable} = ${load}).${name} }`).join(', ')} };`
  })
  const inline = Buffer.from(map.contents).toString('base64')
  const made = await transform(`${code}//# sourceMappingURL=data:application/json;base64,${inline}`, {
    platform: 'node',
    target: 'node20',
    sourcefile: basename(file),
    sourcemap: true,
    minifySyntax: true,
    minifyWhitespace: true,
    logLevel: 'warning',
  })
  mkdirSync(dirname(file), { recursive: true })
  const [names = ''] = /^0 && \(module\.exports = \{[^}]*\}\);\n/m.exec(text) ?? [] // never run: by this Node's loader of ES modules knows what the file lets out
  writeFileSync(file, `${made.code}${names}//# sourceMappingURL=${basename(file)}.map\n`)
  writeFileSync(`${file}.map`, made.map)
}

/** What a part imports of another one stays an import, named by its source. */
function elsewhere(part) {
  return ({ path, resolveDir }) => {
    const source = posix.relative(process.cwd(), posix.join(resolveDir, path)).replace(/\.ts$/, '')
    return partOf.get(source) === part ? undefined : { path: `part:${source}`, external: true }
  }
}

/** The name by which the core lets out what one of its sources exports. */
function identifier(source) {
  return source.replace(/\W/g, '_')
}

/**
 * Two ES modules that let out what the file for `require` does. Node imports CommonJS several times as slowly as it requires it, so
 * what it loads asks for it itself; bundlers, which know nothing of that, have a plain one.
 */
function writeDoors(way) {
  const code = createRequire(import.meta.url)(`./${cjs}/${way}.js`)
  const names = Object.keys(code).sort().join(', ')
  const path = posix.relative(dirname(`${esm}/${way}`), `${cjs}/${way}.js`)
  writeFileSync(`${esm}/${way}.js`, `import { createRequire } from 'node:module'\nexport const { ${names} } = createRequire(import.meta.url)('${path}')\n`)
  writeFileSync(`${esm}/${way}.bundler.js`, `export { ${names} } from '${path}'\n`)
}

/** Fails where a part that is to be loaded later is loaded with the package. */
function checkLoading() {
  const program = `require(${JSON.stringify(join(process.cwd(), cjs, `${MAIN}.js`))}); console.log(JSON.stringify(Object.keys(require.cache)))`
  const loaded = new Set(JSON.parse(execFileSync(process.execPath, ['--input-type=commonjs', '-e', program], { encoding: 'utf8' })))
  const early = Object.keys(LATER).filter((part) => loaded.has(join(process.cwd(), cjs, `${part}.js`)))
  if (early.length > 0) throw new Error(`${early.join(', ')}: loaded as soon as the package is, since something of it is used outside of a function`)
}

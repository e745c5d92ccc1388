/**
 * Builds dist/: the same sources as ES modules and as CommonJS. The compiler writes the declarations, one for each source, of which
 * those stay that a way into the package leads to. The code is in one file for each of these ways, with all that it needs: to load
 * a hundred small files takes several times as long as to run them, and each further one a tenth of what they take together.
 * The main way has two: the ES module is for bundlers, which cannot follow what is loaded later; build-node.js makes what Node loads.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { buildForNode } from './build-node.js'

process.chdir(import.meta.dirname)
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const ways = Object.values(exports).filter((way) => typeof way !== 'string') // but package.json
const [esm, cjs] = ['dist/esm', 'dist/cjs']
const main = 'lib/index.ts'
const others = ways.map((way) => way.import.default.replace(`./${esm}/`, '').replace(/\.js$/, '.ts')).filter((source) => source.endsWith('.ts'))

/** What esbuild is told of all of them. */
const common = {
  bundle: true,
  packages: 'external',
  platform: 'node',
  target: 'node20',
  sourcemap: 'linked',
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: 'warning',
}

rmSync('dist', { recursive: true, force: true })
for (const project of ['tsconfig.build.json', 'tsconfig.build.cjs.json']) {
  execFileSync(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', project], { stdio: 'inherit' })
}
keepReachable(esm, ways.map((way) => way.import.types))
keepReachable(cjs, ways.map((way) => way.require.types))
await bundle('esm', [main, ...others])
await bundle('cjs', others)
await buildForNode(main, 'dist/node', { esm: { ...common, ...inFormat('esm') }, cjs: { ...common, ...inFormat('cjs') } })

// Node takes every .js file of this package for an ES module unless a package.json nearer to it says otherwise.
writeFileSync(join(cjs, 'package.json'), '{ "type": "commonjs" }\n')

/** Removes the declarations that none of these leads to. */
function keepReachable(folder, entries) {
  const reached = new Set(entries.map((file) => join(file)))
  for (const file of reached) {
    for (const [, path] of readFileSync(file, 'utf8').matchAll(/(?:from |import\()['"](\..*)\.ts['"]/g)) reached.add(join(dirname(file), `${path}.d.ts`))
  }
  for (const file of readdirSync(folder, { recursive: true })) if (file.endsWith('.d.ts') && !reached.has(join(folder, file))) rmSync(join(folder, file))
}

/** Writes the code in one of the two formats, a file for each of these sources. The adapter for Keyv, which alone needs one, has the client of the main way. */
async function bundle(format, entryPoints) {
  const main = format === 'esm' ? 'ermc' : '../../node/index.cjs' // this package by its name; the CommonJS in dist/ has a package.json of its own
  const setup = (plugin) => plugin.onResolve({ filter: /\/client\.ts$/ }, ({ importer }) => (importer.endsWith(join('lib', 'keyv.ts')) ? { path: main, external: true } : undefined))
  await build({ ...common, ...inFormat(format), entryPoints, outdir: join('dist', format), outbase: '.', plugins: [{ name: 'one client', setup }] })
}

/** To ask where a file is, the two kinds of modules have no word in common. */
function inFormat(format) {
  return { format, define: format === 'cjs' ? { 'import.meta.url': '__filename' } : {} }
}

/**
 * Builds dist/: the same sources as ES modules and as CommonJS. The compiler writes the declarations, one for each source, of which
 * those stay that a way into the package leads to. The code is in few files: one for each of these ways, and one for each set of
 * sources that several of them share. To load a hundred small files takes several times as long as to run them.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { buildSync, transformSync } from 'esbuild'

process.chdir(import.meta.dirname)
const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const ways = Object.values(exports).filter((way) => typeof way !== 'string') // but package.json
const [esm, cjs] = ['dist/esm', 'dist/cjs']

rmSync('dist', { recursive: true, force: true })
for (const project of ['tsconfig.build.json', 'tsconfig.build.cjs.json']) {
  execFileSync(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', project], { stdio: 'inherit' })
}
keepReachable(esm, ways.map((way) => way.import.types))
keepReachable(cjs, ways.map((way) => way.require.types))
buildSync({
  entryPoints: ways.map((way) => way.import.default.replace(`./${esm}/`, '').replace(/\.js$/, '.ts')),
  outdir: esm,
  outbase: '.',
  chunkNames: 'lib/chunks/[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  packages: 'external',
  platform: 'node',
  target: 'node20',
  sourcemap: 'linked',
  minifySyntax: true,
  minifyWhitespace: true,
  keepNames: true,
  logLevel: 'warning',
})
for (const file of readdirSync(esm, { recursive: true })) if (file.endsWith('.js')) writeCommonJs(file)

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

/** The same file for `require`. To ask where a file is, the two kinds of modules have no word in common. */
function writeCommonJs(file) {
  const map = readFileSync(join(esm, `${file}.map`)).toString('base64')
  const code = readFileSync(join(esm, file), 'utf8').replace(/^\/\/# sourceMappingURL=.*$/m, `//# sourceMappingURL=data:application/json;base64,${map}`)
  const made = transformSync(code, {
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    define: { 'import.meta.url': '__filename' },
    sourcefile: relative(dirname(join(cjs, file)), join(esm, file)), // for what is esbuild's own, and has no source
    sourcemap: true,
    minifyWhitespace: true,
    logLevel: 'warning',
  })
  mkdirSync(dirname(join(cjs, file)), { recursive: true })
  writeFileSync(join(cjs, file), `${made.code}//# sourceMappingURL=${basename(file)}.map\n`)
  writeFileSync(join(cjs, `${file}.map`), made.map)
}

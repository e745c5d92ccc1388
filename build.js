/** Builds dist/: the same sources as ES modules and as CommonJS, each with declarations and source maps. */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

process.chdir(import.meta.dirname)
rmSync('dist', { recursive: true, force: true })
compile('tsconfig.build.json')
compile('tsconfig.build.cjs.json')

// Node takes every .js file of this package for an ES module unless a package.json nearer to it says otherwise.
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n')

// The one place that asks where it is: ES modules and CommonJS have no word in common for that.
replaceIn('dist/cjs/lib/package-loader.js', 'import.meta.url', '__filename')

function compile(project) {
  execFileSync(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', project], { stdio: 'inherit' })
}

function replaceIn(file, what, by) {
  const text = readFileSync(file, 'utf8')
  if (text.split(what).length !== 2) throw new Error(`${file} should say ${what} once`)
  writeFileSync(file, text.replace(what, by))
}

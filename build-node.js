/**
 * The code of the main way as Node loads it, for `import` and for `require`, without what most programs never call: about half of
 * it, which V8 would else go through before the first command. That is beside them in files that their first call loads.
 * docs/decisions/0017 says more.
 */
import { readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { build } from 'esbuild'

/**
 * The files that are loaded later, each with the sources by which others call what is in it. These have nothing for others but
 * functions and types: tests/architecture.test.ts holds that.
 */
export const LATER = {
  binary: ['drivers/binary.ts'],
  formats: ['serializers/compat-formats.ts', 'serializers/pickle-reader.ts', 'serializers/pickle-writer.ts'],
  meta: ['drivers/meta.ts'],
  queue: ['lib/queue/consume-all.ts', 'lib/queue/queues.ts'],
  tls: ['lib/tls-socket.ts'],
  v8: ['serializers/v8-bounds.ts', 'serializers/v8-flaws.ts'],
  wrap: ['drivers/noop.ts', 'lib/wrap.ts'],
}
/** The file of each of these sources. */
const fileOf = new Map(Object.entries(LATER).flatMap(([file, sources]) => sources.map((source) => [source, file])))

/** The module of the core that loads the other files, and has what they need of it. */
const SHARED = 'shared:'
/** What is needed is called by its source and its name there. */
const CALLED = /"([\w/-]+\.ts):(\w+)"/g

/**
 * Writes the code of `main` into the folder. `options` are esbuild's, for ES modules and for CommonJS.
 * @throws for a source that two of the later files need: they share nothing but what is in the core.
 */
export async function buildForNode(main, folder, options) {
  const names = await exportedNames(options.esm)
  const core = new Set(await writeCore('esm', []))
  const [needed, owners] = [new Map(), new Map()]
  for (const file of Object.keys(LATER)) {
    for (const source of await writeLater(file)) {
      if (owners.has(source)) throw new Error(`${source} is in ${owners.get(source)} and in ${file}: load these as one, or it with the core`)
      owners.set(source, file)
    }
    const code = readFileSync(join(folder, `${file}.cjs`), 'utf8')
    for (const [call, source, name] of code.matchAll(CALLED)) if (core.has(source)) needed.set(call, [source, name])
  }
  for (const format of ['esm', 'cjs']) await writeCore(format, [...needed.values()])

  /** Writes what is loaded at once, which has these for the others; gives the sources that are in it. */
  function writeCore(format, shared) {
    const outfile = join(folder, `index.${format === 'esm' ? 'mjs' : 'cjs'}`)
    return write({ ...options[format], entryPoints: [main], outfile }, (source) => {
      if (source === SHARED) return codeOf(shared, sharing)
      return fileOf.has(source) ? callLater(source, format) : undefined
    })
  }

  /** Writes one of the others, as a function of what the core has for it; gives the sources that are in it. */
  function writeLater(file) {
    const doors = LATER[file].flatMap((source) => names.get(source).map((name) => [source, name]))
    const stdin = { contents: codeOf(doors, (object) => `export default ${object}`), resolveDir: '.', sourcefile: `${file}.js` }
    const asFunction = { banner: { js: 'module.exports=core=>{const module={};' }, footer: { js: 'return module.exports.default};' } }
    return write({ ...options.cjs, ...asFunction, stdin, outfile: join(folder, `${file}.cjs`) }, (source) => {
      if (core.has(source)) return fromCore(source)
      if ((fileOf.get(source) ?? file) === file) return undefined
      throw new Error(`${file} needs ${source}, which is in ${fileOf.get(source)}: load these as one`)
    })
  }

  /** Code that calls what is loaded then, in words that bundlers and file tracers understand, where they can. */
  function callLater(source, format) {
    const file = `'./${fileOf.get(source)}.cjs'`
    const imports = format === 'esm' ? [`import { createRequire } from 'node:module'`, `import { fileURLToPath } from 'node:url'`] : []
    const load = format === 'esm' ? `createRequire(import.meta.url)(fileURLToPath(new URL(${file}, import.meta.url)))` : `require(${file})`
    const functions = names.get(source).map((name) => `export function ${name}(...given) { return later()['${source}:${name}'](...given) }`)
    return [...imports, `import { part } from '${SHARED}'`, `const later = () => part(${file}, () => ${load})`, ...functions].join('\n')
  }

  /** Code that takes what it exports from what the core has for it. */
  function fromCore(source) {
    const consts = names.get(source).map((name) => `export const ${name} = /* @__PURE__ */ of('${source}:${name}')`)
    return ['const of = (name) => core[name]', ...consts].join('\n')
  }
}

/** What each source exports. */
async function exportedNames(options) {
  const entryPoints = ['lib', 'drivers', 'serializers'].map((folder) => `${folder}/**/*.ts`)
  const { metafile } = await build({ ...options, entryPoints, bundle: false, packages: undefined, outdir: 'dist', write: false, metafile: true })
  return new Map(Object.values(metafile.outputs).flatMap(({ entryPoint, exports }) => (entryPoint === undefined ? [] : [[entryPoint, exports]])))
}

/** Code that has these, pairs of a source and a name there, in one object. */
function codeOf(pairs, use) {
  const imports = pairs.map(([source, name], place) => `import { ${name} as _${place} } from './${source}'`)
  return [...imports, use(`{ ${pairs.map(([source, name], place) => `'${source}:${name}': _${place}`).join(', ')} }`)].join('\n')
}

/** Code that loads a file, once for all that call it, and gives it what it needs. One that does not load, for want of descriptors or because a bundler has left it out, says so. */
function sharing(object) {
  return `import { MemcacheUnsupportedError } from './lib/errors.ts'
const parts = new Map()
export function part(file, load) {
  const known = parts.get(file)
  if (known !== undefined) return known
  let make
  try {
    make = load()
  } catch (cause) {
    throw new MemcacheUnsupportedError('a part of ermc does not load: ' + cause.message, { cause })
  }
  const made = make(${object})
  parts.set(file, made)
  return made
}`
}

/** Writes a file, in which `instead` gives other code for some of the sources; gives the sources that are in it. */
async function write(options, instead) {
  const setup = (plugin) => {
    plugin.onResolve({ filter: /\.ts$|^shared:$/ }, ({ path, resolveDir }) => {
      const source = path === SHARED ? path : relative('.', resolve(resolveDir, path))
      const contents = instead(source)
      return contents === undefined ? undefined : { path: source, namespace: 'instead', pluginData: contents }
    })
    plugin.onResolve({ filter: /\.cjs$/ }, ({ path }) => ({ path, external: true }))
    plugin.onLoad({ filter: /./, namespace: 'instead' }, ({ pluginData }) => ({ contents: pluginData, resolveDir: '.' }))
  }
  const { metafile } = await build({ ...options, metafile: true, plugins: [{ name: 'instead', setup }] })
  return Object.keys(metafile.inputs).filter((name) => name.endsWith('.ts') && !name.includes(':'))
}

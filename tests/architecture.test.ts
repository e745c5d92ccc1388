import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import ts from 'typescript5'
import { root } from './support/pages.ts'

/** docs/architecture.md as a test: what may import what, and what every file owes its readers. */

/** Top to bottom. A file imports from its own layer or from one below. */
const layers: readonly (readonly [name: string, files: readonly string[]])[] = [
  ['door', lib('index', 'keyv', 'keyv-namespace')],
  [
    'client',
    [...lib('client', 'caller', 'command', 'options', 'call-options', 'arguments', 'bulk', 'counting', 'requests', 'results', 'cas-ids', 'format', 'request-check'), ...sources('lib/queue')],
  ],
  ['drivers and serializers', [...sources('drivers'), ...sources('serializers')]],
  [
    'mechanics',
    [
      ...lib('wire', 'ways', 'connection', 'handshake', 'socket', 'tls-socket', 'outbox', 'pending', 'get-joiner', 'joined-gets', 'alarm', 'abort-watch', 'wrap', 'wrapped-connection', 'asked'),
      ...lib('current-connection', 'connect-pause', 'connection-faults', 'tracing'),
      ...lib('codec', 'serialization', 'plain-values', 'compression', 'counter', 'error-as-miss', 'package-loader'),
    ],
  ],
  ['contracts', lib('driver', 'credentials', 'middleware', 'byte-reader', 'spare-memory', 'received-item', 'fifo', 'key', 'plain-bytes', 'expiry', 'flags')],
  ['words', lib('commands', 'errors', 'show')],
]

const MOST_LINES = 350
const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/

function lib(...names: string[]): string[] {
  return names.map((name) => `lib/${name}.ts`)
}

/** The TypeScript files directly in a folder, or under it. */
function sources(folder: string, recursive = false): string[] {
  const names = readdirSync(join(root, folder), { recursive, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  return names.map((name) => `${folder}/${name}`).sort()
}

const client = [...sources('lib'), ...sources('lib/queue'), ...sources('drivers'), ...sources('serializers')]
const server = sources('lib/testing', true)
const shipped = [...client, ...server]

const parsed = new Map(shipped.map((file) => [file, parse(file)]))

function parse(file: string, text = readFileSync(join(root, file), 'utf8')): ts.SourceFile {
  return ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true)
}

/** What a file imports and re-exports: files of the project by their path, packages by their name. `types`: `import type` as well. */
function imports(source: ts.SourceFile, { types }: { types: boolean } = { types: true }): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    let target: ts.Node | undefined
    if (!types && ts.isImportDeclaration(node) && node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword) return
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) target = node.moduleSpecifier
    else if (ts.isImportTypeNode(node)) target = node.argument
    else if (ts.isCallExpression(node) && (node.expression.kind === ts.SyntaxKind.ImportKeyword || node.expression.getText() === 'require')) {
      target = node.arguments[0]
    }
    if (target !== undefined) found.push(target.getText().replace(/['"]/g, ''))
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found.map((name) => (name.startsWith('.') ? join(dirname(source.fileName), name) : name))
}

/** The files on a way that leads back to where it began, if there is one among these files. */
function circle(edges: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>()
  const walk = (file: string, way: readonly string[]): string[] | undefined => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file]
    if (done.has(file)) return undefined
    for (const next of edges.get(file) ?? []) {
      const found = walk(next, [...way, file])
      if (found !== undefined) return found
    }
    done.add(file)
    return undefined
  }
  for (const file of edges.keys()) {
    const found = walk(file, [])
    if (found !== undefined) return found
  }
  return undefined
}

/** What is exported, or public in what is exported, without a doc comment. */
function undocumented(source: ts.SourceFile): string[] {
  const missing: string[] = []
  const need = (node: ts.Node, name: string): void => {
    if (ts.getJSDocCommentsAndTags(node).length > 0) return
    missing.push(`${source.fileName}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1} ${name}`)
  }
  for (const statement of source.statements) {
    if (!ts.canHaveModifiers(statement) || !exported(statement)) continue
    const names = ts.isVariableStatement(statement) ? statement.declarationList.declarations.map((each) => each.name.getText()) : []
    const { name } = statement as ts.DeclarationStatement
    need(statement, name?.getText() ?? names.join(', '))
  }
  return missing
}

function exported(node: ts.Node & ts.HasModifiers): boolean {
  return ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false
}

/** The public methods and properties of a class without a doc comment. */
function undocumentedMembers(source: ts.SourceFile, className: string): string[] {
  const found = source.statements.find((each): each is ts.ClassDeclaration => ts.isClassDeclaration(each) && each.name?.text === className)
  if (found === undefined) throw new Error(`${source.fileName} has no class ${className}`)
  const documented = new Set<string>()
  const all = new Set<string>()
  for (const member of found.members) {
    const name = member.name?.getText()
    if (name === undefined || name.startsWith('#') || name.startsWith('[')) continue
    all.add(name)
    if (ts.getJSDocCommentsAndTags(member).length > 0) documented.add(name) // the first of its overloads
  }
  return [...all].filter((name) => !documented.has(name))
}

t.test('every file has its layer, and imports from there or below', async (t) => {
  const depths = new Map(layers.flatMap(([, files], depth) => files.map((file) => [file, depth] as const)))
  t.same([...depths.keys()].sort(), [...client].sort(), 'the table names every file, and no other')
  for (const file of client) {
    for (const target of imports(parsed.get(file) as ts.SourceFile)) {
      const depth = depths.get(target)
      if (depth === undefined) continue
      const here = depths.get(file) as number
      t.ok(depth >= here, `${file} (${layers[here]?.[0]}) imports ${target} (${layers[depth]?.[0]})`)
    }
  }
})

t.test('docs/architecture.md names every file where it is', async (t) => {
  const [, table = ''] = /^## Layers$[\s\S]*?```text\n([\s\S]*?)```/m.exec(readFileSync(join(root, 'docs/architecture.md'), 'utf8')) ?? []
  const told = table.replace(/^\S+/gm, '|').replace(/\w+\/:/g, '').split('|').map((row) => row.trim().split(/\s+/).sort())
  const [, door, inClient, drivers = [], serializers = [], ...rest] = told
  const stems = layers.map(([, files]) => files.map((file) => basename(file, '.ts')).sort())
  t.strictSame([door, inClient, [...drivers, ...serializers].sort(), ...rest], stems)
})

t.test('no circles', async (t) => {
  t.equal(circle(new Map(shipped.map((file) => [file, imports(parsed.get(file) as ts.SourceFile)]))), undefined)
  t.same(circle(new Map([['a', ['b']], ['b', ['c']], ['c', ['b']]])), ['b', 'c', 'b'], 'one would be found')
})

t.test('the client and the embedded server do not know each other', async (t) => {
  for (const file of client) {
    for (const target of imports(parsed.get(file) as ts.SourceFile)) t.notMatch(target, /^lib\/testing\//, `${file} imports ${target}`)
  }
  for (const file of server) {
    const source = parsed.get(file) as ts.SourceFile
    const contract = file.startsWith('lib/testing/contract/') // of the client it knows the types, and those by the door alone
    for (const target of imports(source, { types: !contract })) t.match(target, /^(lib\/testing\/|node:)/, `${file} imports ${target}`)
    if (contract) for (const target of imports(source)) t.match(target, /^(lib\/testing\/contract\/|lib\/index\.ts|node:)/, `${file} imports ${target}`)
  }
})

t.test('what is not Node or ours is a dependency', async (t) => {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, Record<string, string>>
  const allowed = new Set([...Object.keys(dependencies ?? {}), ...Object.keys(peerDependencies ?? {})])
  for (const file of shipped) {
    const source = parsed.get(file) as ts.SourceFile
    for (const target of imports(source)) {
      if (shipped.includes(target)) continue
      const builtin = target.startsWith('node:') && builtinModules.includes(target.slice('node:'.length))
      t.ok(builtin || allowed.has(target), `${file} imports ${target}`)
    }
    for (const [, name = ''] of source.text.matchAll(/loadPackage\('([^']+)'\)/g)) t.ok(allowed.has(name) || name.startsWith('node:'), `${file} loads ${name}`)
  }
  t.same(Object.keys(dependencies ?? {}), ['lz4-napi'])
})

t.test('what the build leaves to be loaded later has nothing for others but functions and types', async (t) => {
  const { LATER } = (await import(join(root, 'build-node.js'))) as { LATER: { readonly [file: string]: readonly string[] } }
  const doors = Object.values(LATER).flat()
  const core = new Set(['lib/index.ts'])
  for (const file of core) for (const target of imports(parsed.get(file) as ts.SourceFile, { types: false })) if (parsed.has(target) && !doors.includes(target)) core.add(target)
  for (const door of doors) {
    const values = (await import(join(root, door))) as { readonly [name: string]: unknown }
    const called = [...core].flatMap((file) => namesFrom(parsed.get(file) as ts.SourceFile, door))
    t.ok(called.length > 0, `${door} is called`)
    for (const name of called) t.ok(isFunction(values[name]), `${name} of ${door}`)
  }
  t.same([isFunction(() => {}), isFunction(class {}), isFunction({})], [true, false, false])
})

/** No class, which is not called but made with `new`. */
function isFunction(value: unknown): boolean {
  return typeof value === 'function' && !/^class\b/.test(String(value))
}

/** The values, not types, that a file imports or re-exports from another. */
function namesFrom(source: ts.SourceFile, target: string): string[] {
  return source.statements.flatMap((statement) => {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return []
    const { moduleSpecifier } = statement
    if (moduleSpecifier === undefined || join(dirname(source.fileName), moduleSpecifier.getText().slice(1, -1)) !== target) return []
    const names = ts.isImportDeclaration(statement) ? statement.importClause?.namedBindings : statement.exportClause
    if (names === undefined || ts.isNamespaceImport(names) || ts.isNamespaceExport(names)) return ['*']
    const ofTypes = ts.isImportDeclaration(statement) ? statement.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword : statement.isTypeOnly
    return ofTypes ? [] : Array.from(names.elements as Iterable<ts.ImportSpecifier | ts.ExportSpecifier>).filter((each) => !each.isTypeOnly).map(({ name, propertyName }) => (propertyName ?? name).text)
  })
}

t.test('names, lengths, exports', async (t) => {
  for (const file of [...shipped, ...sources('tests', true), ...sources('benchmarks', true), ...sources('docs', true)]) {
    t.match(basename(file), KEBAB_CASE, file)
    t.notMatch(basename(file), /util|helper|misc|common/, file)
  }
  for (const file of shipped) {
    const source = parsed.get(file) as ts.SourceFile
    const lines = source.text.trimEnd().split('\n').length
    t.ok(lines <= MOST_LINES, `${file} has ${lines} lines`)
    t.notOk(source.statements.some(isDefaultExport), `${file} has no default export`)
  }
})

function isDefaultExport(node: ts.Node): boolean {
  const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined
  return ts.isExportAssignment(node) || (modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword) ?? false)
}

t.test('what is exported has a doc comment', async (t) => {
  t.same(shipped.flatMap((file) => undocumented(parsed.get(file) as ts.SourceFile)), [])
  t.same(undocumentedMembers(parsed.get('lib/client.ts') as ts.SourceFile, 'Client'), [])
  const bad = parse('bad.ts', '/** Yes. */\nexport const a = 1\nexport function b() {}\nexport class C { d() {} }\nconst e = 2\n')
  t.same(undocumented(bad), ['bad.ts:3 b', 'bad.ts:4 C'])
  t.same(undocumentedMembers(bad, 'C'), ['d'])
})

/**
 * Writes docs/api-report.md: what the package lets out, name by name, so that a change of it is seen where changes are reviewed.
 *
 *     npm run api                              builds, and writes it
 *     node api-report.js --check [folder]      whether it is what the built package in a folder lets out
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import ts from 'typescript5' // the compiler has no API from its version 7 on

const FILE = join(import.meta.dirname, 'docs/api-report.md')
const args = process.argv.slice(2)
const check = args[0] === '--check'
const folder = resolve(args[check ? 1 : 0] ?? import.meta.dirname)

const text = report()
if (!check) writeFileSync(FILE, text)
else if (!existsSync(FILE) || readFileSync(FILE, 'utf8') !== text) {
  console.error('docs/api-report.md is out of date: npm run api writes it anew. What differs:')
  console.error(difference(existsSync(FILE) ? readFileSync(FILE, 'utf8') : '', text))
  process.exitCode = 1
}

function report() {
  const { name, exports } = createRequire(import.meta.url)(join(folder, 'package.json'))
  const doors = Object.entries(exports).flatMap(([subpath, { import: door }]) => (door?.types === undefined ? [] : [{ subpath, file: join(folder, door.types) }]))
  const program = ts.createProgram(doors.map(({ file }) => file), { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, target: ts.ScriptTarget.ES2023, skipLibCheck: true, types: [] })
  const checker = program.getTypeChecker()
  const sections = doors.map(({ subpath, file }) => ({ title: join(name, subpath), out: exported(program, checker, file) }))
  const seen = new Set(sections.flatMap(({ out }) => out.map(({ symbol }) => symbol)))
  const pages = sections.map(({ title, out }) => `## ${title}\n\n${section(checker, out, seen)}`)
  return `# The public declarations\n\nWritten by \`npm run api\`, to be read in reviews. What each thing is for stands in its doc comment, and in the other pages.\n\n${pages.join('\n')}`
}

/** What a file lets out: names, and what they stand for. */
function exported(program, checker, file) {
  const source = program.getSourceFile(file)
  if (source === undefined) throw new Error(`there is no ${file}: npm run build`)
  return checker.getExportsOfModule(checker.getSymbolAtLocation(source)).map((symbol) => ({ name: symbol.name, symbol: resolved(checker, symbol) }))
}

/** What one subpath lets out, sorted by name, and behind it what stands in that and in nothing before, without a name of its own outside. */
function section(checker, out, seen) {
  const inner = []
  const look = (node) => {
    if (ts.isIdentifier(node)) {
      const symbol = resolved(checker, checker.getSymbolAtLocation(node))
      if (symbol !== undefined && !seen.has(symbol) && isOurs(symbol)) {
        seen.add(symbol)
        inner.push({ name: symbol.name, symbol })
      }
    }
    if (!isPrivate(node)) ts.forEachChild(node, look)
  }
  for (const { symbol } of out) symbol.declarations?.forEach(look)
  for (const { symbol } of inner) symbol.declarations?.forEach(look) // which makes it longer
  const blocks = [...byName(out), ...(inner.length === 0 ? [] : ['// Not let out by a name, but to be met in the above:', ...byName(inner)])]
  return `\`\`\`text\n${blocks.join('\n')}\n\`\`\`\n`
}

function resolved(checker, symbol) {
  return symbol !== undefined && symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
}

/** Whether a symbol is a type, a class, a function or a value that stands by itself in a file of the package. */
function isOurs(symbol) {
  return symbol.declarations?.some((declaration) => {
    const named = ts.isInterfaceDeclaration(declaration) || ts.isTypeAliasDeclaration(declaration) || ts.isClassDeclaration(declaration) || ts.isFunctionDeclaration(declaration)
    return (named || isConstant(declaration)) && declaration.getSourceFile().fileName.startsWith(join(folder, 'dist/'))
  })
}

function isConstant(node) {
  return ts.isVariableDeclaration(node) && ts.isSourceFile(node.parent.parent.parent)
}

function isPrivate(node) {
  if (node.name !== undefined && ts.isPrivateIdentifier(node.name)) return true
  return ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword)
}

function byName(found) {
  return found.flatMap(({ name, symbol }) => (symbol.declarations ?? []).map((declaration) => [name, printed(name, declaration)])).sort(([a, x], [b, y]) => compare(a, b) || compare(x, y)).map(([, text]) => text)
}

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0
}

/** A declaration without comments, without what is private, and without the words that all of them have. */
function printed(name, declaration) {
  const printer = ts.createPrinter({ removeComments: true })
  if (ts.isSourceFile(declaration)) return `${name}: a module`
  const statement = isConstant(declaration) ? declaration.parent.parent : declaration
  const { transformed } = ts.transform(statement, [
    (context) => {
      const visit = (node) => (node !== statement && isPrivate(node) ? undefined : ts.visitEachChild(node, visit, context))
      return visit
    },
  ])
  return printer.printNode(ts.EmitHint.Unspecified, transformed[0], declaration.getSourceFile()).replace(/^(?:export |declare |default )+/, '')
}

/** The lines of each text that the other does not have. */
function difference(before, after) {
  const [old, now] = [before.split('\n'), after.split('\n')]
  const [inOld, inNow] = [new Set(old), new Set(now)]
  return [...old.filter((line) => !inNow.has(line)).map((line) => `- ${line}`), ...now.filter((line) => !inOld.has(line)).map((line) => `+ ${line}`)].join('\n')
}

import ts from 'typescript5'
import * as ermc from '../../lib/index.ts'
import type { Snippet } from './pages.ts'

/**
 * What a snippet of the documentation becomes to be checked and run. Comments in it say what comes of a line:
 *
 *     await client.get('a') // → 42                       as node:util's inspect shows it; behind it may be  (a remark)
 *     await client.get('') // rejects: MemcacheKeyError
 *
 * A snippet that does not import ermc is about a `client` that is there already, and has all of ermc at hand.
 */

const PREAMBLE = `import { ${Object.keys(ermc).join(', ')} } from 'ermc'; await using client = new Client({ timeout: 2000 })`

/** Its text for the type checker, each line with the number that it has in the page. */
export function standalone({ code, line }: Snippet): string {
  const preamble = /from 'ermc'$/m.test(code) ? '' : PREAMBLE
  return `${preamble}${'\n'.repeat(line - 1)}${code}\nexport {}\n`
}

/** Its text to be run: the same, with what comments promise made into checks. */
export function checked(snippet: Snippet): string {
  const text = standalone(snippet)
  const source = ts.createSourceFile('snippet.mts', text, ts.ScriptTarget.ESNext, true)
  const edits: { start: number; end: number; text: string }[] = []
  const visit = (node: ts.Node): void => {
    const promise = /^[;,]?[ \t]*\/\/ (→|rejects:) (.*)/.exec(text.slice(node.end))
    if (promise !== null && (ts.isExpressionStatement(node) || ts.isVariableStatement(node))) {
      const [, kind, said = ''] = promise
      const expected = JSON.stringify(said.replace(/\s+\([^()]*\)$/, '').trim())
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      const where = `${line + 1}, ${expected}`
      if (ts.isVariableStatement(node)) edits.push({ start: node.end, end: node.end, text: `; __gives(${where}, ${names(node)})` })
      else if (kind === '→') edits.push({ start: node.getStart(), end: node.end, text: `__gives(${where}, ${shown(node.expression)})` })
      else edits.push({ start: node.getStart(), end: node.end, text: `await __rejects(${where}, async () => ${node.expression.getText()})` })
      return
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  const promised = text.split(/\/\/ (?:→|rejects:) /).length - 1
  if (edits.length !== promised) throw new Error(`${snippet.page}:${snippet.line}: a comment that says what comes of a line is not behind a statement`)
  return edits.reduceRight((all, { start, end, text: by }) => all.slice(0, start) + by + all.slice(end), text)
}

function names({ declarationList }: ts.VariableStatement): string {
  return declarationList.declarations.map((each) => each.name.getText()).join(', ')
}

/** What a reader sees of it: what is printed, or the value itself. */
function shown(expression: ts.Expression): string {
  const printed = ts.isCallExpression(expression) && expression.expression.getText() === 'console.log' ? expression.arguments[0] : undefined
  return printed === undefined ? expression.getText() : `__printed(${printed.getText()})`
}

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The documentation as data: its pages, and the code, headings and links in them. */

/** The top folder of the project. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A piece of code in a page. */
export interface Snippet {
  readonly page: string
  /** The page's line on which its first line stands, from 1. */
  readonly line: number
  readonly language: string
  readonly code: string
}

/** All pages, as paths from the top folder. */
export function pages(): string[] {
  const under = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => join('docs', name))
  return [...readdirSync(root), ...under].filter((name) => name.endsWith('.md')).sort()
}

export function read(page: string): string {
  return readFileSync(join(root, page), 'utf8')
}

/** The fenced blocks of a page. */
export function snippets(page: string, text = read(page)): Snippet[] {
  const found: Snippet[] = []
  let open: { language: string; line: number; lines: string[] } | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^```(.*)$/.exec(line)
    if (fence === null) open?.lines.push(line)
    else if (open === undefined) open = { language: fence[1]?.trim() ?? '', line: index + 2, lines: [] }
    else {
      found.push({ page, line: open.line, language: open.language, code: open.lines.join('\n') })
      open = undefined
    }
  }
  if (open !== undefined) throw new Error(`${page}:${open.line - 1}: a block of code that does not end`)
  return found
}

/** A page without its code, of which nothing is a heading or a link. */
function prose(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]()#]/g, ''))
}

/** The anchors that GitHub gives a page's headings. */
export function anchors(text: string): Set<string> {
  const names = new Set<string>()
  for (const [, heading = ''] of prose(text).matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = heading.trim().toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-')
    let name = slug
    for (let count = 1; names.has(name); count += 1) name = `${slug}-${count}`
    names.add(name)
  }
  return names
}

/** What is wrong with the links of a page that lead to files of the project or to headings. */
export function brokenLinks(page: string, text = read(page)): string[] {
  const problems: string[] = []
  for (const [, target = ''] of prose(text).matchAll(/\]\(([^)\s]*)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue
    const [path = '', anchor] = target.split('#')
    const file = path === '' ? page : join(dirname(page), path)
    if (relative('.', file).startsWith('..') || !existsSync(join(root, file))) problems.push(`${target}: there is no such file`)
    else if (anchor !== undefined && !anchors(file === page ? text : read(file)).has(anchor)) problems.push(`${target}: there is no such heading`)
  }
  return problems
}

import { readFileSync, writeFileSync } from 'node:fs'

/** A page with a part that a program writes, between two comments. */

/** Puts `text` between the comments of this name in a Markdown page. */
export function updatePage(page: string, name: string, text: string): void {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`]
  const old = readFileSync(page, 'utf8')
  const [from, to] = [old.indexOf(begin), old.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`${page} has no ${begin} with ${end} behind it`)
  writeFileSync(page, `${old.slice(0, from + begin.length)}\n${text.trim()}\n${old.slice(to)}`)
}

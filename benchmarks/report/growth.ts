import { growthRemarks, type Growth } from '../growth.ts'
import { lineChart } from './chart.ts'
import { figure } from './figures.ts'
import { grid } from './markdown.ts'

/** The growth of costs as Markdown and charts. */

const COLOURS = ['#9aa0a6', '#1a73e8', '#188038', '#9334e6', '#e8710a', '#d93025']

/** A table of each series. Where `folder` is told, with its charts in there. */
export function growthMarkdown(growths: readonly Growth[], command: string, folder?: string): string {
  const blocks = growths.map(({ series: { title, axis, unit, file, steps }, curves }) => {
    const rows = curves.map(({ subject, points }) => [`\`${subject}\``, ...steps.map((step) => costAt(points, step))])
    const picture = folder === undefined ? '' : `![${title}: CPU µs of a ${unit}](${folder}/${file}.svg)\n\n`
    return `**${title}**: CPU µs of a ${unit}\n\n${picture}${grid([axis, ...steps.map((step) => step.toLocaleString('en-US'))], rows)}`
  })
  const remarks = growthRemarks(growths).map((remark) => `- ${remark}.`)
  return `${[`\`\`\`sh\n${command}\n\`\`\``, ...blocks, remarks.join('\n')].filter((block) => block !== '').join('\n\n')}\n`
}

/** A chart of one series. A line that lies level or falls is cost that grows with what is asked for, or slower. */
export function growthChart({ series: { title, axis, unit }, curves }: Growth): string {
  const drawn = curves.map(({ subject, points }, index) => ({ label: subject, points, colour: COLOURS[index % COLOURS.length] as string }))
  return lineChart(title, axis, `CPU µs of a ${unit}`, drawn)
}

function costAt(points: readonly (readonly [number, number])[], step: number): string {
  const cost = points.find(([x]) => x === step)?.[1]
  return cost === undefined ? '–' : figure(cost)
}

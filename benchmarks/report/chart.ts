/** Charts as SVG: no script, no font and no picture from elsewhere. */

/** What a bar stands for. */
export interface Bar {
  readonly label: string
  readonly value: number
  /** How it is written behind the bar. */
  readonly shown: string
  readonly colour: string
}

/** One curve; points with x and y above 0. */
export interface Curve {
  readonly label: string
  readonly colour: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

const FONT = 'font-family="system-ui, sans-serif" font-size="12"'
const SVG = 'xmlns="http://www.w3.org/2000/svg"'
const INK = '#555'

/** Text as XML takes it. */
export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** Horizontal bars, one below the other: less is better. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const [width, labels, numbers, row] = [640, 130, 90, 20]
  const most = Math.max(...bars.map(({ value }) => value))
  const drawn = bars.map(({ label, value, shown, colour }, index) => {
    const y = index * row
    const length = Math.max(1, ((width - labels - numbers) * value) / most)
    return (
      `<text x="${labels - 8}" y="${y + 14}" text-anchor="end" fill="currentColor">${escaped(label)}</text>` +
      `<rect x="${labels}" y="${y + 3}" width="${length.toFixed(1)}" height="${row - 6}" rx="2" fill="${colour}"/>` +
      `<text x="${(labels + length + 6).toFixed(1)}" y="${y + 14}" fill="currentColor">${escaped(shown)}</text>`
    )
  })
  return `<svg ${SVG} viewBox="0 0 ${width} ${bars.length * row}" width="${width}" role="img" aria-label="${escaped(title)}" ${FONT}>${drawn.join('')}</svg>`
}

/** Curves over logarithmic axes, on which what grows linearly is a straight line with slope one, and a constant cost a level one. */
export function lineChart(title: string, xLabel: string, yLabel: string, curves: readonly Curve[]): string {
  const [width, height, left, top, right, bottom] = [640, 360, 60, 40, 20, 46]
  const points = curves.flatMap((curve) => curve.points)
  const x = axis(points.map(([value]) => value), left, width - right)
  const y = axis(points.map(([, value]) => value), height - bottom, top + 24)
  const grid = [
    ...x.ticks.map((value) => `<line x1="${x.at(value)}" x2="${x.at(value)}" y1="${top + 24}" y2="${height - bottom}" stroke="${INK}" stroke-opacity="0.2"/><text x="${x.at(value)}" y="${height - bottom + 16}" text-anchor="middle" fill="${INK}">${short(value)}</text>`),
    ...y.ticks.map((value) => `<line x1="${left}" x2="${width - right}" y1="${y.at(value)}" y2="${y.at(value)}" stroke="${INK}" stroke-opacity="0.2"/><text x="${left - 6}" y="${Number(y.at(value)) + 4}" text-anchor="end" fill="${INK}">${short(value)}</text>`),
  ]
  const drawn = curves.map(({ label, colour, points: own }, index) => {
    const path = own.map(([px, py]) => `${x.at(px)},${y.at(py)}`)
    const dots = own.map(([px, py]) => `<circle cx="${x.at(px)}" cy="${y.at(py)}" r="2.5" fill="${colour}"/>`).join('')
    const legend = `<text x="${left + index * 130}" y="${top + 10}" fill="${colour}">${escaped(label)}</text>`
    return `<polyline points="${path.join(' ')}" fill="none" stroke="${colour}" stroke-width="1.5"/>${dots}${legend}`
  })
  const words =
    `<text x="${left}" y="18" font-size="14" font-weight="bold" fill="${INK}">${escaped(title)}</text>` +
    `<text x="${(left + width - right) / 2}" y="${height - 10}" text-anchor="middle" fill="${INK}">${escaped(xLabel)}</text>` +
    `<text x="14" y="${(top + height - bottom) / 2}" text-anchor="middle" fill="${INK}" transform="rotate(-90 14 ${(top + height - bottom) / 2})">${escaped(yLabel)}</text>`
  return `<svg ${SVG} viewBox="0 0 ${width} ${height}" width="${width}" role="img" aria-label="${escaped(title)}" ${FONT}><rect width="${width}" height="${height}" fill="#fff"/>${words}${grid.join('')}${drawn.join('')}</svg>\n`
}

/** A logarithmic axis between two places, with a tick at each power of ten. */
function axis(values: readonly number[], from: number, to: number): { at(value: number): string; ticks: number[] } {
  const low = Math.floor(Math.log10(Math.min(...values)) + 1e-9)
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values)) - 1e-9))
  return {
    at: (value) => (from + ((Math.log10(value) - low) / (high - low)) * (to - from)).toFixed(1),
    ticks: Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)),
  }
}

/** 1000000 as 1M, 0.01 as it is. */
function short(value: number): string {
  if (value >= 1e6) return `${value / 1e6}M`
  if (value >= 1e3) return `${value / 1e3}k`
  return String(Number(value.toPrecision(3)))
}

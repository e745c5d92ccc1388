/** How far a run is: a bar that is drawn over and over on a terminal, a line for each finished part elsewhere. */
export class Progress {
  readonly #stream: NodeJS.WriteStream
  readonly #total: number
  readonly #began = performance.now()
  #done = 0
  #label = ''

  constructor(stream: NodeJS.WriteStream, total: number) {
    this.#stream = stream
    this.#total = total
  }

  /** A part begins. */
  begin(label: string): void {
    this.#label = label
    this.#draw()
  }

  /** One of the `total` steps is done. */
  tick(steps = 1): void {
    this.#done += steps
    this.#draw()
  }

  /** A part is done. */
  end(): void {
    if (!this.#stream.isTTY) this.#stream.write(`${String(this.#percent()).padStart(3)} % ${this.#label}\n`)
  }

  /** All is done: the bar goes. */
  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\x1b[2K')
  }

  #percent(): number {
    return Math.floor((100 * this.#done) / this.#total)
  }

  #draw(): void {
    if (!this.#stream.isTTY) return
    const width = 24
    const filled = Math.round((width * this.#done) / this.#total)
    const left = this.#done === 0 ? '' : `, ${duration(((performance.now() - this.#began) / this.#done) * (this.#total - this.#done))} left`
    const line = `[${'█'.repeat(filled)}${'·'.repeat(width - filled)}] ${this.#percent()} %${left}  ${this.#label}`
    this.#stream.write(`\r\x1b[2K${line.slice(0, (this.#stream.columns || 80) - 1)}`)
  }
}

/** Milliseconds as a reader says them. */
export function duration(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000)
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

import { Session, type Profiler } from 'node:inspector'

/** Which blocks of the protocols' code an input has run, and how often: what V8 counts itself. */

/** Files of which it counts. */
const WATCHED = /\/(?:drivers|lib)\/[a-z-]+\.ts$/

/** Counts from its making on until `stop`. */
export class Coverage {
  readonly #session = new Session()

  constructor() {
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** What has run since the last time: each block with how often, in powers of two, so that a loop that goes on longer is news. */
  taken(): string[] {
    let scripts: readonly Profiler.ScriptCoverage[] = []
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => { // calls back at once
      if (error !== null) throw error
      scripts = taken.result
    })
    return scripts.filter(({ url }) => WATCHED.test(url)).flatMap(({ url, functions }) =>
      functions.flatMap(({ ranges }) =>
        ranges.flatMap(({ startOffset, endOffset, count }) => (count === 0 ? [] : [`${url}:${startOffset}-${endOffset}:${Math.floor(Math.log2(count))}`])),
      ),
    )
  }

  stop(): void {
    this.#session.disconnect()
  }
}

import { runProgram, type Failure } from './measurement.ts'
import type { Endpoint } from './server.ts'

/** What memory a subject holds. */
export interface Memory {
  /** Bytes of heap and Buffers that are held after a burst of gets, and were not before. */
  readonly grown: number
  /** Bytes that are held by a value of 100 bytes which is kept while many others are dropped. */
  readonly kept: number
}

/** Measures it in a process of its own, after so many gets of 100 bytes. */
export function memoryOf(subject: string, gets: number, { host, port }: Endpoint, cpu: string | undefined): Promise<Memory | Failure> {
  return runProgram<Memory>('memory-worker', [subject, host, String(port), String(gets)], cpu, ['--expose-gc'])
}

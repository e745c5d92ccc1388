import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { outsideTap } from './outside-tap.ts'
import type { ServerOptions } from '../../lib/testing/index.ts'

const child = fileURLToPath(new URL('queue-process-child.ts', import.meta.url))

/** A queue server in a process of its own, whose items survive the process, as those of a real one do. */
export interface QueueProcess extends AsyncDisposable {
  readonly port: number
  /** SIGKILL; resolves once it is gone. */
  kill(): Promise<void>
  /** Starts it again, on the same port and with the items that it had. */
  restart(): Promise<void>
  /** Ends it, and forgets its items. */
  close(): Promise<void>
}

/** Starts a queue server that can be killed. */
export async function startQueueProcess(options: ServerOptions): Promise<QueueProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'ermc-queues-'))
  const journal = join(directory, 'journal')
  let server = await start({ ...options, journal })
  const { port } = server
  const kill = async (): Promise<void> => {
    const { exitCode, signalCode } = server.process
    if (exitCode !== null || signalCode !== null) return
    server.process.kill('SIGKILL')
    await once(server.process, 'exit')
  }
  const close = async (): Promise<void> => {
    await kill()
    rmSync(directory, { recursive: true, force: true })
  }
  return {
    port,
    kill,
    close,
    async restart() {
      await kill()
      server = await start({ ...options, journal, port })
    },
    [Symbol.asyncDispose]: close,
  }
}

async function start(options: ServerOptions): Promise<{ readonly process: ChildProcess; readonly port: number }> {
  const args = ['--import', 'tsx', child, JSON.stringify(options)]
  const started = spawn(...outsideTap(process.execPath, args), { stdio: ['pipe', 'pipe', 'inherit'] })
  const [said] = (await Promise.race([once(started.stdout, 'data'), once(started, 'exit')])) as [Buffer | number | null]
  if (!Buffer.isBuffer(said)) throw new Error(`the server did not start: ${said}`)
  return { process: started, port: Number(said) }
}

import { channel } from 'node:diagnostics_channel'
import { Client } from '../../lib/index.ts'
import { startServer } from '../../lib/testing/index.ts'

/** Listeners that throw, in a process of their own: says what the caller got, and what came as an uncaught exception. */

const uncaught: string[] = []
process.on('uncaughtException', (error) => uncaught.push(error.message))
for (const event of ['start', 'end', 'asyncStart', 'asyncEnd', 'error']) {
  for (const name of ['command', 'connect']) {
    channel(`tracing:ermc:${name}:${event}`).subscribe(() => {
      throw new Error(`${name}:${event}`)
    })
  }
}
const server = await startServer()
const client = new Client(server.url)
const got = [await client.set('a', 1), await client.get('a'), await client.get('').catch((error: Error) => error.name)]
await client.close()
await server.close()
setImmediate(() => console.log(JSON.stringify({ got, uncaught: [...new Set(uncaught)].sort() })))

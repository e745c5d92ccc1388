import { startServer, type ServerOptions } from '../../lib/testing/index.ts'

/** The process that queue-process.ts starts: a server with the options that are its argument. It ends with its parent. */

const server = await startServer(JSON.parse(process.argv[2] ?? '{}') as ServerOptions)
process.stdout.write(`${server.port}\n`)
process.stdin.on('end', () => process.exit()).resume()

/** The embedded server of `ermc/testing` in a process of its own: prints its port, and ends with its standard input. */
const { startServer } = (await import('ermc/testing' as string)) as typeof import('../lib/testing/index.ts')
const server = await startServer()
console.log(JSON.stringify({ port: server.port }))
process.stdin.resume().once('end', () => process.exit())

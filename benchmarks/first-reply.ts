import { openers } from './clients/openers.ts'

/**
 * From the start of a process to its first reply: `first-reply.js <subject> <host> <port>` sends milliseconds. The time it took to load
 * the library and make a client is `opened`.
 */
const [, , subject = '', host = '', port] = process.argv
const open = openers[subject]
process.once('disconnect', () => process.exit()) // the benchmark was broken off
if (open === undefined) throw new Error(`there is no ${subject}`)
const began = performance.now()
const client = await open({ host, port: Number(port), strings: true, compress: false })
const opened = performance.now() - began
await client.get('nothing')
process.send?.({ firstReply: performance.now(), opened })

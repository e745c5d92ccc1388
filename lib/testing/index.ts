/// <reference types="node" preserve="true" />

/**
 * `ermc/testing`: a memcached in this process, for tests, demos and benchmarks. It speaks the text, meta and
 * binary protocols as memcached 1.6.18 does, byte for byte, and has switches for the faults that a client must survive.
 * With `dialect` it is a queue server instead: kestrel, darner, siberite or memcacheq.
 *
 *     await using server = await startServer()
 *     await using client = new Client(server.url)
 *     server.stall()
 */

export { startServer } from './server.ts'
export type { TestServer } from './server.ts'
export type { ServerOptions } from './settings.ts'

// The contract that every driver has to keep, to be run on one's own.
export { driverContract } from './contract/driver-contract.ts'
export type { Check } from './contract/driver-contract.ts'
export type { Command } from './contract/calls.ts'
export type { ContractSubject, Feature } from './contract/subject.ts'

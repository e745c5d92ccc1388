/**
 * Prometheus metrics of all clients of this process.
 *
 *     const stop = collectMetrics(register)                  // prom-client's own registry, or another one
 */
import { channel } from 'node:diagnostics_channel'
import { Counter, Histogram, type Registry } from 'prom-client'
import type { CommandContext, ConnectContext } from '../../lib/index.ts' // in your own code: from 'ermc'

/** Seconds: memcached answers within a millisecond, or something is wrong. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5]

/** Begins to count; what it gives ends that. */
export function collectMetrics(register: Registry): () => void {
  const registers = [register]
  const took = new Histogram({ name: 'memcached_command_duration_seconds', help: 'From the call of a command to its end', labelNames: ['server', 'command'], buckets: BUCKETS, registers })
  const failed = new Counter({ name: 'memcached_command_errors_total', help: 'Commands that failed', labelNames: ['server', 'command', 'type'], registers })
  const hits = new Counter({ name: 'memcached_hits_total', help: 'Values that were found', labelNames: ['server'], registers })
  const misses = new Counter({ name: 'memcached_misses_total', help: 'Values that were not found', labelNames: ['server'], registers })
  const bytes = new Counter({ name: 'memcached_value_bytes_total', help: 'Bytes of the values stored and found', labelNames: ['server', 'command'], registers })
  const connected = new Histogram({ name: 'memcached_connect_duration_seconds', help: 'Attempts to connect', labelNames: ['server', 'outcome'], buckets: BUCKETS, registers })

  const onCommand = (message: unknown): void => {
    const { attributes, duration = 0, hits: found = 0, misses: missed = 0, valueBytes = 0 } = message as CommandContext
    const [server, command] = [serverOf(attributes), attributes['db.operation.name']]
    took.observe({ server, command }, duration)
    hits.inc({ server }, found)
    misses.inc({ server }, missed)
    bytes.inc({ server, command }, valueBytes)
    const type = attributes['error.type']
    if (type !== undefined) failed.inc({ server, command, type })
  }
  const onConnect = (message: unknown): void => {
    const { attributes, duration = 0 } = message as ConnectContext
    connected.observe({ server: serverOf(attributes), outcome: attributes['error.type'] ?? 'connected' }, duration)
  }
  channel('tracing:ermc:command:asyncEnd').subscribe(onCommand)
  channel('tracing:ermc:connect:asyncEnd').subscribe(onConnect)
  return () => {
    channel('tracing:ermc:command:asyncEnd').unsubscribe(onCommand)
    channel('tracing:ermc:connect:asyncEnd').unsubscribe(onConnect)
  }
}

function serverOf(attributes: ConnectContext['attributes']): string {
  const { 'server.address': address, 'server.port': port } = attributes
  return port === undefined ? address : `${address}:${port}`
}

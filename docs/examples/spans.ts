/**
 * OpenTelemetry spans of commands and of attempts to connect, by the conventions for database clients.
 *
 *     const stop = traceSpans(trace.getTracer('my-service'))
 *
 * For all clients of this process. A command's span is a child of the span that is active where it is called; an attempt
 * to connect is a child of the command that needs it.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel, type TracingChannelSubscribers } from 'node:diagnostics_channel'
import { context, SpanKind, SpanStatusCode, trace, type Span, type Tracer } from '@opentelemetry/api'
import type { CommandContext, ConnectContext } from '../../lib/index.ts' // in your own code: from 'ermc'

type Traced = CommandContext | ConnectContext

/** Begins to make spans; what it gives ends that. */
export function traceSpans(tracer: Tracer): () => void {
  /** The span of the command that is being called. */
  const current = new AsyncLocalStorage<Span>()
  const spans = new WeakMap<Traced, Span>()

  const begin = (traced: Traced, operation: string, parent = context.active()): Span => {
    const { attributes } = traced
    const name = `${operation} ${attributes['server.address']}${'server.port' in attributes ? `:${attributes['server.port']}` : ''}`
    const span = tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, parent)
    spans.set(traced, span)
    return span
  }
  const finish = (traced: Traced, more: { [name: string]: number | string[] | undefined }): void => {
    const span = spans.get(traced)
    if (span === undefined) return // it began before there was anybody to listen
    span.setAttributes({ ...traced.attributes, ...more })
    if (traced.error !== undefined) {
      const { message } = traced.error instanceof Error ? traced.error : { message: String(traced.error) }
      span.recordException(traced.error instanceof Error ? traced.error : message)
      span.setStatus({ code: SpanStatusCode.ERROR, message })
    }
    span.end()
  }

  const commands = tracingChannel<unknown, CommandContext>('ermc:command')
  const connects = tracingChannel<unknown, ConnectContext>('ermc:connect')
  const ofCommands = listeners<CommandContext>((traced) => {
    const { keys, hits, misses, valueBytes } = traced
    finish(traced, { 'ermc.keys': keys, 'ermc.hits': hits, 'ermc.misses': misses, 'ermc.value_bytes': valueBytes })
  })
  const ofConnects = listeners<ConnectContext>((traced) => finish(traced, {}))

  // Bound, not subscribed: what the command does, and nothing else, then finds its span in the storage.
  commands.start.bindStore(current, (traced) => begin(traced, traced.attributes['db.operation.name']))
  connects.start.bindStore(current, (traced) => {
    const command = current.getStore()
    return begin(traced, 'connect', command && trace.setSpan(context.active(), command))
  })
  commands.subscribe(ofCommands)
  connects.subscribe(ofConnects)
  return () => {
    commands.start.unbindStore(current)
    connects.start.unbindStore(current)
    commands.unsubscribe(ofCommands)
    connects.unsubscribe(ofConnects)
  }
}

function listeners<C extends object>(asyncEnd: (traced: C) => void): TracingChannelSubscribers<C> {
  const nothing = (): void => {}
  return { start: nothing, end: nothing, asyncStart: nothing, asyncEnd, error: nothing }
}

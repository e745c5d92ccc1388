/** ermc: a memcached client. This file is the door: what it exports is the public API, beside `ermc/testing`. */

export { Client, type ClientEvents } from './client.ts'
export type { CasOptions, CountOptions, StoreOptions } from './call-options.ts'
export { commandName } from './commands.ts'
export type { CallOptions, Commands, Execute, Item, Key, MetaItem, Op, Reply, Request, StoreMode, StoreStatus } from './commands.ts'
export type { Compressor } from './compression.ts'
export type { Credentials } from './credentials.ts'
export { more, withValue, type Authentication, type Backend, type Bytes, type Driver, type DriverFactory, type Endpoint, type Exchange, type Fold, type Protocol, type Transports } from './driver.ts'
export {
  MemcacheAuthError,
  MemcacheClientError,
  MemcacheClosedError,
  MemcacheDriverError,
  MemcacheError,
  MemcacheKeyError,
  MemcacheOverloadError,
  MemcacheProtocolError,
  MemcacheReservationLostError,
  MemcacheServerError,
  MemcacheSocketError,
  MemcacheTimeoutError,
  MemcacheUnsupportedError,
  MemcacheValueError,
  type FaultContext,
} from './errors.ts'
export type { Ttl } from './expiry.ts'
export { flags } from './flags.ts'
export type { KeyLike } from './key.ts'
export { intercept, type Handler, type Middleware } from './middleware.ts'
export type { ClientOptions } from './options.ts'
export type { Versioned } from './results.ts'
export type { Encoded, Format, Serializer } from './serialization.ts'
export type { CommandContext, ConnectContext, TraceAttributes } from './tracing.ts'
export type { ByteReader } from './byte-reader.ts'
export { consumeAll } from './queue/consume-all.ts'
export type { Consumer, ConsumeOptions, QueueCounters } from './queue/consumer.ts'
export type { Job } from './queue/job.ts'
export type { QueueCodec } from './queue/codec.ts'
export type { Queue } from './queue/queue.ts'
export type { ProcessOptions, QueueGetOptions, QueueOptions, QueuePutOptions } from './queue/options.ts'
export type { Handler as JobHandler, OnError, QueueWorker, WorkCounters } from './queue/worker.ts'
export { wire } from './wire.ts'
export { wrap } from './wrap.ts'

export { binary } from '../drivers/binary.ts'
export { meta } from '../drivers/meta.ts'
export { noop } from '../drivers/noop.ts'
export { text } from '../drivers/text.ts'
export { compat } from '../serializers/compat.ts'
export { deflate } from '../serializers/deflate.ts'
export { json, jsonWith, type JsonOptions, type JsonReplacer, type JsonReviver } from '../serializers/json.ts'
export { lz4 } from '../serializers/lz4.ts'
export { pickle, pickleWith, type PickleOptions } from '../serializers/pickle.ts'
export { PythonDate, PythonDateTime, PythonTime, PythonTimeDelta, type ClockDetails } from '../serializers/pickle-times.ts'
export { raw } from '../serializers/raw.ts'
export { v8 } from '../serializers/v8.ts'
export { zstd } from '../serializers/zstd.ts'

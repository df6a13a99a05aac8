import type { QueueLayout } from '@virtio-platform/core/queue';
import type { TraceDetail } from '@virtio-platform/trace';
import type { DescriptorCount } from './ring-shape.ts';

/** One end of a ring, whose other end a loop plays that checks nothing. */
export interface RingEndTask {
  readonly kind: 'end';
  readonly layout: QueueLayout;
  readonly end: 'driver' | 'device';
  readonly descriptors: DescriptorCount;
  /** Requests that are published at once. */
  readonly batch: number;
  /** What records the end: nothing unless given. */
  readonly recorder?: TraceDetail;
}

/** Both ends in one thread, under a platform's mapping, with requests of three segments. */
export interface RingLoopTask {
  readonly kind: 'loop';
  /** A name in `MEASURED_PLATFORMS`. */
  readonly platform: string;
  readonly layout: QueueLayout;
  /** Whether the buffers lie in a region mapped once, or are mapped and unmapped with each request. */
  readonly premapped: boolean;
  /** Whether each request is one descriptor that refers to a table, or three of the ring's own. */
  readonly indirect: boolean;
  /** Requests that are published at once. */
  readonly batch: number;
  /** Entries of the queue: 256 unless given. */
  readonly size?: number;
  /** Bytes of guest memory, at the end of which the buffers lie: 8 MiB unless given. */
  readonly memoryBytes?: number;
  /** Queues that are served in turn: one unless given. */
  readonly queues?: number;
}

/** Mapping and unmapping a page, while many others are mapped, one of which it takes the place of, at random. */
export interface LiveMappingsTask {
  readonly kind: 'live';
  readonly platform: string;
  readonly live: number;
}

/** Mapping and unmapping a buffer that is copied through a pool of memory that the device reaches. */
export interface BounceTask {
  readonly kind: 'bounce';
  readonly platform: string;
  readonly bytes: number;
  /** Where the data go. */
  readonly to: 'device' | 'driver';
}

/** A copy of memory and nothing else. */
export interface RawCopyTask {
  readonly kind: 'copy';
  readonly bytes: number;
}

/** What one process measures; plain data. */
export type RoundsTask = RingEndTask | RingLoopTask | LiveMappingsTask | BounceTask | RawCopyTask;

/** One request at a time, each of them timed, for so many seconds: both ends in one thread. */
export interface LatencyTask extends Omit<RingLoopTask, 'kind' | 'batch'> {
  readonly kind: 'latency';
}

/** A ring whose ends are polled by two threads. */
export interface TwoThreadsTask {
  readonly kind: 'threads';
  readonly layout: QueueLayout;
  readonly descriptors: DescriptorCount;
}

/** The driver of a disk that a back-end serves. */
export interface FrontEndTask {
  readonly kind: 'front-end';
  /** The path at which the back-end listens. */
  readonly socket: string;
  /** Requests in flight. */
  readonly depth: number;
}

/** Everything that a process of ours measures. */
export type MeasureTask = RoundsTask | LatencyTask | TwoThreadsTask | FrontEndTask;

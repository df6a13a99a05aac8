import type { QueueLayout } from '@virtio-platform/core/queue';
import { FlightRecorder, type TraceDetail } from '@virtio-platform/trace';
import { DeviceEnd } from './ends/device-end.ts';
import { DriverEnd } from './ends/driver-end.ts';
import { DESCRIPTOR_COUNTS, LAYOUTS, type DescriptorCount } from './ring-shape.ts';

/** Which end of which ring is measured, and with which requests. */
export interface RingEndOptions {
  readonly layout: QueueLayout;
  readonly end: 'driver' | 'device';
  readonly descriptors: DescriptorCount;
  /** What records it: `none` unless given. */
  readonly recorder?: RingRecorder;
}

/** What records an end that is measured. */
export type RingRecorder = 'none' | TraceDetail;
/** All of them, beginning with the one that the others are compared with. */
export const RING_RECORDERS: readonly RingRecorder[] = ['none', 'flight', 'full'];

/** Each end of each ring with a request of three descriptors, as it is recorded. */
export const RECORDED_ENDS: readonly RingEndOptions[] = LAYOUTS.flatMap((layout) =>
  (['driver', 'device'] as const).flatMap((end) =>
    RING_RECORDERS.map((recorder): RingEndOptions => ({ layout, end, descriptors: 3, recorder })),
  ),
);

/** Every case there is. */
export const RING_ENDS: readonly RingEndOptions[] = LAYOUTS.flatMap((layout) =>
  (['driver', 'device'] as const).flatMap((end) =>
    DESCRIPTOR_COUNTS.map((descriptors) => ({ layout, end, descriptors })),
  ),
);

/** Plays the end that is not measured, in a tight loop that checks nothing. */
export interface RingPeer {
  /** Does its part for {@link DEPTH} requests. */
  turn(): void;
}

/** One end of a ring in its steady state, and the loop that plays the other one. */
export interface RingEnd {
  readonly peer: RingPeer;
  /** Both parts of {@link DEPTH} requests. Throws when one went missing. */
  round(): void;
}

/** Opens the driver's or the device's end of a ring of its own, for a process that measures that end. */
export function openRingEnd({ layout, end, descriptors, recorder = 'none' }: RingEndOptions): RingEnd {
  const recording = recorder === 'none' ? undefined : new FlightRecorder(undefined, { detail: recorder });
  return end === 'driver'
    ? new DriverEnd(layout, descriptors, recording)
    : new DeviceEnd(layout, descriptors, recording);
}

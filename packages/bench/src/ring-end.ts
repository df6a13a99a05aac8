import type { QueueLayout } from '@virtio-platform/core/queue';
import { DeviceEnd } from './ends/device-end.ts';
import { DriverEnd } from './ends/driver-end.ts';
import { DESCRIPTOR_COUNTS, LAYOUTS, type DescriptorCount } from './ring-shape.ts';

/** Which end of which ring is measured, and with which requests. */
export interface RingEndOptions {
  readonly layout: QueueLayout;
  readonly end: 'driver' | 'device';
  readonly descriptors: DescriptorCount;
}

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
export function openRingEnd({ layout, end, descriptors }: RingEndOptions): RingEnd {
  return end === 'driver' ? new DriverEnd(layout, descriptors) : new DeviceEnd(layout, descriptors);
}

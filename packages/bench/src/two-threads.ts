import type { QueueAddresses, QueueLayout } from '@virtio-platform/core/queue';
import type { RoundsMeasurement } from './measure-rounds.ts';
import { DESCRIPTOR_COUNTS, LAYOUTS, type DescriptorCount } from './ring-shape.ts';

/** A ring whose ends are polled by two threads. */
export interface TwoThreadsOptions {
  readonly layout: QueueLayout;
  readonly descriptors: DescriptorCount;
}

/** Every case there is. */
export const TWO_THREADS: readonly TwoThreadsOptions[] = LAYOUTS.flatMap((layout) =>
  DESCRIPTOR_COUNTS.map((descriptors) => ({ layout, descriptors })),
);

/** What was measured in the driver's thread; bytes and collections are those of both. */
export interface TwoThreadsMeasurement extends TwoThreadsOptions, RoundsMeasurement {}

/** What both threads are started with. */
export interface ThreadData extends TwoThreadsOptions {
  readonly memory: SharedArrayBuffer;
  /** One word: not 0 tells the device's thread to end. */
  readonly stop: Int32Array;
  readonly requests: number;
  readonly samples: number;
}

/** What the device's thread is started with besides: the driver's has made the ring. */
export interface DeviceThreadData extends ThreadData {
  readonly addresses: QueueAddresses;
}

/** What the driver's thread says: first where the ring is, in the end what it measured. */
export type DriverThreadMessage = { readonly addresses: QueueAddresses } | { readonly measured: RoundsMeasurement };

/** What the device's thread says in the end: bytes of heap for each request, and collections. */
export type DeviceThreadMessage = Pick<RoundsMeasurement, 'bytesPerRequest' | 'collections'>;

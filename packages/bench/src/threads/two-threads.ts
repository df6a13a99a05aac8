import type { QueueAddresses } from '@virtio-platform/core/queue';
import type { TwoThreadsTask } from '../measured/measure-task.ts';
import type { RoundsMeasurement } from '../measured/measure-rounds.ts';

/** What both threads are started with. */
export interface ThreadData extends TwoThreadsTask {
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

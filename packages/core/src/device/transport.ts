import type { DmaRegion } from '../dma/dma-region.ts';
import type { FeatureSet } from '../features/feature-set.ts';
import type { DeviceInterface } from '../features/transport-features.ts';
import type { QueueAddresses } from '../queue/ring/ring-format.ts';

/** What ended a wait: the device notified, time ran out, or the device is gone for good. */
export type WaitResult = 'notified' | 'timeout' | 'lost';

/**
 * Interrupts that a device sends as DMA writes, where nothing in the machine receives them: the driver gives them
 * memory, which its platform maps like any other.
 */
export interface InterruptMessages {
  /** Bytes that the region has to have. */
  readonly bytes: number;
  /** Called before the queues are enabled. The region is the device's until the next reset. */
  receiveIn(region: DmaRegion): void;
}

/**
 * How a driver reaches a device's registers: in this process, over vhost-user, over PCI. Synchronous; every wait is
 * bounded. A transport whose device is gone throws {@link DeviceError} `ERR_DEVICE_LOST` from every method but `wait`
 * and `dispose`.
 */
export interface Transport {
  readonly interface: DeviceInterface;
  /** The number of the device type: 2 for a block device (specification 1.4 section 5). */
  readonly deviceId: number;
  /** Feature bits this transport can carry. Bits above 31 do not exist on the legacy interface. */
  readonly carries: FeatureSet;
  /** Queues that the device has; a device may have more once features were accepted. */
  readonly queueCount: number;
  /**
   * `VirtqueueOptions.unmarkedLengths` for the queues of this device. Default: false.
   */
  readonly unmarkedLengths?: boolean | undefined;
  /**
   * `VirtqueueOptions.wholeUsedElements` for the queues of this device. Default: false.
   */
  readonly wholeUsedElements?: boolean | undefined;
  /** `undefined` where interrupts need no memory of the driver's. */
  readonly interruptMessages?: InterruptMessages | undefined;

  readDeviceFeatures(): FeatureSet;
  writeDriverFeatures(features: FeatureSet): void;

  readStatus(): number;
  /** Writes the status; 0 resets the device. */
  writeStatus(status: number): void;

  /**
   * Entries: the most the device supports, or on the legacy interface the only possible size. 0 when there is no such
   * queue.
   */
  maxQueueSize(queue: number): number;
  enableQueue(queue: number, addresses: QueueAddresses): void;

  /** Starts the reset of one queue. Only with RING_RESET: throws `TypeError` where that was not negotiated. */
  resetQueue(queue: number): void;
  /**
   * Whether a queue is neither enabled nor still being reset (queue_enable and queue_reset both read 0, section
   * 4.1.4.3).
   */
  isQueueReset(queue: number): boolean;

  /**
   * Sends an available buffer notification. `next` is `Virtqueue.nextAvailable`, which the device is told where
   * NOTIFICATION_DATA was negotiated. Hot.
   */
  notify(queue: number, next: number): void;

  /** Waits for a used buffer or configuration change notification; returns at once where one is pending. */
  wait(timeoutMs: number): WaitResult;
  /**
   * Has `listener` called from the event loop whenever {@link wait} may return at once with something else than
   * `timeout`, so that a driver waits without blocking its thread: it takes what came with `wait(0)`. A notification
   * that comes before the listener looked again may share a call with it, and a call may find nothing. Called at most
   * once, before the first queue is enabled; `dispose` ends it. It uses no processor time between notifications and
   * does not keep the process alive. The listener is never called inside of a method of the transport. A transport
   * that cannot tell has no such method: its driver looks from time to time.
   */
  readonly watch?: ((listener: () => void) => void) | undefined;

  /**
   * How many used buffer notifications of a queue {@link wait} took since the queue was enabled; notifications of a
   * changed configuration are none of them. A transport whose interrupts do not say which queue they are for has no
   * such method.
   */
  readonly usedNotifications?: ((queue: number) => number) | undefined;

  /**
   * Whether a configuration change notification came since the last call. Only what {@link wait} took counts, so a
   * driver asks after a wait that ended with `notified`. A reset of the device forgets it. A transport without it never
   * says so.
   */
  takeConfigChange?(): boolean;

  /** Changes whenever the configuration changed. Constant 0 on the legacy interface. */
  configGeneration(): number;
  /** Reads device configuration from byte `offset` on. */
  readConfig(offset: number, target: Uint8Array): void;
  writeConfig(offset: number, source: Uint8Array): void;

  dispose(): void;
}

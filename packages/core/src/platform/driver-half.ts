import type { Transport } from '../device/transport.ts';
import type { DmaMapping } from '../dma/dma-mapping.ts';
import type { FeatureSet } from '../features/feature-set.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Virtqueue } from '../queue/driver/virtqueue.ts';
import type { ByteOrder } from '../queue/ring/ring-format.ts';

/**
 * How a driver maps its buffers for the device: `premapped` maps them once for all requests, `streaming` maps each
 * request and unmaps it when it is done, `coherent` allocates them in memory that both sides see, without a copy.
 */
export const BUFFER_MAPPINGS = ['premapped', 'streaming', 'coherent'] as const;
/** How the memory of buffers is mapped; see {@link BUFFER_MAPPINGS}. */
export type BufferMapping = (typeof BUFFER_MAPPINGS)[number];

/** A queue for a driver half, with the mapping that is its own. */
export interface DriverQueue {
  readonly queue: Virtqueue;
  readonly mapping: DmaMapping;
}

/** A negotiated device, before its queues are set up. */
export interface NegotiatedDevice {
  readonly transport: Transport;
  readonly accepted: FeatureSet;
  /** Of configuration and headers: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
}

/** What a driver half is made from: a negotiated device whose queues are set up and not yet started. */
export interface DriverContext extends NegotiatedDevice {
  readonly memory: GuestMemory;
  /** Those of {@link DeviceTypePlugin.driver}'s `queues`, in that order. */
  readonly queues: readonly DriverQueue[];
  /** How the driver half maps its buffers. */
  readonly buffers: BufferMapping;
  /** Requests in flight at once, at least 1. Of the whole device: queues share them. */
  readonly depth: number;
  /** Bytes of the longest request. */
  readonly bytes: number;
  /** Sends an available buffer notification. Hot. */
  readonly notify: (queue: Virtqueue) => void;
}

/** The driver half of a device type, at work on one device. Its other methods are for the workloads of the type. */
export interface DriverHalf {
  /**
   * The device notified of a changed configuration: the driver half reads again what it depends on, and returns what
   * changed in a few words (`capacity 16 MiB to 32 MiB`), or `undefined` where nothing did that it knows of. Throws
   * {@link DeviceError} for values that cannot be. A driver half without it ignores changes.
   */
  configChanged?(): string | undefined;
  /**
   * What the buffer with this id asks the device for while the device has it (`write of sector 312`), to explain a
   * failure; `undefined` where the driver half does not know. Cold.
   */
  describeBuffer?(queue: number, id: number): string | undefined;
  /** Gives back all buffers. Only after the device confirmed a reset and the queues were reset. */
  dispose(): void;
}

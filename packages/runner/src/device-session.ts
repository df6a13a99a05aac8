import {
  DirectDmaMapping,
  failDevice,
  FeatureSet,
  initializeDevice,
  isCodedError,
  resetDevice,
  SplitVirtqueue,
  startDevice,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_ANY_LAYOUT,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  type ByteOrder,
  type DmaMapping,
  type DmaStatistics,
  type NegotiationResult,
  type Virtqueue,
} from '@virtio-platform/core';
import { BLOCK_DRIVER_FEATURES, BlockDriver, readBlockConfig } from '@virtio-platform/devices';
import type { ComposedRun } from '@virtio-platform/profile';

/** What the ring and the path implement on the driver's side. */
const RING_DRIVER_FEATURES = FeatureSet.of(
  VIRTIO_F_ANY_LAYOUT,
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_F_VERSION_1,
  VIRTIO_F_ACCESS_PLATFORM,
);

/** Everything this driver understands of a block device. */
export const DRIVER_FEATURES: FeatureSet = new FeatureSet(RING_DRIVER_FEATURES.bits | BLOCK_DRIVER_FEATURES.bits);

/** Entries of each indirect table: a request with more segments goes into the ring itself. */
const INDIRECT_ENTRIES = 16;

const NO_DMA: DmaStatistics = { maps: 0, unmaps: 0, bytesBounced: 0, live: 0 };

/**
 * A driver at work on a device: negotiated, with one queue over the mapping that negotiation chose. Ends in the one safe order:
 * reset the device, and only when it confirmed, take the memory back.
 */
export class DeviceSession {
  readonly negotiation: NegotiationResult;
  readonly #run: ComposedRun;
  #mapping: DmaMapping | undefined;
  #queue: Virtqueue | undefined;
  #driver: BlockDriver | undefined;
  #capacity = 0;

  /** Negotiates. After a refusal there is nothing to start. */
  constructor(run: ComposedRun) {
    const { platform, machine, profile } = run;
    this.#run = run;
    this.negotiation = initializeDevice(machine.transport, {
      supported: DRIVER_FEATURES,
      traits: platform.traits,
      rules: platform.rules,
      privilege: profile.driver.privilege,
    });
  }

  get queue(): Virtqueue {
    return this.#queue!;
  }

  /** Bytes of the device, once started. */
  get capacity(): number {
    return this.#capacity;
  }

  get dma(): DmaStatistics {
    return this.#mapping?.statistics ?? NO_DMA;
  }

  /** Sets up the queue and the driver's buffers, and lets the device go. Throws a coded error; `end` is still to be called. */
  start(): BlockDriver {
    const { machine, profile } = this.#run;
    const { transport, memory } = machine;
    const { accepted } = this.negotiation;
    try {
      const isLegacy = transport.interface === 'legacy';
      const byteOrder: ByteOrder = isLegacy ? this.#run.platform.guestByteOrder : 'little';
      const most = transport.maxQueueSize(0);
      const size = isLegacy ? most : Math.min(profile.queue.size, most);
      const indirect = accepted.has(VIRTIO_RING_F_INDIRECT_DESC) ? INDIRECT_ENTRIES : 0;
      const mapping = (this.#mapping = this.#openMapping(size * Math.max(1, indirect)));
      const queue = (this.#queue = new SplitVirtqueue(memory, mapping, {
        index: 0,
        size,
        indirect,
        eventIdx: accepted.has(VIRTIO_RING_F_EVENT_IDX),
        legacyLayout: isLegacy,
        byteOrder,
        usedLength: accepted.has(VIRTIO_F_VERSION_1) ? 'strict' : 'ignore',
      }));
      const config = readBlockConfig(transport, accepted, byteOrder);
      this.#capacity = config.capacity;
      const { depth, blockSize } = profile.workload;
      this.#driver = new BlockDriver(memory, queue, mapping, config, {
        depth: Math.min(depth, size),
        maxBytes: blockSize,
        buffers: profile.driver.buffers,
        byteOrder,
      });
      transport.enableQueue(0, queue.addresses);
      startDevice(transport);
      return this.#driver;
    } catch (error) {
      failDevice(transport);
      throw error;
    }
  }

  /** Resets the device and gives everything back. A device that is gone cannot confirm; its machine ends it instead. */
  end(): void {
    try {
      resetDevice(this.#run.machine.transport);
    } catch (error) {
      if (!isCodedError(error) || error.code !== 'ERR_DEVICE_LOST') throw error;
    }
    this.#queue?.reset();
    this.#driver?.dispose();
    this.#queue?.dispose();
    this.#driver = undefined;
    this.#queue = undefined;
  }

  /** After {@link end}, and after its statistics were read. */
  dispose(): void {
    this.#mapping?.dispose();
  }

  #openMapping(capacity: number): DmaMapping {
    const path = this.negotiation.path!;
    if (path === 'physical') return new DirectDmaMapping(this.#run.machine.memory, { path, capacity });
    return this.#run.platform.openMapping(path, { queue: 0, capacity });
  }
}

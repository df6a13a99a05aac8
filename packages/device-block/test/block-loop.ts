import { type DeviceQueues } from '@virtio-platform/core';
import {
  BlockDevice,
  BlockDriver,
  isRanges,
  type BlockBacking,
  type BlockConfig,
  type BlockDeviceOptions,
} from '@virtio-platform/device-block';
import { ringOptions } from '@virtio-platform/conformance/testing';
import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DirectDmaMapping, ForwardingDmaMapping, type DmaLimits, type DmaMapping } from '@virtio-platform/core/dma';
import { FailingDmaMapping, FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';
import { VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { GuestMemory } from '@virtio-platform/core/memory';
import { DescriptorChain, SplitDeviceQueue, SplitVirtqueue, type ByteOrder } from '@virtio-platform/core/queue';

/** The device keeps no buffers, and its disk does not fail. */
const NO_QUEUES: DeviceQueues = {
  push: () => {},
  report: (_queue, error) => {
    throw error;
  },
};

class LimitedMapping extends ForwardingDmaMapping {
  override readonly limits: DmaLimits;

  constructor(inner: DmaMapping, maxMappingSize: number) {
    super(inner);
    this.limits = { ...inner.limits, maxMappingSize };
  }
}

export interface BlockLoopOptions {
  readonly byteOrder?: ByteOrder;
  readonly buffers?: 'premapped' | 'streaming';
  readonly readOnly?: boolean;
  readonly depth?: number;
  readonly maxBytes?: number;
  readonly sizeMax?: number;
  readonly segMax?: number;
  readonly blockSize?: number;
  /** Longest mapping. */
  readonly maxMappingSize?: number;
  readonly queueSize?: number;
  /** What else the device said. */
  readonly config?: Partial<BlockConfig>;
  /** What else the settings of the device are. */
  readonly device?: Partial<BlockDeviceOptions>;
  /** How often the mapping fails, of so many calls. */
  readonly failures?: FailureSchedule;
}

/** Both halves of a block device over one real ring, without a transport: the device runs when the test says so. */
export class BlockLoop {
  readonly memory: GuestMemory = new GuestMemory(new SharedArrayBuffer(4 * 1024 * 1024));
  readonly faults: FaultLog = new FaultLog();
  readonly mapping: DmaMapping;
  readonly queue: SplitVirtqueue;
  readonly driver: BlockDriver;
  readonly device: BlockDevice;
  readonly #deviceQueue: SplitDeviceQueue;
  readonly #chain: DescriptorChain;
  readonly #littleEndian: boolean;
  /** Of each request that the device got: bytes of data, and its longest segment. */
  readonly seen: { readonly bytes: number; readonly segments: number; readonly longest: number }[] = [];
  /** Of each discard, write zeroes and secure erase that the device got: its ranges, as `sector+sectors`. */
  readonly ranges: string[][] = [];
  /** How often the driver notified by itself. */
  notified = 0;

  constructor(backing: BlockBacking, options: BlockLoopOptions = {}) {
    const byteOrder = options.byteOrder ?? 'little';
    this.#littleEndian = byteOrder === 'little';
    const direct = new DirectDmaMapping(this.memory, { path: 'physical', capacity: 1024 });
    const limited = new LimitedMapping(direct, options.maxMappingSize ?? direct.limits.maxMappingSize);
    const [region, wrongAddress] = [new FailurePlan(), new FailurePlan()];
    this.mapping = new FailingDmaMapping(limited, { map: new FailurePlan(options.failures), region, wrongAddress });
    const size = options.queueSize ?? 64;
    this.queue = new SplitVirtqueue(
      this.memory,
      this.mapping,
      ringOptions({ size, eventIdx: true, indirect: 8, byteOrder }),
    );
    const config: BlockConfig = {
      capacity: backing.capacity,
      readOnly: options.readOnly ?? false,
      blockSize: options.blockSize ?? 512,
      sizeMax: options.sizeMax ?? 0xffff_ffff,
      segMax: options.segMax ?? 62,
      queues: 1,
      canFlush: true,
      isWriteBack: true,
      canSetWriteBack: false,
      mayUnmap: false,
      hasLifetime: false,
      ...options.config,
    };
    this.driver = new BlockDriver(this.memory, this.queue, this.mapping, config, {
      depth: options.depth ?? 4,
      maxBytes: options.maxBytes ?? 4096,
      buffers: options.buffers ?? 'premapped',
      byteOrder,
      notify: () => this.notified++,
    });
    this.device = new BlockDevice(backing, {
      readOnly: options.readOnly ?? false,
      serial: 'serial-1',
      queues: 1,
      queueSize: 64,
      byteOrder,
      blockSize: options.blockSize,
      ...options.device,
    });
    this.device.start(this.device.features.with(VIRTIO_F_VERSION_1));
    this.#deviceQueue = new SplitDeviceQueue(PHYSICAL_ADDRESS_SPACE.open(this.memory, this.faults, undefined), {
      addresses: this.queue.addresses,
      eventIdx: true,
      indirect: true,
      byteOrder,
    });
    this.#chain = new DescriptorChain(this.#deviceQueue.longestChain);
  }

  /** Publishes, lets the device handle everything, and returns how many requests came back. */
  run(): number {
    this.driver.publish();
    const space = PHYSICAL_ADDRESS_SPACE.open(this.memory, this.faults, undefined);
    while (this.#deviceQueue.pop(this.#chain)) {
      const { count, readableBytes, writableBytes, length } = this.#chain;
      const longest = Math.max(...length.subarray(1, Math.max(2, count - 1)));
      this.seen.push({ bytes: readableBytes + writableBytes - 17, segments: count - 2, longest });
      this.#noteRanges();
      this.#deviceQueue.push(this.#chain.head, this.device.process(0, this.#chain, space, NO_QUEUES));
    }
    this.#deviceQueue.flush();
    this.#deviceQueue.enableNotifications();
    return this.driver.poll();
  }

  #noteRanges(): void {
    const { low, length, readable } = this.#chain;
    const bytes: number[] = [];
    for (let i = 0; i < readable; i++) bytes.push(...this.memory.u8.subarray(low[i], low[i]! + length[i]!));
    const view = new DataView(Uint8Array.from(bytes).buffer);
    const littleEndian = this.#littleEndian;
    if (!isRanges(view.getUint32(0, littleEndian))) return;
    const found: string[] = [];
    for (let at = 16; at < bytes.length; at += 16)
      found.push(`${view.getBigUint64(at, littleEndian)}+${view.getUint32(at + 8, littleEndian)}`);
    this.ranges.push(found);
  }

  /** Runs one request and returns its status. */
  request(type: number, sector: number, length: number, data?: Uint8Array): number {
    const slot = this.driver.take();
    if (data !== undefined) this.memory.u8.set(data, this.driver.dataAddress(slot));
    if (this.driver.submit(slot, type, sector, length) !== 0) throw new Error('the request was not added');
    let came = this.run();
    for (let i = 0; i < 10_000 && came === 0; i++) came = this.run();
    if (came !== 1) throw new Error('the request did not come back');
    this.driver.give(slot);
    return this.driver.completedStatus[0]!;
  }

  /** The data of the slot that the next request takes. */
  data(length: number): Uint8Array {
    const slot = this.driver.take();
    this.driver.give(slot);
    const address = this.driver.dataAddress(slot);
    return this.memory.u8.slice(address, address + length);
  }

  dispose(): void {
    this.queue.reset();
    this.driver.dispose();
    this.queue.dispose();
    this.mapping.dispose();
    this.device.dispose();
  }
}

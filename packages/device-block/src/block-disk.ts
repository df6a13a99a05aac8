import { nameOfRequest } from './request-name.ts';
import { DeviceError, type DriverContext, type DriverHalf } from '@virtio-platform/core';
import { formatByteSize } from '@virtio-platform/core/memory';
import { BLOCK_CONFIG, readBlockConfig, type BlockConfig } from './block-config.ts';
import { BlockDriver } from './block-driver.ts';

/** The driver half of a whole disk: a {@link BlockDriver} for each queue, up to the depth. All queues are one disk. */
export class BlockDisk implements DriverHalf {
  /** Those of the first queues, in the order of `DriverContext.queues`. */
  readonly drivers: readonly BlockDriver[];
  readonly #context: DriverContext;
  #config: BlockConfig;

  /** Throws as {@link readBlockConfig} and {@link BlockDriver} do; then nothing stays allocated. */
  constructor(context: DriverContext) {
    this.#context = context;
    this.#config = readBlockConfig(context);
    const drivers: BlockDriver[] = [];
    try {
      // With more queues than requests at once, the last queues have nothing to do.
      const count = Math.min(context.queues.length, context.depth);
      while (drivers.length < count) drivers.push(openDriver(context, this.#config, drivers.length, count));
    } catch (error) {
      for (const driver of drivers) driver.dispose();
      throw error;
    }
    this.drivers = drivers;
  }

  /** Bytes. */
  get capacity(): number {
    return this.#config.capacity;
  }

  /** What the device said last. */
  get config(): BlockConfig {
    return this.#config;
  }

  /**
   * Switches the cache of the device to write-back or write-through, and reads what it has then, which
   * `config.isWriteBack` says. Throws {@link DeviceError} `ERR_FEATURE_REQUIRED` without CONFIG_WCE.
   */
  setWriteBack(isWriteBack: boolean): void {
    if (!this.#config.canSetWriteBack) {
      const problem = 'the cache mode needs BLK_CONFIG_WCE, which was not negotiated (virtio 1.4 §5.2.5)';
      throw new DeviceError('ERR_FEATURE_REQUIRED', problem, { hint: 'use a device that offers it' });
    }
    this.#context.transport.writeConfig(BLOCK_CONFIG.writeback.offset, Uint8Array.of(isWriteBack ? 1 : 0));
    const { isWriteBack: isNow } = readBlockConfig(this.#context);
    // A new capacity is for `configChanged` to notice.
    this.#config = { ...this.#config, isWriteBack: isNow };
  }

  /** Throws {@link DeviceError} `ERR_DEVICE_READ_ONLY` for a disk that fails writes. */
  checkWritable(): void {
    if (!this.#config.readOnly) return;
    const problem = 'the device is read-only (BLK_RO, virtio 1.4 §5.2.5), and the workload writes';
    throw new DeviceError('ERR_DEVICE_READ_ONLY', problem, { hint: 'make the disk writable' });
  }

  configChanged(): string | undefined {
    const before = this.#config;
    this.#config = readBlockConfig(this.#context);
    const { capacity } = this.#config;
    if (capacity === before.capacity) return undefined;
    return `capacity ${formatByteSize(before.capacity)} to ${formatByteSize(capacity)}`;
  }

  describeBuffer(queue: number, id: number): string | undefined {
    const request = this.drivers.find((driver) => driver.queue.index === queue)?.requestOf(id);
    return request && nameOfRequest(request.type, request.sector);
  }

  dispose(): void {
    for (const driver of this.drivers) driver.dispose();
  }
}

/** The driver of one queue, with its share of the requests that are in flight at once. */
function openDriver(context: DriverContext, config: BlockConfig, lane: number, count: number): BlockDriver {
  const { memory, byteOrder, notify, depth, bytes, buffers } = context;
  const { queue, mapping } = context.queues[lane]!;
  const share = Math.floor(depth / count) + (lane < depth % count ? 1 : 0);
  return new BlockDriver(memory, queue, mapping, config, {
    depth: Math.min(share, queue.size),
    maxBytes: bytes,
    buffers,
    byteOrder,
    notify,
  });
}

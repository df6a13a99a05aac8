import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DeviceEvents, DeviceModel, DeviceQueues } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { isBackingError, writeChain, type BlockBacking, type ConfigSpace } from '@virtio-platform/device-kit';
import { BLOCK_CONFIG } from './block-config.ts';
import { BlockExecutor } from './block-executor.ts';
import { VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH } from './block-features.ts';
import type { BlockDeviceOptions, BlockResize } from './block-options.ts';
import { BlockProperties } from './block-properties.ts';
import { BLOCK_HEADER_SIZE, BLOCK_ID_SIZE, BLOCK_LIFETIME_SIZE, SECTOR_SIZE, VIRTIO_BLK_S_IOERR } from './layout.ts';

/**
 * The device half of a block device (specification 1.4 section 5.2), with all its requests but those of zones. All
 * its queues are one disk. Accepts any framing of a request, but from a legacy driver without ANY_LAYOUT only header
 * and status in descriptors of their own (section 2.7.4.3).
 *
 * A write of which part cannot be read from memory fails with IOERR, and the disk stays as it was. A request that the
 * backing fails also fails with IOERR and is reported; of such a write the disk may have any part.
 */
export class BlockDevice implements DeviceModel {
  readonly features: FeatureSet;
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array;
  readonly #config: ConfigSpace;
  readonly #backing: BlockBacking;
  readonly #executor: BlockExecutor;
  #needsFraming = false;
  readonly #status: Uint8Array = new Uint8Array(1);
  readonly #resizes: readonly BlockResize[];
  #resized = 0;
  #handled = 0;
  #events: DeviceEvents | undefined;

  /** Owns `backing`. */
  constructor(backing: BlockBacking, options: BlockDeviceOptions) {
    this.#backing = backing;
    const { features, config, ranges } = new BlockProperties(backing.capacity, options);
    this.features = features;
    this.queueSizes = Array.from({ length: options.queues }, () => options.queueSize);
    this.#config = config;
    this.config = config.bytes;
    this.#executor = new BlockExecutor(backing, {
      readOnly: options.readOnly,
      blockSize: options.blockSize ?? SECTOR_SIZE,
      identity: identityOf(options.serial),
      lifetime: lifetimeOf(options),
      ranges,
      byteOrder: options.byteOrder,
    });
    this.#resizes = (options.resizes ?? []).toSorted((a, b) => a.after - b.after);
  }

  connect(events: DeviceEvents): void {
    this.#events = events;
  }

  start(accepted: FeatureSet): void {
    const isModern = accepted.has(VIRTIO_F_VERSION_1);
    this.#needsFraming = !isModern && !accepted.has(VIRTIO_F_ANY_LAYOUT);
    this.#executor.start(accepted);
    const canFlush = accepted.has(VIRTIO_BLK_F_FLUSH);
    const canSet = accepted.has(VIRTIO_BLK_F_CONFIG_WCE);
    // Section 5.2.5.2; on the legacy interface features leave the mode alone (section 5.2.5.3).
    if (isModern && canSet && !canFlush) this.#setWriteBack(false);
    // Section 5.2.6.2: writes of a driver that has neither bit are stable once they are completed.
    this.#executor.isWriteThrough = !this.#isWriteBack || (!canFlush && !canSet);
  }

  /** The driver switched the cache: 0 is write-through. Others than 0 and 1 count as 1, as in QEMU. */
  writeConfig(_offset: number, source: Uint8Array): void {
    this.#setWriteBack(source[0] !== 0);
    this.#executor.isWriteThrough = !this.#isWriteBack;
  }

  /** It keeps no buffers. */
  forget(_queue: number): void {}

  /** Every request is answered at once. */
  wants(_queue: number): boolean {
    return true;
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    this.#handled++;
    if (this.#resized < this.#resizes.length) this.#resizeWhenDue(queue, queues);
    if (chain.writableBytes === 0) return 0;
    const isRight = !this.#needsFraming || isFramed(chain);
    this.#status[0] = isRight ? this.#answer(queue, chain, space, queues) : VIRTIO_BLK_S_IOERR;
    const written = isRight ? this.#executor.written : 0;
    const isTold = writeChain(chain, space, chain.writableBytes - 1, this.#status, 0, 1);
    // The status is behind the data: it counts where there is no gap between them.
    return isTold && written === chain.writableBytes - 1 ? chain.writableBytes : written;
  }

  refuse(_queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    if (chain.writableBytes === 0) return 0;
    this.#status[0] = VIRTIO_BLK_S_IOERR;
    writeChain(chain, space, chain.writableBytes - 1, this.#status, 0, 1);
    return chain.writableBytes === 1 ? 1 : 0;
  }

  dispose(): void {
    this.#backing.dispose();
  }

  /**
   * Resizes before the request is handled that follows `after` others. A disk whose backing cannot be resized stays as
   * it is.
   */
  #resizeWhenDue(queue: number, queues: DeviceQueues): void {
    const { after, capacity } = this.#resizes[this.#resized]!;
    if (this.#handled <= after) return;
    this.#resized++;
    try {
      this.#backing.resize(capacity);
    } catch (error) {
      if (!isBackingError(error)) throw error;
      queues.report(queue, error);
      return;
    }
    this.#config.set(BLOCK_CONFIG.capacity, capacity / SECTOR_SIZE);
    this.#events?.configChanged();
  }

  /** Handles a request and returns its status: also where the backing throws. */
  #answer(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    try {
      return this.#executor.execute(chain, space);
    } catch (error) {
      if (!isBackingError(error)) throw error;
      queues.report(queue, error);
      return VIRTIO_BLK_S_IOERR;
    }
  }

  get #isWriteBack(): boolean {
    return this.config[BLOCK_CONFIG.writeback.offset] !== 0;
  }

  #setWriteBack(isWriteBack: boolean): void {
    this.#config.set(BLOCK_CONFIG.writeback, isWriteBack ? 1 : 0);
  }
}

/** Whether the header has the first descriptor to itself, and the status the last. */
function isFramed({ length, count }: DescriptorChain): boolean {
  return length[0] === BLOCK_HEADER_SIZE && length[count - 1] === 1;
}

function identityOf(serial: string): Uint8Array {
  const identity = new Uint8Array(BLOCK_ID_SIZE);
  identity.set(new TextEncoder().encode(serial).subarray(0, BLOCK_ID_SIZE));
  return identity;
}

function lifetimeOf({ lifetime, byteOrder }: BlockDeviceOptions): Uint8Array {
  const bytes = new Uint8Array(BLOCK_LIFETIME_SIZE);
  const view = new DataView(bytes.buffer);
  [lifetime?.preEolInfo ?? 0, lifetime?.typA ?? 0, lifetime?.typB ?? 0].forEach((value, i) => {
    view.setUint16(2 * i, value, byteOrder === 'little');
  });
  return bytes;
}

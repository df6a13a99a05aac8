import { setImmediate } from 'node:timers/promises';
import {
  ContractError,
  describeValue,
  isCodedError,
  type CodedError,
  type DriverContext,
  type DriverHalf,
  type NegotiatedDevice,
  type DriverQueue,
} from '@virtio-platform/core';
import {
  DEVICE_TIMEOUT_MS,
  failDevice,
  initializeDevice,
  resetDevice,
  startDevice,
  type Transport,
} from '@virtio-platform/core/device';
import { DirectDmaMapping, type DmaMapping, type DmaRegion, type DmaStatistics } from '@virtio-platform/core/dma';
import { FailingDmaMapping, FailurePlan, type DmaFailures } from '@virtio-platform/core/failure';
import {
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import type { NegotiationResult } from '@virtio-platform/core/negotiation';
import {
  type ByteOrder,
  type PublicationCounts,
  type QueueLayout,
  type UsedLengthPolicy,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import { addressingInput } from './addressing-input.ts';
import { forceFeatures } from './force-features.ts';
import { openFittingQueue } from './open-fitting-queue.ts';
import { chooseQueueSize } from './queue-size.ts';
import { DEFAULT_QUEUE_SIZE, type DriverLoad, type SessionOptions } from './session-options.ts';
import { supportedFeatures, unsupportedFeatures } from './supported-features.ts';
/** Entries of each indirect table: a request with more segments goes into the ring itself. */
const INDIRECT_ENTRIES = 16;

/** Milliseconds that a device has for a reset at the least: it may be a process on a busy machine. */
const LEAST_RESET_MS = 1000;

/** A driver half at work, and what it was made from. */
export interface OpenedDriver {
  readonly driver: DriverHalf;
  readonly context: DriverContext;
}

/** Available buffer notifications: those the device wanted, those the driver sent, those the device suppressed. */
export interface AvailableNotifications {
  readonly wanted: number;
  readonly sent: number;
  readonly suppressed: number;
}

/**
 * A driver at work on a device: negotiated, with its queues, each over a mapping of its own on the path that
 * negotiation chose. The steps are its constructor, {@link openQueues}, {@link openDriver} and {@link start}; after any
 * of them {@link end} resets the device, and only when the device confirmed, takes the memory back.
 */
export class DeviceSession {
  readonly negotiation: NegotiationResult;
  /** The device as the driver reaches it. */
  readonly transport: Transport;
  readonly #options: SessionOptions;
  readonly #mappings: DmaMapping[] = [];
  readonly #queues: DriverQueue[] = [];
  readonly #publications: PublicationCounts[] = [];
  readonly #errors: unknown[] = [];
  /** Of all queues together; `undefined` where nothing fails on purpose. */
  readonly #failures: DmaFailures | undefined;
  #driver: DriverHalf | undefined;
  /** Available buffer notifications that were sent. */
  #sent = 0;
  /** Memory that the device's interrupts are written to. */
  #messages: DmaRegion | undefined;
  #ring: { readonly layout: QueueLayout; readonly size: number } | null = null;
  #isStarted = false;
  #isEnded = false;

  /**
   * Negotiates with the device. After a refusal there is nothing to open, and {@link end} is still to be called. Throws
   * what the device and the platform's rules throw; there is no session then.
   */
  constructor(options: SessionOptions) {
    const { platform, machine, device, driver, policy, failures, watch } = options;
    this.#options = options;
    this.transport = watch?.transport?.(machine.transport) ?? machine.transport;
    const { map = {}, region = {}, wrongAddress = {} } = failures ?? {};
    if (Object.keys({ ...map, ...region, ...wrongAddress }).length > 0) {
      this.#failures = {
        map: new FailurePlan(map),
        region: new FailurePlan(region),
        wrongAddress: new FailurePlan(wrongAddress),
      };
    }
    this.negotiation =
      driver.forces === undefined
        ? initializeDevice(this.transport, {
            supported: supportedFeatures(options),
            unsupported: unsupportedFeatures(options),
            deviceFeatures: device.type.features,
            traits: platform.traits,
            rules: platform.rules,
            privilege: driver.privilege,
            policy,
            ...(driver.clears && { clears: driver.clears }),
            declines: device.type.driver.declines,
            ...addressingInput(device.addressing, machine.memory.size),
          })
        : forceFeatures(this.transport, driver.forces);
  }

  /** Layout and size of the first queue; `null` before {@link openQueues}. */
  get ring(): { readonly layout: QueueLayout; readonly size: number } | null {
    return this.#ring;
  }

  /** The queues that are open, in the order in which the device type names them; none before and after. */
  get queues(): readonly DriverQueue[] {
    return this.#queues;
  }

  /** What failed, in the order in which it happened: the first is why, and the others often follow from it. */
  get errors(): readonly unknown[] {
    return this.#errors;
  }

  /** How often something failed on purpose. */
  get injected(): number {
    if (this.#failures === undefined) return 0;
    const { map, region, wrongAddress } = this.#failures;
    return map.failed + region.failed + wrongAddress.failed;
  }

  /** Of all queues together. Throws {@link ContractError} where a platform counts what is no number. */
  get dma(): Required<DmaStatistics> {
    const sum = { maps: 0, unmaps: 0, bytesBounced: 0, live: 0, leaked: 0 };
    for (const { statistics } of this.#mappings) {
      sum.maps += statistics.maps;
      sum.unmaps += statistics.unmaps;
      sum.bytesBounced += statistics.bytesBounced;
      sum.live += statistics.live;
      sum.leaked += statistics.leaked ?? 0;
    }
    const wrong = Object.entries(sum).find(([, count]) => !Number.isSafeInteger(count));
    if (wrong !== undefined) {
      const what = `has ${wrong[0]} that add up to ${describeValue(wrong[1])}, no whole number`;
      throw new ContractError('platform', 'statistics', what);
    }
    return sum;
  }

  /** Of all queues together, so far. */
  get notifications(): AvailableNotifications {
    const available = { wanted: 0, sent: this.#sent, suppressed: 0 };
    for (const { wanted, suppressed } of this.#publications) {
      available.wanted += wanted;
      available.suppressed += suppressed;
    }
    return available;
  }

  /**
   * Opens the queues that the device type finds in features and configuration. Throws a coded error; the device is then
   * FAILED, and {@link end} is still to be called.
   */
  openQueues(): readonly DriverQueue[] {
    return this.#orFail(() => {
      for (const index of this.#options.device.type.driver.queues(this.device)) this.#openQueue(index);
      return this.#queues;
    });
  }

  /** Opens the driver half over the queues. Throws as {@link openQueues} does. */
  openDriver({ depth, bytes }: DriverLoad): OpenedDriver {
    return this.#orFail(() => {
      const { device, driver: terms, machine, watch } = this.#options;
      const { transport } = this;
      const notify = (queue: Virtqueue): void => {
        this.#sent++;
        transport.notify(queue.index, queue.nextAvailable);
      };
      const memory = watch?.memory?.() ?? machine.memory;
      const { buffers } = terms;
      const context = { ...this.device, memory, queues: this.#queues, buffers, depth, bytes, notify };
      const driver = device.type.driver.open(context);
      this.#driver = driver;
      return { driver, context };
    });
  }

  /**
   * Gives the device its queues and lets it go. Throws as {@link openQueues} does; once `signal` is aborted, its
   * reason.
   */
  async start(signal?: AbortSignal): Promise<void> {
    try {
      const { transport } = this;
      this.#receiveMessages();
      for (const { queue } of this.#queues) {
        transport.enableQueue(queue.index, queue.addresses);
        // A device may take long for each queue: timers and signals run in between.
        await setImmediate();
        signal?.throwIfAborted();
        if (this.#isEnded) throw new TypeError('the session ended while the device was started');
      }
      startDevice(transport);
      this.#isStarted = true;
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  /**
   * Keeps an error that happened outside of the session, once. Before the device was started, the driver gives up on
   * it: FAILED.
   */
  fail(error: unknown): void {
    if (!this.#errors.includes(error)) this.#errors.push(error);
    if (!this.#isStarted && !this.#isEnded) failDevice(this.transport);
  }

  /**
   * Resets the device and gives everything back; once done, a further call does nothing. Throws {@link DeviceError}
   * where the device did not confirm the reset: `ERR_DEVICE_LOST` once everything is given back, since its machine ends
   * a device that is gone; otherwise before, and the device keeps the memory. Throws what the driver half throws, once
   * everything else is given back. What is thrown is the last of {@link errors}.
   */
  end(): void {
    if (this.#isEnded) return;
    try {
      this.#giveBack();
    } catch (error) {
      this.#errors.push(error);
      throw error;
    }
  }

  /** After {@link end}, and after its statistics were read. Nothing is given back that the device may still use. */
  dispose(): void {
    if (this.#isEnded) for (const mapping of this.#mappings) mapping.dispose();
  }

  get #byteOrder(): ByteOrder {
    return this.transport.interface === 'legacy' ? this.#options.platform.guestByteOrder : 'little';
  }

  /** What the driver half of the device is told of it. */
  get device(): NegotiatedDevice {
    return { transport: this.transport, accepted: this.negotiation.accepted, byteOrder: this.#byteOrder };
  }

  #orFail<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  #giveBack(): void {
    const lost = this.#reset();
    for (const { queue } of this.#queues) queue.reset();
    let failed = lost && { thrown: lost as unknown };
    try {
      this.#driver?.dispose();
    } catch (thrown) {
      failed ??= { thrown };
    }
    this.#messages?.release();
    this.#messages = undefined;
    for (const { queue } of this.#queues) queue.dispose();
    this.#driver = undefined;
    this.#queues.length = 0;
    this.#isEnded = true;
    if (failed !== undefined) throw failed.thrown;
  }

  /** A driver that soon gives a request up does not wait long for the reset either: the failure is seen soon. */
  get #resetMs(): number {
    const { timeoutMs = DEVICE_TIMEOUT_MS } = this.#options.driver;
    return Math.min(Math.max(timeoutMs, LEAST_RESET_MS), DEVICE_TIMEOUT_MS);
  }

  /** Returns the error of a device that is gone. */
  #reset(): CodedError | undefined {
    try {
      resetDevice(this.transport, this.#resetMs);
      return undefined;
    } catch (error) {
      if (isCodedError(error) && error.code === 'ERR_DEVICE_LOST') return error;
      throw error;
    }
  }

  /** A device that interrupts by writing to memory needs some that the platform lets it reach. */
  #receiveMessages(): void {
    const { interruptMessages } = this.transport;
    const first = this.#queues[0];
    if (interruptMessages === undefined || first === undefined) return;
    this.#messages = first.mapping.allocateCoherent(interruptMessages.bytes, 4);
    interruptMessages.receiveIn(this.#messages);
  }

  #openQueue(index: number): void {
    const { machine, queue: asked, resizes = [], driver, watch } = this.#options;
    const { transport } = this;
    const { accepted } = this.negotiation;
    const layout = accepted.has(VIRTIO_F_RING_PACKED) ? 'packed' : 'split';
    const { size, most } = chooseQueueSize(transport, index, layout, asked.size ?? DEFAULT_QUEUE_SIZE);
    const indirect = accepted.has(VIRTIO_RING_F_INDIRECT_DESC) ? INDIRECT_ENTRIES : 0;
    const sizes = resizes.map((entries) => Math.min(entries, most));
    const mapping = this.#openMapping(index, Math.max(size, ...sizes) * Math.max(1, indirect));
    this.#mappings.push(mapping);
    const opened = openFittingQueue(layout, machine.memory, mapping, {
      index,
      size,
      indirect,
      inOrder: accepted.has(VIRTIO_F_IN_ORDER),
      eventIdx: accepted.has(VIRTIO_RING_F_EVENT_IDX),
      unmarkedLengths: transport.unmarkedLengths,
      wholeUsedElements: transport.wholeUsedElements,
      legacyLayout: transport.interface === 'legacy',
      byteOrder: this.#byteOrder,
      usedLength: driver.usedLength ?? this.#usedLength,
    });
    this.#queues.push({ queue: watch?.queue?.(opened, mapping) ?? opened, mapping });
    this.#publications.push(opened.publications);
    this.#ring ??= { layout, size: opened.size };
  }

  /** The treatment of used lengths that the device type needs. */
  get #usedLength(): UsedLengthPolicy {
    const { usedLength } = this.#options.device.type.driver;
    const isModern = this.negotiation.accepted.has(VIRTIO_F_VERSION_1);
    return (isModern ? usedLength?.modern : usedLength?.legacy) ?? 'strict';
  }

  /** Opens the mapping of a queue, with what is to fail. */
  #openMapping(queue: number, capacity: number): DmaMapping {
    const mapping = this.#openPath(queue, capacity);
    const failing = this.#failures === undefined ? mapping : new FailingDmaMapping(mapping, this.#failures);
    return this.#options.watch?.mapping?.(failing, queue) ?? failing;
  }

  #openPath(queue: number, capacity: number): DmaMapping {
    const { machine, platform } = this.#options;
    const path = this.negotiation.path!;
    if (path === 'physical') return new DirectDmaMapping(machine.memory, { path, capacity });
    const mapping = platform.openMapping(path, { queue, capacity });
    return machine.watchMapping?.(mapping) ?? mapping;
  }
}

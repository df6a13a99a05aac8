import { setImmediate } from 'node:timers/promises';
import {
  ContractError,
  describeValue,
  DeviceError,
  isCodedError,
  type CodedError,
  type DriverHalf,
  type DriverQueue,
  type NegotiatedDevice,
  type Workload,
} from '@virtio-platform/core';
import { failDevice, initializeDevice, resetDevice, startDevice, type Transport } from '@virtio-platform/core/device';
import { DirectDmaMapping, type DmaMapping, type DmaRegion, type DmaStatistics } from '@virtio-platform/core/dma';
import { FailingDmaMapping, FailurePlan, type DmaFailures } from '@virtio-platform/core/failure';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_ANY_LAYOUT,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import type { NegotiationResult } from '@virtio-platform/core/negotiation';
import {
  openVirtqueue,
  RING_FEATURES,
  type ByteOrder,
  type PublicationCounts,
  type QueueLayout,
  type UsedLengthPolicy,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import type { DmaSanitizer } from '@virtio-platform/dma-sanitizer';
import { DEFAULT_QUEUE_SIZE, runHook, type ComposedRun, type Profile } from '@virtio-platform/profile';
import { forceFeatures } from './force-features.ts';
import { checkDisruptions } from './disruptions.ts';
import type { RunReport, WorkloadReport } from './report.ts';
import { inspectRings, type RingReport } from './ring-report.ts';
import { RunLoop, workloadReport } from './run-loop.ts';
import { throwMissed, UsedNotifications } from './used-notifications.ts';
/** What the ring and the path implement on the driver's side, besides the features of the driver. */
const DRIVER_FEATURES = new FeatureSet(
  RING_FEATURES.bits |
    FeatureSet.of(VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_SUSPEND).bits,
);

/**
 * A profile chooses the layout by what its driver supports: a device that offers packed rings to a split driver is
 * declined them.
 */
export function supportedFeatures({ device, queue, policy, driver }: Profile): FeatureSet {
  const { experimental, bits } = policy;
  let supported = new FeatureSet(DRIVER_FEATURES.bits | device.type.driver.features.bits);
  if (queue.layout !== 'packed') supported = supported.without(VIRTIO_F_RING_PACKED);
  if (experimental) supported = supported.with(bits.noTranslation).with(bits.identityAddress);
  return supported.minus(driver.lacks);
}

/**
 * A split ring has a power of two of entries, also where the profile asked for a packed one and the device has none.
 */
function queueSize(layout: QueueLayout, most: number): number {
  return layout === 'packed' ? most : 2 ** Math.floor(Math.log2(most));
}

/** Entries of each indirect table: a request with more segments goes into the ring itself. */
const INDIRECT_ENTRIES = 16;

/**
 * A driver at work on a device: negotiated, with its queues, each over a mapping of its own on the path that
 * negotiation chose. Ends in the one safe order: reset the device, and only when it confirmed, take the memory back.
 */
export class DeviceSession {
  readonly negotiation: NegotiationResult;
  readonly #run: ComposedRun;
  readonly #sanitizer: DmaSanitizer | undefined;
  readonly #transport: Transport;
  readonly #mappings: DmaMapping[] = [];
  readonly #queues: DriverQueue[] = [];
  readonly #publications: PublicationCounts[] = [];
  /** Of all queues together; `undefined` where nothing fails on purpose. */
  readonly #failures: DmaFailures | undefined;
  #driver: DriverHalf | undefined;
  #workload: Workload | undefined;
  #loop: RunLoop | undefined;
  #notifications: UsedNotifications | undefined;
  /** Available buffer notifications that were sent. */
  #sent = 0;
  /** Memory that the device's interrupts are written to. */
  #messages: DmaRegion | undefined;
  #ring: RunReport['queue'] = null;
  #isEnded = false;

  /**
   * Negotiates. After a refusal there is nothing to start. With a sanitizer, the driver gets memory, mappings, queues
   * and a transport that it looks at: here is the only place that knows of it.
   */
  constructor(run: ComposedRun, sanitizer?: DmaSanitizer) {
    const { platform, machine, profile } = run;
    this.#run = run;
    this.#sanitizer = sanitizer;
    this.#transport = sanitizer?.transport(machine.transport, profile.device.type.name) ?? machine.transport;
    const { map, region, wrongAddress } = profile.failures;
    if (Object.keys({ ...map, ...region, ...wrongAddress }).length > 0) {
      this.#failures = {
        map: new FailurePlan(map),
        region: new FailurePlan(region),
        wrongAddress: new FailurePlan(wrongAddress),
      };
    }
    const { forces } = profile.driver;
    this.negotiation =
      forces === undefined
        ? initializeDevice(this.#transport, {
            supported: supportedFeatures(profile),
            deviceFeatures: profile.device.type.features,
            traits: platform.traits,
            rules: platform.rules,
            privilege: profile.driver.privilege,
            policy: profile.policy,
            clears: profile.driver.clears,
            declines: profile.device.type.driver.declines,
          })
        : forceFeatures(this.#transport, forces);
  }

  /** Layout and size of the first queue, once started. */
  get ring(): RunReport['queue'] {
    return this.#ring;
  }

  /** How often something failed because the profile asks for it. */
  get injected(): number {
    if (this.#failures === undefined) return 0;
    const { map, region, wrongAddress } = this.#failures;
    return map.failed + region.failed + wrongAddress.failed;
  }

  /** Of the pool that buffers are copied through; `null` without one. */
  get pool(): RunReport['dma']['pool'] {
    const { bouncePool } = this.#run.platform;
    return bouncePool === undefined
      ? null
      : { slots: bouncePool.slots, highWater: bouncePool.highWater, exhausted: bouncePool.exhausted };
  }

  /** Of all queues together. */
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

  /** The notifications of both directions so far; `null` before {@link start}. */
  get notifications(): RunReport['notifications'] {
    if (this.#notifications === undefined) return null;
    const available = { wanted: 0, sent: this.#sent, suppressed: 0 };
    for (const { wanted, suppressed } of this.#publications) {
      available.wanted += wanted;
      available.suppressed += suppressed;
    }
    return { available, used: this.#notifications.counts, device: this.#run.machine.notifications ?? null };
  }

  /** Reads the rings as both ends left them. */
  inspect(): RingReport[] {
    return inspectRings(this.#queues.map(({ queue }) => queue));
  }

  /** Throws {@link DeviceError} `ERR_NOTIFICATION_MISSED` where the device did not send one that it owed. */
  checkNotifications(): void {
    if (this.#notifications !== undefined) throwMissed(this.#notifications);
  }

  /** What the workload did so far; `undefined` before it was started. */
  get workload(): WorkloadReport | undefined {
    if (this.#workload === undefined || this.#loop === undefined) return undefined;
    return workloadReport(this.#run.profile, this.#workload, this.#loop);
  }

  /** The configuration changes that the device told of. */
  get configuration(): RunReport['configuration'] {
    return this.#loop?.configuration ?? { changes: 0, seen: [] };
  }

  /**
   * Sets up the queues, the driver half and the workload, and lets the device go. Throws a coded error; `end` is still
   * to be called.
   */
  async start(onProgress: (done: number, total: number) => void = () => {}): Promise<void> {
    const { profile, platform } = this.#run;
    const transport = this.#transport;
    const { accepted } = this.negotiation;
    try {
      checkDisruptions(profile, accepted);
      const byteOrder = transport.interface === 'legacy' ? platform.guestByteOrder : 'little';
      const device = { transport, accepted, byteOrder } as const;
      const indices = profile.device.type.driver.queues(device);
      for (const index of indices) this.#openQueue(index, byteOrder);
      this.#openWorkload(device, onProgress);
      this.#receiveMessages();
      for (const { queue } of this.#queues) {
        transport.enableQueue(queue.index, queue.addresses);
        // A device may take long for each queue: timers and signals run in between.
        await setImmediate();
      }
      startDevice(transport);
    } catch (error) {
      failDevice(transport);
      throw error;
    }
  }

  /**
   * Runs the workload on a started device. Throws {@link DeviceError} when the device stalls, lies or is gone, and
   * {@link ContractError} for a workload that does not do what it was asked for.
   */
  async run(): Promise<void> {
    const { device, driver, workload: asked } = this.#run.profile;
    const hook = `workloads.${asked.kind}.run`;
    const [workload, loop] = [this.#workload!, this.#loop!];
    let failed: { readonly thrown: unknown } | undefined;
    const settled = async (): Promise<void> => {
      try {
        await Promise.race([workload.run(), loop.abandoned]);
      } catch (thrown) {
        failed = { thrown };
      }
    };
    await runHook('device', device.use, hook, settled, driver.timeoutMs, () => loop.quietMs);
    // What the loop met is why the workload ended, whatever the workload made of it.
    failed = loop.failure ?? failed;
    if (failed !== undefined) throw failed.thrown;
    const { requests, mismatches } = workload.done;
    if (requests >= asked.requests || mismatches.first.length > 0) return;
    throw new ContractError('device', hook, `returned after ${requests} of ${asked.requests} requests`);
  }

  /** Opens the driver half over the queues, and the workload over the driver half. */
  #openWorkload(device: NegotiatedDevice, onProgress: (done: number, total: number) => void): void {
    const { profile, machine } = this.#run;
    const { type, settings } = profile.device;
    const { kind, depth, requests, seed, disruptions, options } = profile.workload;
    const queues = this.#queues;
    const transport = this.#transport;
    const notifications = new UsedNotifications(
      transport,
      queues.map(({ queue }) => queue),
    );
    this.#notifications = notifications;
    const notify = (queue: Virtqueue): void => {
      this.#sent++;
      transport.notify(queue.index, queue.nextAvailable);
    };
    const workload = type.workloads[kind]!;
    const bytes = workload.bytes(options);
    const memory = this.#sanitizer?.memory() ?? machine.memory;
    const context = { ...device, memory, queues, buffers: profile.driver.buffers, depth, bytes, notify };
    const driver = type.driver.open(context);
    this.#driver = driver;
    const loop = new RunLoop({
      profile,
      transport,
      queues: queues.map(({ queue }) => queue),
      notifications,
      driver,
      onProgress,
    });
    this.#loop = loop;
    const mostReturned = disruptions.length * depth;
    const own = { settings, options, kind, requests, seed, mostReturned, loop, inspected: machine.memory };
    this.#workload = workload.open(driver, { ...context, ...own });
    loop.attach(this.#workload);
  }

  /**
   * Resets the device and gives everything back. Throws {@link DeviceError} where the device did not confirm the reset:
   * `ERR_DEVICE_LOST` once everything is given back, since its machine ends a device that is gone; otherwise before,
   * and the device keeps the memory. Throws what the driver half throws, once everything else is given back.
   */
  end(): void {
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

  /** After {@link end}, and after its statistics were read. Nothing is given back that the device may still use. */
  dispose(): void {
    if (this.#isEnded) for (const mapping of this.#mappings) mapping.dispose();
  }

  /** Returns the error of a device that is gone. */
  #reset(): CodedError | undefined {
    try {
      resetDevice(this.#transport);
      return undefined;
    } catch (error) {
      if (isCodedError(error) && error.code === 'ERR_DEVICE_LOST') return error;
      throw error;
    }
  }

  /** A device that interrupts by writing to memory needs some that the platform lets it reach. */
  #receiveMessages(): void {
    const { interruptMessages } = this.#transport;
    const first = this.#queues[0];
    if (interruptMessages === undefined || first === undefined) return;
    this.#messages = first.mapping.allocateCoherent(interruptMessages.bytes, 4);
    interruptMessages.receiveIn(this.#messages);
  }

  #openQueue(index: number, byteOrder: ByteOrder): void {
    const { machine, profile } = this.#run;
    const transport = this.#transport;
    const { accepted } = this.negotiation;
    const isLegacy = transport.interface === 'legacy';
    const most = transport.maxQueueSize(index);
    if (!Number.isSafeInteger(most) || most < 0)
      throw new ContractError('machine', 'maxQueueSize', `returned ${describeValue(most)}, no number of entries`);
    if (most === 0)
      throw new DeviceError(
        'ERR_DEVICE_CONFIG',
        `the device has no queue ${index}, which its features and configuration imply`,
      );
    const layout = accepted.has(VIRTIO_F_RING_PACKED) ? 'packed' : 'split';
    const size = queueSize(
      layout,
      isLegacy ? Math.min(most, 32768) : Math.min(profile.queue.size ?? DEFAULT_QUEUE_SIZE, most),
    );
    if (isLegacy && size !== most)
      throw new DeviceError(
        'ERR_DEVICE_CONFIG',
        `the device says that queue ${index} has ${most} entries; a legacy queue has a power of two of them, at most 32768`,
      );
    const indirect = accepted.has(VIRTIO_RING_F_INDIRECT_DESC) ? INDIRECT_ENTRIES : 0;
    const sizes = profile.workload.disruptions.map((disruption) => Math.min(disruption.size ?? size, most));
    const mapping = this.#openMapping(index, Math.max(size, ...sizes) * Math.max(1, indirect));
    this.#mappings.push(mapping);
    const opened = openVirtqueue(layout, machine.memory, mapping, {
      index,
      size,
      indirect,
      inOrder: accepted.has(VIRTIO_F_IN_ORDER),
      eventIdx: accepted.has(VIRTIO_RING_F_EVENT_IDX),
      unmarkedLengths: transport.unmarkedLengths,
      wholeUsedElements: transport.wholeUsedElements,
      legacyLayout: isLegacy,
      byteOrder,
      usedLength: profile.driver.usedLength ?? this.#usedLength,
    });
    const queue = this.#sanitizer?.queue(opened, mapping, profile.device.type.name) ?? opened;
    this.#queues.push({ queue, mapping });
    this.#publications.push(opened.publications);
    this.#ring ??= { layout, size };
  }

  /** The treatment of used lengths that the device type needs. */
  get #usedLength(): UsedLengthPolicy {
    const { usedLength } = this.#run.profile.device.type.driver;
    const isModern = this.negotiation.accepted.has(VIRTIO_F_VERSION_1);
    return (isModern ? usedLength?.modern : usedLength?.legacy) ?? 'strict';
  }

  /** Opens the mapping of a queue, with what the profile lets fail. */
  #openMapping(queue: number, capacity: number): DmaMapping {
    const mapping = this.#openPath(queue, capacity);
    const failing = this.#failures === undefined ? mapping : new FailingDmaMapping(mapping, this.#failures);
    return this.#sanitizer?.mapping(failing, this.#run.profile.device.type.name, queue) ?? failing;
  }

  #openPath(queue: number, capacity: number): DmaMapping {
    const path = this.negotiation.path!;
    if (path === 'physical') return new DirectDmaMapping(this.#run.machine.memory, { path, capacity });
    const mapping = this.#run.platform.openMapping(path, { queue, capacity });
    return this.#run.machine.watchMapping?.(mapping) ?? mapping;
  }
}

import assert from 'node:assert/strict';
import {
  type BufferMapping,
  type DriverHalf,
  type DriverQueue,
  type WorkDone,
  type Workload,
} from '@virtio-platform/core';
import { DeviceStatus, resetDevice, startDevice } from '@virtio-platform/core/device';
import type { DmaMapping } from '@virtio-platform/core/dma';
import { FailingDmaMapping, FailurePlan, type FailureSchedule } from '@virtio-platform/core/failure';
import {
  FeatureSet,
  unmetDependency,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import { GuestMemory } from '@virtio-platform/core/memory';
import { openVirtqueue, type ByteOrder } from '@virtio-platform/core/queue';
import { checkedSettings, type DeviceTypeSubject, type SubjectWorkload } from './device-type-subject.ts';
import { TrialDevice, type Framing, type Misconduct } from './trial-device.ts';
import { TrialAborted, TrialLoop } from './trial-loop.ts';
import { openTrialMapping, type TrialMapping, type TrialMappingKind } from './trial-mapping.ts';

/** Bytes of guest memory of a trial. */
const MEMORY = 2 ** 23;
/** Entries of the indirect tables of a trial. */
const TABLE = 8;
/** Seed of the patterns of a trial. */
const SEED = 7;

/** How a workload is tried. A plain split ring with premapped buffers unless given. */
export interface TrialOptions {
  readonly layout?: 'split' | 'packed';
  readonly eventIdx?: boolean;
  readonly indirect?: boolean;
  readonly inOrder?: boolean;
  readonly mapping?: TrialMappingKind;
  readonly buffers?: BufferMapping;
  /** Byte order of a legacy guest; without it the interface is modern. */
  readonly legacy?: ByteOrder;
  /** Features of the type that the driver is without. */
  readonly lacks?: FeatureSet;
  readonly framing?: Framing;
  readonly depth?: number;
  readonly requests?: number;
  /** Which calls of `map` fail, and which of `premap` and `allocateCoherent`. */
  readonly failures?: { readonly map?: FailureSchedule; readonly region?: FailureSchedule };
  readonly misconduct?: Misconduct;
  /** Buffers that the device handles before it stops. */
  readonly budget?: number;
  /** The device handles so many buffers between resets of its queues. */
  readonly resetsEach?: number;
  /** The only queue that is reset, by its place in `driver.queues`; all unless given. */
  readonly resetsQueue?: number;
  /** Of the patterns of the workload. */
  readonly seed?: number;
  /** Milliseconds that a device half with timers and sockets may do nothing before the run is stalled. */
  readonly stalledMs?: number;
  /** Whether the driver half is asked what each buffer is for, whenever it notifies the device. */
  readonly asksBuffers?: boolean;
}

/** What a run of a workload came to. */
export interface TrialOutcome {
  /** What was thrown in the driver half or in the workload. */
  readonly error: unknown;
  readonly done: WorkDone | undefined;
  /** Whether every request is complete and none came back wrong. */
  readonly verified: boolean;
  readonly loop: TrialLoop | undefined;
  readonly accepted: FeatureSet;
  /** What is still mapped, and bytes that are still allocated, after everything was given back. */
  readonly live: number;
  readonly allocated: number;
}

/** A device half behind a machine of the core alone, and the driver half over it: for one device type. */
export class DeviceTrial {
  readonly device: TrialDevice;
  readonly #subject: DeviceTypeSubject;
  readonly #settings: unknown;
  readonly #options: TrialOptions;

  private constructor(subject: DeviceTypeSubject, settings: unknown, options: TrialOptions) {
    this.#subject = subject;
    this.#settings = settings;
    this.#options = options;
    const { legacy, framing = 'as-is', misconduct = {}, budget = Infinity } = options;
    const byteOrder = legacy ?? 'little';
    const model = subject.plugin.model(settings, byteOrder);
    const offers = new FeatureSet(model.features.bits | FeatureSet.of(...RING_BITS, VIRTIO_F_VERSION_1).bits);
    this.device = new TrialDevice(model, {
      type: subject.plugin,
      interface: legacy === undefined ? 'modern' : 'legacy',
      offers: legacy === undefined ? offers : new FeatureSet(offers.bits & 0xffff_ffffn),
      byteOrder,
      framing,
    });
    this.device.misconduct = misconduct;
    this.device.budget = budget;
  }

  /** Makes the device half of a subject. */
  static async open(subject: DeviceTypeSubject, options: TrialOptions = {}): Promise<DeviceTrial> {
    return new DeviceTrial(subject, await checkedSettings(subject), options);
  }

  /** Runs a workload on the device, which is reset before and after. `changes` are of this run. */
  async run(workload: SubjectWorkload, changes: TrialOptions = {}): Promise<TrialOutcome> {
    const options = { ...this.#options, ...changes };
    const memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
    const shared = openTrialMapping(options.mapping ?? 'direct', memory);
    const { live: liveBefore } = shared.mapping.statistics;
    const allocatedBefore = memory.allocated;
    const accepted = this.#accept(options);
    const session = new TrialSession(this.device, shared, memory, accepted, options);
    let error: unknown;
    try {
      await session.run(this.#subject, this.#settings, workload);
    } catch (thrown) {
      error = thrown ?? new Error('undefined was thrown');
    }
    if (error instanceof TrialAborted) error = undefined;
    resetDevice(this.device);
    session.end();
    const live = shared.mapping.statistics.live - liveBefore;
    const allocated = memory.allocated - allocatedBefore;
    shared.dispose();
    const done = session.workload?.done;
    const errors = Object.values(done?.mismatches.counts ?? {}).reduce((sum, count) => sum + count, 0);
    const verified = error === undefined && done?.requests === session.requests && errors === 0;
    return { error, done, verified, loop: session.loop, accepted, live, allocated };
  }

  /** Disposes the device half. */
  dispose(): void {
    this.device.dispose();
  }

  #accept({ layout, eventIdx, indirect, inOrder, lacks, legacy, resetsEach }: TrialOptions): FeatureSet {
    const { plugin } = this.#subject;
    const ring = [
      ...(legacy === undefined ? [VIRTIO_F_VERSION_1] : []),
      ...(layout === 'packed' ? [VIRTIO_F_RING_PACKED] : []),
      ...(eventIdx === true ? [VIRTIO_RING_F_EVENT_IDX] : []),
      ...(indirect === true ? [VIRTIO_RING_F_INDIRECT_DESC] : []),
      ...(inOrder === true ? [VIRTIO_F_IN_ORDER] : []),
      ...(resetsEach === undefined ? [] : [VIRTIO_F_RING_RESET]),
    ];
    const own = this.device.model.features.and(plugin.driver.features).minus(lacks ?? FeatureSet.EMPTY);
    const declined = FeatureSet.of(...(plugin.driver.declines ?? []).map(({ feature }) => feature));
    let features = new FeatureSet(own.bits | FeatureSet.of(...ring).bits)
      .and(this.device.readDeviceFeatures())
      .minus(declined);
    for (let unmet = unmetDependency(features, plugin.features); unmet !== undefined;) {
      features = features.without(unmet.feature);
      unmet = unmetDependency(features, plugin.features);
    }
    return features;
  }
}

/** The features of rings that the device of a trial offers. */
const RING_BITS = [
  VIRTIO_F_RING_PACKED,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_RESET,
];

/** One run: queues, driver half and workload between two resets. */
class TrialSession {
  workload: Workload | undefined;
  loop: TrialLoop | undefined;
  requests = 0;
  readonly #device: TrialDevice;
  readonly #shared: TrialMapping;
  readonly #memory: GuestMemory;
  readonly #accepted: FeatureSet;
  readonly #options: TrialOptions;
  readonly #queues: DriverQueue[] = [];
  readonly #mapPlan: FailurePlan;
  #driver: DriverHalf | undefined;

  constructor(
    device: TrialDevice,
    shared: TrialMapping,
    memory: GuestMemory,
    accepted: FeatureSet,
    options: TrialOptions,
  ) {
    this.#device = device;
    this.#shared = shared;
    this.#memory = memory;
    this.#accepted = accepted;
    this.#options = options;
    this.#mapPlan = new FailurePlan(options.failures?.map);
  }

  async run(subject: DeviceTypeSubject, settings: unknown, { name, type, options }: SubjectWorkload): Promise<void> {
    const { plugin } = subject;
    const { legacy, depth = 4, buffers = 'premapped', seed = SEED } = this.#options;
    const { resetsEach, resetsQueue, stalledMs, asksBuffers } = this.#options;
    const device = this.#device;
    const accepted = this.#accepted;
    const memory = this.#memory;
    this.requests = this.#options.requests ?? subject.requests;
    device.attach(this.#shared.space);
    device.budget = this.#options.budget ?? resetsEach ?? Infinity;
    resetDevice(device);
    device.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
    device.writeDriverFeatures(accepted);
    if (legacy === undefined) device.writeStatus(device.readStatus() | DeviceStatus.FeaturesOk);
    const negotiated = { transport: device, accepted, byteOrder: legacy ?? 'little' } as const;
    const indices = plugin.driver.queues(negotiated);
    for (const index of indices) this.#open(index, plugin.driver.usedLength);
    const queues = this.#queues;
    const notify = ({ index }: { readonly index: number }): void => {
      if (asksBuffers === true) this.loop?.askBuffers();
      device.notify(index);
    };
    const context = {
      ...negotiated,
      memory,
      queues,
      buffers,
      depth,
      bytes: type.bytes(options),
      notify,
    };
    const driver = (this.#driver = plugin.driver.open(context));
    const rings = queues.map(({ queue }) => queue);
    const resets = resetsEach === undefined ? 0 : 3;
    const loop = (this.loop = new TrialLoop({
      device,
      queues: rings,
      driver,
      resetsEach,
      resetsQueue,
      resets,
      stalledMs,
    }));
    const { requests } = this;
    const own = { settings, options, kind: name, requests, seed, mostReturned: resets * depth, loop };
    const workload = (this.workload = type.open(driver, { ...context, ...own, inspected: memory }));
    loop.attach(workload);
    for (const { queue } of queues) device.enableQueue(queue.index, queue.addresses);
    startDevice(device);
    await workload.run();
  }

  /** Gives everything back, after the device was reset. */
  end(): void {
    for (const { queue } of this.#queues) queue.reset();
    this.#driver?.dispose();
    for (const { queue } of this.#queues) queue.dispose();
  }

  #open(index: number, policies: DeviceTypeSubject['plugin']['driver']['usedLength']): void {
    const { layout = 'split', failures, legacy, indirect, inOrder, eventIdx } = this.#options;
    const size = this.#device.maxQueueSize(index);
    assert.ok(size > 0, `driver.queues gives queue ${index}, which the device half does not have`);
    const plain = this.#shared.forQueue();
    const failing = (region: FailureSchedule | undefined): DmaMapping =>
      new FailingDmaMapping(plain, {
        map: this.#mapPlan,
        region: new FailurePlan(region),
        wrongAddress: new FailurePlan(),
      });
    // The ring itself is there: what fails is the driver half's.
    const mapping = failing(failures?.region);
    const isLegacy = legacy !== undefined;
    const queue = openVirtqueue(isLegacy ? 'split' : layout, this.#memory, failing(undefined), {
      index,
      size,
      indirect: indirect === true ? TABLE : 0,
      inOrder: inOrder === true,
      eventIdx: eventIdx === true,
      byteOrder: legacy ?? 'little',
      usedLength: (isLegacy ? policies?.legacy : policies?.modern) ?? 'strict',
    });
    this.#queues.push({ queue, mapping });
  }
}

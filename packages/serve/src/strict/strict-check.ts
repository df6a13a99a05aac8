import type { DeviceModel, DeviceTypePlugin, RequestMistake } from '@virtio-platform/core';
import type { DeviceAddressSpace, DeviceFault } from '@virtio-platform/core/address-space';
import { FeatureSet, unmetDependency, VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import type { DescriptorChain, DeviceQueue } from '@virtio-platform/core/queue';
import type { RingSetup } from '../device/served-queue.ts';
import type { ServedWatch } from './served-watch.ts';
import type { FindingPlace } from './driver-finding.ts';
import type { DriverFindings } from './driver-findings.ts';
import type { DriverRuleCode } from './driver-rules.ts';
import { StrictQueue } from './strict-queue.ts';
import { StrictSpace } from './strict-space.ts';

/** What is checked. */
export interface StrictCheckOptions {
  readonly type: Pick<DeviceTypePlugin, 'features' | 'checkRequest'>;
  readonly settings: unknown;
  readonly model: DeviceModel;
  readonly findings: DriverFindings;
  /** Features with which the device half works whether the driver accepts them or not. */
  readonly assumed: FeatureSet;
}

/** How often rings are looked at while nothing happens. */
const LOOK_MS = 250;
/** Looks in which DRIVER_OK may follow a notification. */
const EARLY_LOOKS = 3;

/** Finds what the drivers of a served device do wrong. */
export class StrictCheck implements ServedWatch {
  readonly #options: StrictCheckOptions;
  /** By index. */
  readonly #queues: (StrictQueue | undefined)[] = [];
  /** Queues that the device leaves alone. */
  readonly #paused = new Set<number>();
  readonly #timer: NodeJS.Timeout;
  #accepted = FeatureSet.EMPTY;
  /** A notification that came before DRIVER_OK. */
  #early: { readonly queue: number; readonly isLive: () => boolean; looks: number } | undefined;
  /** The queue that was looked at last. */
  #current: StrictQueue | undefined;

  constructor(options: StrictCheckOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  started(accepted: FeatureSet): void {
    this.#accepted = accepted;
    const { type, assumed } = this.#options;
    const unmet = unmetDependency(accepted.minus(assumed), type.features);
    if (unmet === undefined) return;
    const [feature, needed] = [unmet.feature, unmet.requires].map((bit) => FeatureSet.of(bit).names(type.features)[0]!);
    this.record('DRV-FEATURE-DEPENDENCY', `${feature} was accepted without ${needed}, which it needs`);
  }

  addressSpace(space: DeviceAddressSpace): DeviceAddressSpace {
    return new StrictSpace(space, (address, source, at, length, isWhole) => {
      for (const queue of this.#queues) queue?.scan.follow(address, source, at, length, isWhole);
    });
  }

  queue(queue: DeviceQueue, index: number, setup: RingSetup, space: DeviceAddressSpace): DeviceQueue {
    const { type, settings, model, findings } = this.#options;
    const accepted = this.#accepted;
    const isTranslated = accepted.has(VIRTIO_F_ACCESS_PLATFORM);
    const checkRequest = (chain: DescriptorChain): RequestMistake | undefined =>
      type.checkRequest?.({ queue: index, chain, space, accepted, config: model.config, settings });
    const longestTable = queue.longestChain;
    const options = { findings, queue: index, setup, longestTable, isTranslated, checkRequest };
    const strict: StrictQueue = new StrictQueue(queue, space, options, () => (this.#current = strict));
    this.#queues[index] = strict;
    return strict;
  }

  ended(index: number): void {
    if (this.#early?.queue === index) this.#early = undefined;
    this.#queues[index] = undefined;
  }

  served(index: number, isServed: boolean): void {
    if (isServed) this.#paused.delete(index);
    else this.#paused.add(index);
  }

  kicked(index: number, count: number, isLive: () => boolean): void {
    if (count > 0 && !isLive()) this.#early ??= { queue: index, isLive, looks: 0 };
    this.#queues[index]?.kicked(count);
  }

  faulted({ address, length, access, cause }: DeviceFault): void {
    if (cause === 'device-error') return;
    const isTranslated = this.#accepted.has(VIRTIO_F_ACCESS_PLATFORM);
    const code = !isTranslated ? 'DRV-ADDRESS' : cause === 'unmapped' ? 'DRV-NOT-MAPPED' : 'DRV-MAP-DIRECTION';
    const place = this.#placeOf(Number(address));
    const where = place.queue === undefined ? '' : `queue ${place.queue}: `;
    const what = { 'DRV-ADDRESS': 'in no memory that is shared', 'DRV-NOT-MAPPED': 'not mapped' } as const;
    const why = code === 'DRV-MAP-DIRECTION' ? `mapped, but ${cause.replaceAll('-', ' ')}` : what[code];
    this.record(code, `${where}${length} bytes to ${access} at 0x${address.toString(16)} are ${why}`, place);
  }

  record(code: DriverRuleCode, what: string, place?: FindingPlace): void {
    this.#options.findings.record(code, what, place);
  }

  dispose(): void {
    clearInterval(this.#timer);
    this.#queues.fill(undefined);
  }

  /** The part of a buffer that an address is in. */
  #placeOf(address: number): FindingPlace {
    const place = this.#current?.scan.place;
    if (place?.descriptor !== undefined) return place;
    for (const queue of [this.#current, ...this.#queues]) {
      const found = queue?.scan.placeOf(address, queue.head);
      if (found !== undefined) return found;
    }
    return place ?? {};
  }

  /**
   * A front-end notifies of its rings itself when it starts them, and tells of DRIVER_OK behind that: QEMU does. So a
   * notification is early where DRIVER_OK does not follow.
   */
  #lookForEarly(): void {
    const early = this.#early;
    if (early === undefined) return;
    if (!early.isLive() && ++early.looks < EARLY_LOOKS) return;
    this.#early = undefined;
    if (early.isLive()) return;
    const { queue } = early;
    this.record('DRV-NOTIFY-EARLY', `queue ${queue}: the driver notified before it set DRIVER_OK`, { queue });
  }

  #look(): void {
    this.#lookForEarly();
    for (const [index, queue] of this.#queues.entries()) if (!this.#paused.has(index)) queue?.look();
    this.#current = undefined;
  }
}

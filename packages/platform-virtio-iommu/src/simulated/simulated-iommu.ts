import { DeviceStatus, type Transport, type WaitResult } from '@virtio-platform/core/device';
import { PHYSICAL_ADDRESS_SPACE, FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import {
  FeatureSet,
  transportCarries,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { DescriptorChain, openDeviceQueue, type DeviceQueue, type QueueAddresses } from '@virtio-platform/core/queue';
import { readChain, writeChain } from '@virtio-platform/device-kit';
import {
  VIRTIO_IOMMU_F_BYPASS,
  VIRTIO_IOMMU_F_BYPASS_CONFIG,
  VIRTIO_IOMMU_F_DOMAIN_RANGE,
  VIRTIO_IOMMU_F_INPUT_RANGE,
  VIRTIO_IOMMU_F_MAP_UNMAP,
  VIRTIO_IOMMU_F_PROBE,
} from '../unit/iommu-features.ts';
import {
  CONFIG_BYPASS,
  CONFIG_BYTES,
  CONFIG_DOMAIN_RANGE,
  CONFIG_INPUT_RANGE,
  CONFIG_PAGE_SIZE_MASK,
  CONFIG_PROBE_SIZE,
  EVENT_ADDRESS,
  EVENT_BYTES,
  EVENT_ENDPOINT,
  EVENT_FLAGS,
  EVENT_QUEUE,
  IOMMU_DEVICE_ID,
  REQUEST_BYTES,
  REQUEST_PROBE,
  REQUEST_QUEUE,
  TAIL_BYTES,
} from '../unit/request-format.ts';
import type { VirtioIommuFacility } from '../unit/virtio-iommu-facility.ts';
import type { SimulatedIommuOptions } from '../virtio-iommu-options.ts';
import { EventRing } from './event-ring.ts';
import { allocateIommuState, BYPASS, EVENT_WORDS, FROZEN, GENERATION, type IommuState } from './iommu-state.ts';
import { PROBE_SIZE, RequestHandler } from './request-handler.ts';

/** Entries of each queue at most, as in QEMU. */
const QUEUE_ENTRIES = 256;
const LONGEST_REQUEST = REQUEST_BYTES[REQUEST_PROBE]!;

interface EnabledQueue {
  readonly queue: DeviceQueue;
  readonly chain: DescriptorChain;
}

/**
 * A virtio-iommu in software, by its registers and queues, in the driver's thread: a notification returns when every
 * request is answered. What it translates is in {@link state}, which the device's thread reads. An event waits there
 * until the driver touches the unit.
 */
export class SimulatedIommu implements VirtioIommuFacility, Transport {
  readonly interface = 'modern';
  readonly deviceId: number = IOMMU_DEVICE_ID;
  readonly carries: FeatureSet = transportCarries('pci');
  readonly queueCount = 2;
  readonly endpoint: number;
  readonly isolatedMsi: boolean;
  readonly state: IommuState;
  readonly #space: DeviceAddressSpace;
  readonly #options: SimulatedIommuOptions;
  readonly #features: FeatureSet;
  readonly #config = new Uint8Array(CONFIG_BYTES);
  readonly #control: Int32Array;
  readonly #handler: RequestHandler;
  readonly #events: EventRing;
  readonly #queues: (EnabledQueue | undefined)[] = [];
  readonly #request = new Uint8Array(LONGEST_REQUEST);
  readonly #requestView = new DataView(this.#request.buffer);
  readonly #answer = new Uint8Array(PROBE_SIZE + TAIL_BYTES);
  readonly #event = new Uint8Array(EVENT_BYTES);
  readonly #words = new Uint32Array(EVENT_WORDS);
  #accepted = FeatureSet.EMPTY;
  #status = 0;
  #notify = false;

  /** `endpoint` is the number of the one device behind it; 00:04.0 unless given. */
  constructor(memory: GuestMemory, options: SimulatedIommuOptions, endpoint: number = 0x20) {
    this.endpoint = endpoint;
    this.#options = options;
    const reserved = options.reserved.map(({ start, size, kind }) => ({
      isMsi: kind === 'msi',
      start,
      end: start + size,
    }));
    this.state = allocateIommuState(options.mappings, reserved);
    this.#control = new Int32Array(this.state.control);
    this.isolatedMsi = options.isolatedMsi;
    this.#handler = new RequestHandler(endpoint, options, this.state);
    this.#events = new EventRing(this.state);
    // The unit reaches all of memory at physical addresses, and is not behind itself.
    this.#space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
    this.#features = offeredFeatures(options);
    this.#writeConfig();
    this.#applyBypass();
  }

  get transport(): Transport {
    return this;
  }

  readDeviceFeatures(): FeatureSet {
    return this.#features;
  }

  /** Ignored after FEATURES_OK. */
  writeDriverFeatures(features: FeatureSet): void {
    if ((this.#status & DeviceStatus.FeaturesOk) === 0) this.#accepted = features;
  }

  readStatus(): number {
    this.#deliver();
    return this.#status;
  }

  /** A reset drops the domain; the field `bypass` keeps its value (specification 1.4 section 5.13.4). */
  writeStatus(status: number): void {
    if (status === 0) return this.#reset();
    const set = status & ~this.#status;
    this.#status |= status & (DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.Failed);
    const mayAccept = this.#accepted.has(VIRTIO_F_VERSION_1) && this.#accepted.minus(this.#features).bits === 0n;
    if ((set & DeviceStatus.FeaturesOk) !== 0 && mayAccept) {
      this.#status |= DeviceStatus.FeaturesOk;
      this.#handler.accept(this.#accepted);
      this.#applyBypass();
    }
    if ((set & DeviceStatus.DriverOk) !== 0 && (this.#status & DeviceStatus.FeaturesOk) !== 0)
      this.#status |= DeviceStatus.DriverOk;
  }

  maxQueueSize(queue: number): number {
    return queue < this.queueCount ? QUEUE_ENTRIES : 0;
  }

  enableQueue(index: number, addresses: QueueAddresses): void {
    const isPossible = index < this.queueCount && addresses.size <= QUEUE_ENTRIES && this.#queues[index] === undefined;
    if (!isPossible) return this.#fail();
    const queue = openDeviceQueue(this.#accepted.has(VIRTIO_F_RING_PACKED) ? 'packed' : 'split', this.#space, {
      addresses,
      eventIdx: this.#accepted.has(VIRTIO_RING_F_EVENT_IDX),
      indirect: this.#accepted.has(VIRTIO_RING_F_INDIRECT_DESC),
    });
    this.#queues[index] = { queue, chain: new DescriptorChain(queue.longestChain) };
  }

  resetQueue(_queue: number): void {
    throw new TypeError('RING_RESET was not negotiated');
  }

  isQueueReset(queue: number): boolean {
    return this.#queues[queue] === undefined;
  }

  notify(queue: number, _next: number): void {
    if (queue === REQUEST_QUEUE) this.#serveRequests();
    else this.#deliver();
  }

  wait(_timeoutMs: number): WaitResult {
    this.#deliver();
    const isNotified = this.#notify;
    this.#notify = false;
    return isNotified ? 'notified' : 'timeout';
  }

  configGeneration(): number {
    return 0;
  }

  readConfig(offset: number, target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.#config[offset + i] ?? 0;
  }

  /** Only `bypass` can be written, with BYPASS_CONFIG; another value than 0 and 1 is an error of the driver. */
  writeConfig(offset: number, source: Uint8Array): void {
    const isBypass = offset === CONFIG_BYPASS && source.length === 1;
    if (!isBypass || !this.#accepted.has(VIRTIO_IOMMU_F_BYPASS_CONFIG)) return;
    if (source[0]! > 1) return this.#fail();
    if (Atomics.load(this.#control, FROZEN) !== 0) return;
    this.#config[CONFIG_BYPASS] = source[0]!;
    this.#applyBypass();
  }

  dispose(): void {}

  /** What becomes of an endpoint without a domain. Before a driver has accepted features it is as at boot. */
  #applyBypass(): void {
    const { bypass, bootBypass } = this.#options;
    const isNegotiated = (this.#status & DeviceStatus.FeaturesOk) !== 0;
    let isOn = this.#config[CONFIG_BYPASS] === 1;
    if (bypass !== 'config') isOn = isNegotiated ? this.#accepted.has(VIRTIO_IOMMU_F_BYPASS) : bootBypass;
    if (Atomics.exchange(this.#control, BYPASS, isOn ? 1 : 0) !== (isOn ? 1 : 0))
      Atomics.add(this.#control, GENERATION, 1);
  }

  #writeConfig(): void {
    const view = new DataView(this.#config.buffer);
    const { pageSize, inputStart, addressWidth, firstDomain, lastDomain, bypass, bootBypass } = this.#options;
    view.setBigUint64(CONFIG_PAGE_SIZE_MASK, BigInt.asUintN(64, -BigInt(pageSize)), true);
    view.setBigUint64(CONFIG_INPUT_RANGE, BigInt(inputStart), true);
    view.setBigUint64(CONFIG_INPUT_RANGE + 8, 2n ** BigInt(addressWidth) - 1n, true);
    view.setUint32(CONFIG_DOMAIN_RANGE, firstDomain, true);
    view.setUint32(CONFIG_DOMAIN_RANGE + 4, lastDomain, true);
    view.setUint32(CONFIG_PROBE_SIZE, PROBE_SIZE, true);
    view.setUint8(CONFIG_BYPASS, bypass === 'config' && bootBypass ? 1 : 0);
  }

  get #isLive(): boolean {
    return (this.#status & (DeviceStatus.DriverOk | DeviceStatus.NeedsReset)) === DeviceStatus.DriverOk;
  }

  #serveRequests(): void {
    const enabled = this.#queues[REQUEST_QUEUE];
    if (enabled === undefined) return;
    const { queue, chain } = enabled;
    do {
      for (let budget = queue.size; budget > 0 && this.#isLive && queue.pop(chain); budget--) {
        const written = this.#serve(chain);
        if (written < 0) return this.#fail();
        queue.push(chain.head, written);
      }
      if (queue.broken !== undefined) return this.#fail();
      if (queue.flush()) this.#notify = true;
    } while (this.#isLive && !queue.enableNotifications());
  }

  /**
   * Answers one request. Returns the bytes that were written, or -1 for one that has no type or no tail, or that is not
   * all in memory.
   */
  #serve(chain: DescriptorChain): number {
    const room = chain.writableBytes;
    if (chain.readableBytes < TAIL_BYTES || room < TAIL_BYTES) return -1;
    const length = Math.min(chain.readableBytes, LONGEST_REQUEST);
    if (!readChain(chain, this.#space, 0, this.#request, 0, length)) return -1;
    const hasRoom = room >= PROBE_SIZE + TAIL_BYTES;
    const properties = this.#request[0] === REQUEST_PROBE && hasRoom ? this.#answer.subarray(0, PROBE_SIZE) : undefined;
    const status = this.#handler.handle(this.#requestView, length, properties);
    const bytes = properties === undefined ? TAIL_BYTES : PROBE_SIZE + TAIL_BYTES;
    this.#answer.fill(0, bytes - TAIL_BYTES, bytes);
    this.#answer[bytes - TAIL_BYTES] = status;
    return writeChain(chain, this.#space, 0, this.#answer, 0, bytes) ? bytes : -1;
  }

  /** Writes events to the buffers of the driver; those without a buffer wait, and a full ring of them drops more. */
  #deliver(): void {
    const enabled = this.#queues[EVENT_QUEUE];
    if (enabled === undefined || !this.#events.hasEvent) return;
    const { queue, chain } = enabled;
    while (this.#isLive && this.#events.hasEvent && queue.pop(chain)) {
      if (chain.readable > 0) return this.#fail();
      this.#events.take(this.#words);
      this.#fillEvent();
      if (!writeChain(chain, this.#space, 0, this.#event, 0, EVENT_BYTES)) return this.#fail();
      queue.push(chain.head, EVENT_BYTES);
    }
    // What finds no buffer is dropped, as by QEMU.
    this.#events.clear();
    if (queue.broken !== undefined) return this.#fail();
    if (queue.flush()) this.#notify = true;
  }

  #fillEvent(): void {
    const view = new DataView(this.#event.buffer);
    const [reason, flags, low, high] = this.#words;
    view.setUint8(0, reason!);
    view.setUint32(EVENT_FLAGS, flags!, true);
    view.setUint32(EVENT_ENDPOINT, this.endpoint, true);
    view.setUint32(EVENT_ADDRESS, low!, true);
    view.setUint32(EVENT_ADDRESS + 4, high!, true);
  }

  #reset(): void {
    this.#status = 0;
    this.#accepted = FeatureSet.EMPTY;
    this.#queues.length = 0;
    this.#notify = false;
    this.#events.clear();
    this.#handler.reset();
    this.#applyBypass();
  }

  /** The error state of section 2.1.2. */
  #fail(): void {
    this.#status |= DeviceStatus.NeedsReset;
    this.#notify = true;
  }
}

function offeredFeatures({ probe, packed, bypass }: SimulatedIommuOptions): FeatureSet {
  let features = FeatureSet.of(
    VIRTIO_F_VERSION_1,
    VIRTIO_RING_F_EVENT_IDX,
    VIRTIO_RING_F_INDIRECT_DESC,
    VIRTIO_IOMMU_F_INPUT_RANGE,
    VIRTIO_IOMMU_F_DOMAIN_RANGE,
    VIRTIO_IOMMU_F_MAP_UNMAP,
  );
  if (packed) features = features.with(VIRTIO_F_RING_PACKED);
  if (probe) features = features.with(VIRTIO_IOMMU_F_PROBE);
  if (bypass === 'config') features = features.with(VIRTIO_IOMMU_F_BYPASS_CONFIG);
  return bypass === 'feature' ? features.with(VIRTIO_IOMMU_F_BYPASS) : features;
}

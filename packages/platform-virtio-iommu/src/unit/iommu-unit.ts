import { nap, resetDevice, startDevice, type Transport } from '@virtio-platform/core/device';
import { DirectDmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import { VIRTIO_F_RING_PACKED, VIRTIO_RING_F_EVENT_IDX, type FeatureSet } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import type { VirtioIommuOptions } from '../virtio-iommu-options.ts';
import { EventBuffers, type IommuEvent } from './event-buffers.ts';
import { readIommuConfig, type IommuConfig } from './iommu-config.ts';
import { VIRTIO_IOMMU_F_PROBE } from './iommu-features.ts';
import type { MappingRequests } from './mapping-requests.ts';
import {
  ATTACH_ENDPOINT,
  ATTACH_FLAGS,
  CONFIG_BYPASS,
  EVENT_QUEUE,
  MAP_FLAGS,
  MAP_PHYSICAL,
  PROBE_ENDPOINT,
  RANGE_END,
  RANGE_START,
  REQUEST_ATTACH,
  REQUEST_BYTES,
  REQUEST_DETACH,
  REQUEST_DOMAIN,
  REQUEST_MAP,
  REQUEST_PROBE,
  REQUEST_QUEUE,
  REQUEST_UNMAP,
  STATUS_IO_ERROR,
  STATUS_OK,
  statusName,
  TAIL_BYTES,
} from './request-format.ts';
import { readReservedRegions, type ReservedRegion } from './reserved-regions.ts';
import { lackedFeature } from './lacked-feature.ts';
import { negotiateWithUnit } from './unit-negotiation.ts';
import { unresponsive, unsupported, type VirtioIommuFacility } from './virtio-iommu-facility.ts';

/** A request of a unit that does not answer any more. */
export const NO_ANSWER = -1;

/** Milliseconds that a unit has for an answer. */
const ANSWER_MS = 5000;
/** Milliseconds between two looks at the ring, once the answer was not there at once. */
const NAP_MS = 0.1;
/** Entries of a queue at most: one request is on its way at a time. */
const REQUEST_ENTRIES = 16;
/** Offset of the tail in the memory of a request: behind the longest one. */
const TAIL_AT = 128;

/**
 * The driver of a virtio-iommu: its queues, and its requests one by one. A request is a buffer of the request queue,
 * which is added, published, notified and taken back before the method returns. Hot, for `map` and `unmap`: no
 * allocation.
 */
export class IommuUnit implements MappingRequests {
  readonly accepted: FeatureSet;
  readonly config: IommuConfig;
  readonly endpoint: number;
  readonly #transport: Transport;
  readonly #memory: GuestMemory;
  readonly #mapping: DirectDmaMapping;
  readonly #requests: Virtqueue;
  readonly #events: Virtqueue;
  readonly #buffers: EventBuffers;
  /** Memory of a request and its tail. */
  readonly #region: DmaRegion;
  readonly #used = new UsedBatch(1);
  readonly #map: ScatterList;
  readonly #unmap: ScatterList;
  readonly #attach: ScatterList;
  readonly #queues: Virtqueue[] = [];
  /** Gives back what was allocated, once the unit is reset: the last first. */
  readonly #given: (() => void)[] = [];
  readonly #lacks: VirtioIommuOptions['lacks'];
  /** Why the unit is given up. */
  #failure: string | undefined;

  /**
   * Starts the unit: negotiation, queues, DRIVER_OK. Throws {@link DmaError} `ERR_IOMMU_UNSUPPORTED`, and what the
   * transport throws; the unit is then reset.
   */
  constructor({ transport, endpoint }: VirtioIommuFacility, memory: GuestMemory, options: VirtioIommuOptions) {
    this.#transport = transport;
    this.#memory = memory;
    this.endpoint = endpoint;
    this.#lacks = options.lacks;
    this.#mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 2 * options.eventBuffers });
    try {
      this.accepted = negotiateWithUnit(transport, options);
      this.config = readIommuConfig(transport, this.accepted);
      this.#requests = this.#openQueue(REQUEST_QUEUE, REQUEST_ENTRIES);
      this.#events = this.#openQueue(EVENT_QUEUE, options.eventBuffers);
      this.#region = this.#mapping.allocateCoherent(TAIL_AT + TAIL_BYTES, 8);
      this.#given.push(() => this.#region.release());
      this.#map = this.#listOf(REQUEST_MAP);
      this.#unmap = this.#listOf(REQUEST_UNMAP);
      this.#attach = this.#listOf(REQUEST_ATTACH);
      this.#requests.disableNotifications();
      this.#buffers = new EventBuffers(memory, this.#mapping, this.#events, options.eventBuffers);
      this.#given.push(() => this.#buffers.dispose());
      transport.enableQueue(REQUEST_QUEUE, this.#requests.addresses);
      transport.enableQueue(EVENT_QUEUE, this.#events.addresses);
      startDevice(transport);
      transport.notify(EVENT_QUEUE, this.#events.nextAvailable);
    } catch (error) {
      this.closeQuietly();
      throw error;
    }
  }

  /** Whether the unit stopped answering. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Writes the field `bypass`, where there is one. */
  writeBypass(isOn: boolean): void {
    if (this.config.bypass !== undefined) this.#transport.writeConfig(CONFIG_BYPASS, Uint8Array.of(isOn ? 1 : 0));
  }

  /** Whether the unit lets endpoints without a domain through now; `undefined` where it does not say. */
  readBypass(): boolean | undefined {
    if (this.config.bypass === undefined) return undefined;
    const byte = new Uint8Array(1);
    this.#transport.readConfig(CONFIG_BYPASS, byte);
    return byte[0] === 1;
  }

  /** Puts the endpoint into the domain. Throws {@link DmaError} where the unit refuses. */
  attach(flags: number): void {
    const at = this.#begin(REQUEST_ATTACH);
    this.#memory.view.setUint32(at + ATTACH_ENDPOINT, this.endpoint, true);
    this.#memory.view.setUint32(at + ATTACH_FLAGS, flags, true);
    const status = this.#send(this.#attach);
    this.#check('ATTACH', status, lackedFeature(this.#lacks, 'ATTACH', status));
  }

  /** Takes the endpoint out of the domain, and with it the domain away. Returns whether the unit confirms that. */
  detach(): boolean {
    const at = this.#begin(REQUEST_DETACH);
    this.#memory.view.setUint32(at + ATTACH_ENDPOINT, this.endpoint, true);
    this.#memory.view.setUint32(at + ATTACH_FLAGS, 0, true);
    return this.#send(this.#attach) === STATUS_OK;
  }

  map(first: number, last: number, physical: number, flags: number): number {
    const at = this.#begin(REQUEST_MAP);
    this.#write64(at + RANGE_START, first);
    this.#write64(at + RANGE_END, last);
    this.#write64(at + MAP_PHYSICAL, physical);
    this.#memory.view.setUint32(at + MAP_FLAGS, flags, true);
    return this.#send(this.#map);
  }

  unmap(first: number, last: number): number {
    const at = this.#begin(REQUEST_UNMAP);
    this.#write64(at + RANGE_START, first);
    this.#write64(at + RANGE_END, last);
    this.#memory.view.setUint32(at + MAP_PHYSICAL, 0, true);
    return this.#send(this.#unmap);
  }

  /**
   * The reserved regions of the endpoint; none where the unit does not tell them. Throws {@link DmaError} where the
   * unit does not answer as it has to.
   */
  probe(): readonly ReservedRegion[] {
    const { probeSize } = this.config;
    if (!this.accepted.has(VIRTIO_IOMMU_F_PROBE) || probeSize === 0) return [];
    const request = REQUEST_BYTES[REQUEST_PROBE]!;
    const region = this.#mapping.allocateCoherent(request + probeSize + TAIL_BYTES, 8);
    const { u8, view } = this.#memory;
    view.setUint8(region.address, REQUEST_PROBE);
    view.setUint32(region.address + PROBE_ENDPOINT, this.endpoint, true);
    const list = new ScatterList(2);
    list.addReadableRegion(region, 0, request);
    list.addWritableRegion(region, request, probeSize + TAIL_BYTES);
    const status = this.#send(list, region.address + request + probeSize, probeSize + TAIL_BYTES);
    // A unit that does not answer still has the memory.
    if (status !== NO_ANSWER) {
      const properties = u8.slice(region.address + request, region.address + request + probeSize);
      region.release();
      this.#check('PROBE', status);
      return readReservedRegions(properties);
    }
    throw unresponsive(`PROBE: ${this.#failure}`);
  }

  /** The events of the unit since the last call. Empty from a unit that stopped answering. */
  takeEvents(): IommuEvent[] {
    if (this.hasFailed) return [];
    // What the device did until now is in the ring when this is answered.
    this.#transport.readStatus();
    return this.#buffers.take(this.#transport);
  }

  /** Resets the unit, which drops all domains. Throws where it does not confirm: then it keeps its memory. */
  close(): void {
    resetDevice(this.#transport);
    for (const queue of this.#queues) queue.reset();
    for (const give of this.#given.splice(0).toReversed()) give();
    this.#mapping.dispose();
  }

  /** Resets the unit, which keeps its memory where it does not confirm: there is nothing else to do. */
  closeQuietly(): boolean {
    try {
      this.close();
      return true;
    } catch {
      return false;
    }
  }

  #openQueue(index: number, wanted: number): Virtqueue {
    const transport = this.#transport;
    const most = transport.maxQueueSize(index);
    if (!(most >= 1)) throw unsupported(`the unit has no queue ${index}`, 'the unit is broken');
    const isPacked = this.accepted.has(VIRTIO_F_RING_PACKED);
    const queue = openVirtqueue(isPacked ? 'packed' : 'split', this.#memory, this.#mapping, {
      index,
      size: 2 ** Math.floor(Math.log2(Math.min(most, Math.max(wanted, 2)))),
      eventIdx: this.accepted.has(VIRTIO_RING_F_EVENT_IDX),
      indirect: 0,
      unmarkedLengths: transport.unmarkedLengths,
      usedLength: 'strict',
    });
    this.#queues.push(queue);
    this.#given.push(() => queue.dispose());
    return queue;
  }

  #listOf(type: number): ScatterList {
    const list = new ScatterList(2);
    list.addReadableRegion(this.#region, 0, REQUEST_BYTES[type]!);
    list.addWritableRegion(this.#region, TAIL_AT, TAIL_BYTES);
    return list;
  }

  /** Writes type and domain, and zeros to what is reserved up to the first field. Returns the request's address. */
  #begin(type: number): number {
    const { address } = this.#region;
    const { view } = this.#memory;
    view.setUint32(address, type, true);
    view.setUint32(address + REQUEST_DOMAIN, this.config.domain, true);
    view.setUint32(address + REQUEST_BYTES[REQUEST_ATTACH]! - 4, 0, true);
    return address;
  }

  #write64(at: number, value: number): void {
    const { view } = this.#memory;
    view.setUint32(at, value >>> 0, true);
    view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  }

  #send(list: ScatterList, tail: number = this.#region.address + TAIL_AT, writable: number = TAIL_BYTES): number {
    if (this.#failure !== undefined) return NO_ANSWER;
    const queue = this.#requests;
    if (queue.add(list) < 0) return this.#giveUp('a request was not taken by its queue');
    if (queue.publish()) this.#transport.notify(REQUEST_QUEUE, queue.nextAvailable);
    if (queue.takeUsed(this.#used) === 0 && !this.#awaitAnswer()) return NO_ANSWER;
    return this.#used.written[0]! < writable ? STATUS_IO_ERROR : this.#memory.u8[tail]!;
  }

  /** Reading the status has a unit in another process do what it was notified of first. */
  #awaitAnswer(): boolean {
    const deadline = performance.now() + ANSWER_MS;
    for (;;) {
      this.#transport.readStatus();
      if (this.#requests.takeUsed(this.#used) > 0) return true;
      const { broken } = this.#requests;
      if (broken !== undefined) {
        this.#giveUp(`the queue is broken: ${broken.code}, ${broken.detail}`);
        return false;
      }
      if (performance.now() > deadline) {
        this.#giveUp(`no answer in ${ANSWER_MS} ms`);
        return false;
      }
      nap(NAP_MS);
    }
  }

  #giveUp(why: string): typeof NO_ANSWER {
    this.#failure = why;
    return NO_ANSWER;
  }

  #check(what: string, status: number, hint?: string): void {
    if (status === STATUS_OK) return;
    if (status === NO_ANSWER) throw unresponsive(`${what}: ${this.#failure}`);
    throw unresponsive(`the unit answers ${what} of endpoint ${this.endpoint} with ${statusName(status)}`, hint);
  }
}

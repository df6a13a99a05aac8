import type { FeatureSet } from '@virtio-platform/core/features';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  VIRTIO_IOMMU_F_BYPASS_CONFIG,
  VIRTIO_IOMMU_F_MAP_UNMAP,
  VIRTIO_IOMMU_F_PROBE,
} from '../unit/iommu-features.ts';
import {
  ACCESS_READ,
  ACCESS_WRITE,
  ATTACH_BYPASS,
  ATTACH_ENDPOINT,
  ATTACH_FLAGS,
  MAP_FLAGS,
  MAP_PHYSICAL,
  PROBE_ENDPOINT,
  PROPERTY_HEAD_BYTES,
  PROPERTY_RESERVED,
  RANGE_END,
  RANGE_START,
  REQUEST_ATTACH,
  REQUEST_BYTES,
  REQUEST_DETACH,
  REQUEST_DOMAIN,
  REQUEST_PROBE,
  REQUEST_UNMAP,
  RESERVED_BYTES,
  RESERVED_MSI,
  STATUS_DEVICE_ERROR,
  STATUS_INVALID,
  STATUS_NO_ENTRY,
  STATUS_NO_MEMORY,
  STATUS_OK,
  STATUS_RANGE,
  STATUS_UNSUPPORTED,
} from '../unit/request-format.ts';
import type { SimulatedIommuOptions } from '../virtio-iommu-options.ts';
import {
  ATTACHED,
  BYPASS_DOMAIN,
  FROZEN,
  GENERATION,
  MAPPED_DOMAIN,
  NO_DOMAIN,
  type IommuState,
} from './iommu-state.ts';
import { MappingList } from './mapping-list.ts';

/** Pages of 4096 bytes in a high word. */
const PAGES_OF_WORD = 2 ** 20;
/** Bytes of the properties of an endpoint that has the most regions, rounded up. */
export const PROBE_SIZE = 512;

/**
 * What a unit does with requests of its driver (specification 1.4 section 5.13.6). It has one endpoint, so there is at
 * most one domain. Where the specification leaves the answer to a device, it refuses. While a device relies on identity
 * addresses, the unit changes nothing: DEVERR. Hot for MAP and UNMAP: no allocation.
 */
export class RequestHandler {
  readonly #endpoint: number;
  readonly #options: SimulatedIommuOptions;
  readonly #control: Int32Array;
  readonly #mappings: MappingList;
  readonly #granulePages: number;
  readonly #firstPage: number;
  readonly #lastPage: number;
  readonly #reserved: IommuState['reserved'];
  #domain = 0;
  /** Of the features that decide requests, those that were accepted: sets of bits would allocate. */
  #hasMapUnmap = false;
  #hasProbe = false;
  #attachFlags = 0;

  constructor(endpoint: number, options: SimulatedIommuOptions, state: IommuState) {
    this.#endpoint = endpoint;
    this.#options = options;
    this.#control = new Int32Array(state.control);
    this.#mappings = new MappingList(state);
    this.#reserved = state.reserved;
    this.#granulePages = options.pageSize / PAGE_SIZE;
    this.#firstPage = options.inputStart / PAGE_SIZE;
    this.#lastPage = 2 ** options.addressWidth / PAGE_SIZE - 1;
  }

  /** Takes what the driver accepted. */
  accept(features: FeatureSet): void {
    this.#hasMapUnmap = features.has(VIRTIO_IOMMU_F_MAP_UNMAP);
    this.#hasProbe = features.has(VIRTIO_IOMMU_F_PROBE);
    this.#attachFlags = features.has(VIRTIO_IOMMU_F_BYPASS_CONFIG) ? ATTACH_BYPASS : 0;
  }

  /** Drops the domain. */
  reset(): void {
    this.#leave();
  }

  /**
   * Does a request of `length` bytes and returns its status. `properties` is filled for a PROBE; without room for them
   * it is `undefined`.
   */
  handle(request: DataView, length: number, properties: Uint8Array | undefined): number {
    const type = request.getUint8(0);
    const bytes = REQUEST_BYTES[type];
    if (bytes === undefined) return STATUS_UNSUPPORTED;
    if (length < bytes) return STATUS_INVALID;
    if (type === REQUEST_PROBE) return this.#probe(request, properties);
    if (Atomics.load(this.#control, FROZEN) !== 0) return STATUS_DEVICE_ERROR;
    if (type === REQUEST_ATTACH) return this.#attach(request);
    if (type === REQUEST_DETACH) return this.#detach(request);
    if (!this.#hasMapUnmap) return STATUS_UNSUPPORTED;
    return this.#change(type, request);
  }

  #attach(request: DataView): number {
    const domain = request.getUint32(REQUEST_DOMAIN, true);
    const flags = request.getUint32(ATTACH_FLAGS, true);
    if (request.getUint32(ATTACH_ENDPOINT, true) !== this.#endpoint) return STATUS_NO_ENTRY;
    if (domain < this.#options.firstDomain || domain > this.#options.lastDomain) return STATUS_RANGE;
    if ((flags & ~this.#attachFlags) !== 0 || request.getUint32(ATTACH_FLAGS + 4, true) !== 0) return STATUS_INVALID;
    const kind = (flags & ATTACH_BYPASS) === 0 ? MAPPED_DOMAIN : BYPASS_DOMAIN;
    const attached = Atomics.load(this.#control, ATTACHED);
    if (attached !== NO_DOMAIN && domain === this.#domain) return attached === kind ? STATUS_OK : STATUS_INVALID;
    // The endpoint leaves the domain that it was in, which ends with its only endpoint.
    this.#leave();
    this.#domain = domain;
    Atomics.store(this.#control, ATTACHED, kind);
    Atomics.add(this.#control, GENERATION, 1);
    return STATUS_OK;
  }

  #detach(request: DataView): number {
    if (request.getUint32(ATTACH_ENDPOINT, true) !== this.#endpoint) return STATUS_NO_ENTRY;
    if (!this.#hasDomain(request)) return STATUS_INVALID;
    this.#leave();
    return STATUS_OK;
  }

  /** MAP and UNMAP. */
  #change(type: number, request: DataView): number {
    if (!this.#hasDomain(request)) return STATUS_NO_ENTRY;
    if (Atomics.load(this.#control, ATTACHED) === BYPASS_DOMAIN) return STATUS_INVALID;
    const startLow = request.getUint32(RANGE_START, true);
    const endLow = request.getUint32(RANGE_END, true);
    const first = request.getUint32(RANGE_START + 4, true) * PAGES_OF_WORD + (startLow >>> 12);
    const last = request.getUint32(RANGE_END + 4, true) * PAGES_OF_WORD + (endLow >>> 12);
    const isAligned = startLow % PAGE_SIZE === 0 && endLow % PAGE_SIZE === PAGE_SIZE - 1;
    if (!isAligned || first % this.#granulePages !== 0 || (last + 1) % this.#granulePages !== 0) return STATUS_RANGE;
    if (last < first) return STATUS_INVALID;
    if (type === REQUEST_UNMAP) return this.#mappings.remove(first, last) ? STATUS_OK : STATUS_RANGE;
    return this.#map(request, first, last);
  }

  #map(request: DataView, first: number, last: number): number {
    const flags = request.getUint32(MAP_FLAGS, true);
    const physicalLow = request.getUint32(MAP_PHYSICAL, true);
    const frame = request.getUint32(MAP_PHYSICAL + 4, true) * PAGES_OF_WORD + (physicalLow >>> 12);
    // Registers of devices are not among what this unit maps (MMIO is not offered).
    if (flags === 0 || (flags & ~(ACCESS_READ | ACCESS_WRITE)) !== 0) return STATUS_INVALID;
    if (physicalLow % PAGE_SIZE !== 0 || frame % this.#granulePages !== 0) return STATUS_RANGE;
    if (first < this.#firstPage || last > this.#lastPage) return STATUS_RANGE;
    if (this.#isReserved(first, last) || this.#mappings.overlaps(first, last)) return STATUS_INVALID;
    return this.#mappings.add(first, last, frame, flags) ? STATUS_OK : STATUS_NO_MEMORY;
  }

  #isReserved(first: number, last: number): boolean {
    const reserved = this.#reserved;
    for (let i = 0; i < reserved.length; i++) {
      const { start, end } = reserved[i]!;
      if (first * PAGE_SIZE < end && (last + 1) * PAGE_SIZE > start) return true;
    }
    return false;
  }

  #probe(request: DataView, properties: Uint8Array | undefined): number {
    if (!this.#hasProbe) return STATUS_UNSUPPORTED;
    if (request.getUint32(PROBE_ENDPOINT, true) !== this.#endpoint) return STATUS_NO_ENTRY;
    if (properties === undefined) return STATUS_INVALID;
    properties.fill(0);
    const view = new DataView(properties.buffer, properties.byteOffset, properties.byteLength);
    for (const [i, { isMsi, start, end }] of this.#reserved.entries()) {
      const at = i * (PROPERTY_HEAD_BYTES + RESERVED_BYTES);
      view.setUint16(at, PROPERTY_RESERVED, true);
      view.setUint16(at + 2, RESERVED_BYTES, true);
      view.setUint8(at + PROPERTY_HEAD_BYTES, isMsi ? RESERVED_MSI : 0);
      view.setBigUint64(at + PROPERTY_HEAD_BYTES + 4, BigInt(start), true);
      view.setBigUint64(at + PROPERTY_HEAD_BYTES + 12, BigInt(end - 1), true);
    }
    return STATUS_OK;
  }

  #hasDomain(request: DataView): boolean {
    return (
      Atomics.load(this.#control, ATTACHED) !== NO_DOMAIN && request.getUint32(REQUEST_DOMAIN, true) === this.#domain
    );
  }

  #leave(): void {
    Atomics.store(this.#control, ATTACHED, NO_DOMAIN);
    this.#mappings.clear();
  }
}

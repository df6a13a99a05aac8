import { FailurePlan } from '@virtio-platform/core/failure';
import type { VirtioIommuFailures } from '../virtio-iommu-options.ts';
import { STATUS_DEVICE_ERROR, STATUS_NO_MEMORY } from './request-format.ts';

/**
 * The two requests of the hot path, for one domain. `first` and `last` are I/O virtual addresses, `last` inclusive.
 * Each returns the status of the answer, or -1 from a unit that does not answer any more. Hot: no allocation.
 */
export interface MappingRequests {
  /** `flags`: ACCESS_READ and ACCESS_WRITE. */
  map(first: number, last: number, physical: number, flags: number): number;
  unmap(first: number, last: number): number;
}

/** Refuses some requests in front of the unit, which does not see them. Hot: no allocation. */
export class FailingRequests implements MappingRequests {
  readonly #inner: MappingRequests;
  readonly #maps: FailurePlan;
  readonly #unmaps: FailurePlan;

  constructor(inner: MappingRequests, failures: VirtioIommuFailures) {
    this.#inner = inner;
    this.#maps = new FailurePlan(failures.map);
    this.#unmaps = new FailurePlan(failures.unmap);
  }

  /** How many calls failed so far, by kind. */
  get failed(): Readonly<Record<string, number>> {
    return FailurePlan.failed({ 'MAP requests': this.#maps, 'UNMAP requests': this.#unmaps });
  }

  map(first: number, last: number, physical: number, flags: number): number {
    return this.#maps.next() ? STATUS_NO_MEMORY : this.#inner.map(first, last, physical, flags);
  }

  unmap(first: number, last: number): number {
    return this.#unmaps.next() ? STATUS_DEVICE_ERROR : this.#inner.unmap(first, last);
  }
}

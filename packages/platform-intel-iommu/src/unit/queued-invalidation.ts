import type { GuestMemory } from '@virtio-platform/core/memory';
import type { GlobalCommands } from './global-commands.ts';
import type { Invalidation } from './invalidation.ts';
import { InvalidationQueue } from './invalidation-queue.ts';
import { INTERRUPT_DESCRIPTOR } from './interrupt-format.ts';
import {
  ALL_PASIDS,
  CONTEXT_DESCRIPTOR,
  DESCRIPTOR_DOMAIN_SHIFT,
  DESCRIPTOR_DRAINS_READS,
  DESCRIPTOR_DRAINS_WRITES,
  DESCRIPTOR_GRANULARITY_SHIFT,
  IOTLB_DESCRIPTOR,
  PASID_DESCRIPTOR,
} from './queue-format.ts';
import type { VtdCapabilities } from './vtd-capabilities.ts';
import type { VtdFacility } from './vtd-facility.ts';
import { DOMAIN_SELECTIVE, GLOBAL, PAGE_SELECTIVE, PAGE_SHIFT } from './vtd-registers.ts';

/** The most descriptors of a batch: contexts, PASIDs, translations. */
const BATCH = 3;

/** Invalidates through a queue in guest memory, which is how Linux drives every unit that has one. */
export class QueuedInvalidation implements Invalidation {
  readonly #queue: InvalidationQueue;
  readonly #cachesPasids: boolean;
  /** First words of the descriptors for translations, by granularity. */
  readonly #iotlb: Int32Array;

  /** Throws {@link DmaError} `ERR_DMA_EXHAUSTED`. */
  constructor(
    memory: GuestMemory,
    facility: VtdFacility,
    commands: GlobalCommands,
    { capabilities, domain }: { readonly capabilities: VtdCapabilities; readonly domain: number },
  ) {
    const { drainsReads, drainsWrites, scalableMode } = capabilities;
    this.#queue = new InvalidationQueue(memory, facility, commands, scalableMode);
    this.#cachesPasids = scalableMode;
    const drain = (drainsReads ? DESCRIPTOR_DRAINS_READS : 0) | (drainsWrites ? DESCRIPTOR_DRAINS_WRITES : 0);
    this.#iotlb = Int32Array.from(
      [0, GLOBAL, DOMAIN_SELECTIVE, PAGE_SELECTIVE],
      (granularity) =>
        IOTLB_DESCRIPTOR | (granularity << DESCRIPTOR_GRANULARITY_SHIFT) | drain | (domain << DESCRIPTOR_DOMAIN_SHIFT),
    );
  }

  enable(): void {
    this.#queue.enable();
  }

  invalidateAll(): boolean {
    const queue = this.#queue;
    if (!queue.hasRoom(BATCH)) return false;
    queue.append(CONTEXT_DESCRIPTOR | (GLOBAL << DESCRIPTOR_GRANULARITY_SHIFT), 0, 0, 0);
    if (this.#cachesPasids) queue.append(PASID_DESCRIPTOR | (ALL_PASIDS << DESCRIPTOR_GRANULARITY_SHIFT), 0, 0, 0);
    queue.append(this.#iotlb[GLOBAL]!, 0, 0, 0);
    return queue.submit();
  }

  invalidateDomain(): boolean {
    if (!this.#queue.hasRoom(1)) return false;
    this.#queue.append(this.#iotlb[DOMAIN_SELECTIVE]!, 0, 0, 0);
    return this.#queue.submit();
  }

  invalidatePages(first: number, mask: number): boolean {
    if (!this.#queue.hasRoom(1)) return false;
    this.#queue.append(this.#iotlb[PAGE_SELECTIVE]!, 0, (first << PAGE_SHIFT) | mask, first >>> 20);
    return this.#queue.submit();
  }

  /** Drops every cached entry of the interrupt remapping table. Returns whether the unit confirmed it. */
  invalidateInterrupts(): boolean {
    if (!this.#queue.hasRoom(1)) return false;
    this.#queue.append(INTERRUPT_DESCRIPTOR, 0, 0, 0);
    return this.#queue.submit();
  }

  disable(): boolean {
    return this.#queue.disable();
  }

  free(): void {
    this.#queue.free();
  }
}

import type { DmaDirection } from '@virtio-platform/core/dma';

/**
 * The I/O virtual addresses of one process, which all its queues share. An implementation chooses the addresses, maps
 * and unmaps there, and counts what is pinned. Memory, addresses and sizes are whole pages of {@link pageSize}.
 */
export interface IovaSpace {
  /** Bytes of an IOMMU page. */
  readonly pageSize: number;
  readonly addressBits: number;
  /** The addresses that it may choose from: first address and bytes of each range. */
  readonly ranges: readonly { readonly start: number; readonly size: number }[];
  /** Bytes mapped; a page that is mapped twice counts twice. */
  readonly pinnedBytes: number;

  /** Bytes of memory to allocate for `length` coherent bytes, so that their I/O virtual address can be aligned too. */
  coherentBytes(length: number, alignment: number): number;
  /**
   * Maps long-lived memory and returns its I/O virtual address. `address` and the result are multiples of `alignment`.
   * Throws {@link DmaError}, and then nothing is mapped.
   */
  pin(address: number, size: number, alignment: number, direction: DmaDirection): number;
  /**
   * Unmaps exactly one pinned range. Returns false when the kernel did not unmap it: then neither this memory nor its
   * addresses are used again.
   */
  unpin(iova: number, size: number): boolean;
  /**
   * Reserves addresses for `count` short-lived mappings of up to `slotBytes`: for smaller and then for fewer ones where
   * addresses are scarce. Throws {@link DmaError} when there are too few addresses for one.
   */
  openSlots(slotBytes: number, count: number): MappingSlots;
  /** Undoes the steps that opening took. The caller has unmapped everything before. */
  close(): void;
}

/** The addresses for the short-lived mappings of one queue. */
export interface MappingSlots {
  /** Largest mapping, in bytes. */
  readonly slotBytes: number;
  /** How many mappings can exist at the same time. */
  readonly count: number;
  /**
   * Returns the I/O virtual address, or a negated errno. After ENOMEM or ENOSPC a later attempt can succeed. Hot: no
   * allocation.
   */
  map(address: number, size: number, direction: DmaDirection): number;
  /** Unmaps exactly one mapping, like `unpin`. Hot: no allocation. */
  unmap(iova: number, size: number): boolean;
  /** Frees the addresses. The caller has unmapped everything before. */
  close(): void;
}

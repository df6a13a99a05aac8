import type { DmaDirection } from '@virtio-platform/core/dma';

/**
 * The I/O virtual addresses of one process, which all its queues share: who chooses them, what it takes to map there, and how
 * much is pinned. Memory, addresses and sizes are whole pages of {@link pageSize}.
 */
export interface IovaSpace {
  /** Bytes of an IOMMU page. */
  readonly pageSize: number;
  readonly addressBits: number;
  /** Bytes mapped, each mapping counted. */
  readonly pinnedBytes: number;
  /** Bytes given up because the kernel did not unmap them: neither memory nor addresses can be used again. */
  readonly leakedBytes: number;

  /** How many bytes of memory to take for `length` coherent ones, so that their I/O virtual address can be aligned too. */
  coherentBytes(length: number, alignment: number): number;
  /**
   * Maps for long and returns where. `address` and the result are multiples of `alignment`. Throws {@link DmaError}, and then
   * nothing is mapped.
   */
  pin(address: number, size: number, alignment: number, direction: DmaDirection): number;
  /** Unmaps exactly what was pinned. Returns false when the kernel did not. */
  unpin(iova: number, size: number): boolean;
  /**
   * Makes room for `count` short mappings of up to `slotBytes`: for smaller and then for fewer ones where addresses are scarce.
   * Throws {@link DmaError} when there is not even room for one.
   */
  openSlots(slotBytes: number, count: number): MappingSlots;
  /** Takes back what was done to be able to map. Everything is unmapped before. */
  close(): void;
}

/** The short mappings of one queue. */
export interface MappingSlots {
  /** Bytes that one mapping can have. */
  readonly slotBytes: number;
  /** How many can live at once. */
  readonly count: number;
  /** Returns where, or a negated errno; ENOMEM and ENOSPC can pass. Hot: no allocation. */
  map(address: number, size: number, direction: DmaDirection): number;
  /** Unmaps exactly what was mapped. Hot: no allocation. */
  unmap(iova: number, size: number): void;
  /** Everything is unmapped before. */
  close(): void;
}

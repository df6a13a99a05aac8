import type { DmaError } from '@virtio-platform/core';

/** A request that the kernel refused. */
export interface RefusedMapping {
  readonly errno: number;
  readonly address: number;
  /** Where; `undefined` when the kernel was to choose. */
  readonly iova: number | undefined;
  readonly size: number;
  /** Bytes that this process has mapped already. */
  readonly pinnedBytes: number;
}

/** Where a process may map at addresses of its own choice, once it did what its kind of container asks for before. */
export interface DmaWindow {
  readonly pageSize: number;
  /** First address and bytes, in order. */
  readonly ranges: readonly { readonly start: number; readonly size: number }[];
  /** Returns 0 or a negated errno. Hot: no allocation. */
  map(address: number, iova: number, size: number, flags: number): number;
  /** Unmaps exactly what was mapped; false when the kernel did not. Hot: no allocation. */
  unmap(iova: number, size: number): boolean;
  /** Says what a refused mapping needed, what the limit is, and what to do. */
  explain(refused: RefusedMapping): DmaError;
  /** Undoes what opening did. */
  close(): void;
}

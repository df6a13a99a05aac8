import type { FacilityToken } from '@virtio-platform/core';
import type { MemoryConversion } from '@virtio-platform/core/memory';

/** Return codes of hypercalls (sPAPR; Linux asm/hvcall.h). */
export const H_SUCCESS = 0;
export const H_HARDWARE = -1;
export const H_FUNCTION = -2;
export const H_PRIVILEGE = -3;
export const H_PARAMETER = -4;
export const H_NO_MEM = -9;
/** Ours for tables that a device relies on as they are: no standard has such a thing. */
export const H_PERMISSION = -11;
export const H_RESOURCE = -16;
/** The only one that Linux takes for a failure of the mapping: it undoes what it wrote, and the request is made again later. */
export const H_NOT_ENOUGH_RESOURCES = -44;

/** Return codes of RTAS calls. */
export const RTAS_SUCCESS = 0;
export const RTAS_HARDWARE_ERROR = -1;
export const RTAS_PARAMETER_ERROR = -3;

/** Permission bits of a translation control entry: the device may read, the device may write. */
export const TCE_READ = 1;
export const TCE_WRITE = 2;

/** The most entries that H_PUT_TCE_INDIRECT takes: one page of them. */
export const TCE_LIST_ENTRIES = 512;

/** A DMA window: a run of bus addresses translated by one table. Sizes in bytes. */
export interface DmaWindow {
  /** Logical I/O bus number, the name of its table. */
  readonly liobn: number;
  /** First bus address: 0 for the default window, 2^59 for a 64-bit one. */
  readonly base: bigint;
  readonly size: number;
  /** log2 of the page size: 12, 16, 21 or 24. */
  readonly pageShift: number;
}

/** What ibm,query-pe-dma-window answers. Only the status counts where it is not RTAS_SUCCESS. */
export interface WindowQuery {
  readonly status: number;
  /** How many more windows can be created. */
  readonly available: number;
  /** Entries of the largest table that can be created. */
  readonly maxEntries: number;
  /** Page shifts that can be asked for. */
  readonly pageShifts: readonly number[];
}

/**
 * The paravirtual IOMMU of a POWER guest as its kernel calls it: four hypercalls and the RTAS calls for windows. A bus
 * address (ioba) includes the window's base. Addresses and entries are low and high words. Returns H_* or RTAS codes.
 */
export interface TceFacility {
  readonly defaultWindow: DmaWindow;
  /** Shares pages of a secure guest with the hypervisor (`uv_share_page`); `undefined` where there is no ultravisor. */
  readonly ultravisor?: MemoryConversion | undefined;
  putTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number): number;
  /** `list` holds low and high words of `count` (1 to 512) entries; entries before a failing one stay applied. */
  putTceIndirect(liobn: number, iobaLow: number, iobaHigh: number, list: Uint32Array, count: number): number;
  /** Writes the same entry `count` times. */
  stuffTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number, count: number): number;
  /** Reads an entry into `words[0]` (low) and `words[1]` (high). */
  getTce(liobn: number, iobaLow: number, iobaHigh: number, words: Uint32Array): number;
  queryWindows(): WindowQuery;
  /** `windowShift` is log2 of the window's bytes. */
  createWindow(pageShift: number, windowShift: number): { readonly status: number; readonly window?: DmaWindow };
  removeWindow(liobn: number): number;
  /** Only the default window is left, and it is empty. An extension of the calls above: `undefined` where the machine lacks it. */
  resetWindows?(): number;
}

export const TCE_FACILITY: FacilityToken = Symbol.for('@virtio-platform/platform-pseries:TceFacility');

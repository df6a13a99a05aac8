import type { FacilityToken } from '@virtio-platform/core';
import type { MemoryConversion } from '@virtio-platform/core/memory';

/** Return code of hypercalls (sPAPR; Linux asm/hvcall.h): success. */
export const H_SUCCESS = 0;
/** Hypercall: a hardware error. */
export const H_HARDWARE = -1;
/** Hypercall: not supported. */
export const H_FUNCTION = -2;
/** Hypercall: the caller lacks the privilege. */
export const H_PRIVILEGE = -3;
/** Hypercall: an invalid parameter. */
export const H_PARAMETER = -4;
/** Hypercall: no memory. */
export const H_NO_MEM = -9;
/**
 * Hypercall: the tables are frozen because a device relies on them. Used by this project only; no standard defines it.
 */
export const H_PERMISSION = -11;
/** Hypercall: no resources. */
export const H_RESOURCE = -16;
/**
 * Hypercall: no resources now. The only code with which Linux fails the mapping: it undoes its entries and retries
 * later.
 */
export const H_NOT_ENOUGH_RESOURCES = -44;

/** Return code of RTAS calls: success. */
export const RTAS_SUCCESS = 0;
/** RTAS: a hardware error. */
export const RTAS_HARDWARE_ERROR = -1;
/** RTAS: an invalid parameter. */
export const RTAS_PARAMETER_ERROR = -3;

/** Permission bit of a translation control entry: the device may read. */
export const TCE_READ = 1;
/** Permission bit of a translation control entry: the device may write. */
export const TCE_WRITE = 2;

/** The most entries that H_PUT_TCE_INDIRECT takes: one page of them. */
export const TCE_LIST_ENTRIES = 512;

/** A DMA window: a run of bus addresses translated by one table. Sizes in bytes. */
export interface DmaWindow {
  /** Logical I/O bus number, the name of its table. */
  readonly liobn: number;
  /** First bus address: by default 0 for the default window, and 2^59 for a 64-bit one. */
  readonly base: bigint;
  readonly size: number;
  /** log2 of the page size: 12, 16, 21 or 24. */
  readonly pageShift: number;
}

/** The answer of ibm,query-pe-dma-window. Unless the status is RTAS_SUCCESS, the other fields are undefined. */
export interface WindowQuery {
  readonly status: number;
  /** How many more windows can be created. */
  readonly available: number;
  /** Entries of the largest table that can be created. */
  readonly maxEntries: number;
  /** Page shifts with which a window can be created. */
  readonly pageShifts: readonly number[];
}

/**
 * The paravirtual IOMMU of a POWER guest as its kernel calls it: four hypercalls and the RTAS calls for windows. A bus
 * address (ioba) includes the window's base. Addresses and entries are low and high words. Returns H_* or RTAS codes.
 */
export interface TceFacility {
  /** The window that is always there, as the `ibm,dma-window` of the device tree says. */
  readonly defaultWindow: DmaWindow;
  /**
   * Whether the firmware lists hcall-multi-tce (`ibm,hypertas-functions`). Where it is `false`, the calls on several
   * entries, `putTceIndirect` and `stuffTce`, answer H_FUNCTION. `undefined` is `true`.
   */
  readonly multiTce?: boolean | undefined;
  /** How many calls failed because a profile says so, by kind; `undefined` where none can. */
  readonly failed?: Readonly<Record<string, number>> | undefined;
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
  /**
   * Leaves the default window alone, empty. An extension of the calls above: `undefined` where the machine lacks it.
   */
  resetWindows?(): number;
}

/** Token of {@link TceFacility}. */
export const TCE_FACILITY: FacilityToken = Symbol.for('@virtio-platform/platform-pseries:TceFacility');

/**
 * Token of the ultravisor of a secure guest, a {@link MemoryConversion}: it shares pages with the hypervisor
 * (`uv_share_page`).
 */
export const ULTRAVISOR_FACILITY: FacilityToken = Symbol.for('@virtio-platform/platform-pseries:Ultravisor');

/** What a machine has for the platform. */
export interface PseriesFacilities {
  readonly tables: TceFacility;
  /** A secure guest needs it. */
  readonly ultravisor?: MemoryConversion | undefined;
}

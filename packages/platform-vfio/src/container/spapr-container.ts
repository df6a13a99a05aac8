/** What VFIO_IOMMU_SPAPR_TCE_GET_INFO tells. */
export interface SpaprInfo {
  /** The 32-bit window at bus address 0, in pages of 4 KiB: its size in bytes. */
  readonly defaultWindowSize: number;
  /** Of version 2: bytes that one TCE of a created window can translate. */
  readonly pageSizes: readonly number[];
  /** Windows there can be at the same time, the default one included. */
  readonly maxWindows: number;
  /** The memory-lock limit in bytes, for messages; `undefined` where unlimited. */
  readonly memoryLockLimit: number | undefined;
}

/** Bytes that one TCE of the default window translates. */
export const DEFAULT_WINDOW_PAGE_SIZE = 4096;

/**
 * A VFIO container of type sPAPR TCE, on a POWER host: the device is translated by tables of TCEs, one for each window of bus
 * addresses. Version 1 is enabled first, and that accounts for the whole window. Version 2 registers memory first, which pins and
 * accounts it once, and can create windows. An operation of the other version is ENOTTY. Returns 0, a bus address, or a negated
 * errno, as the ioctls do (linux/vfio.h; vfio_iommu_spapr_tce.c). A bus address is a multiple of its page, so a number holds it.
 */
export interface SpaprContainer {
  readonly type: 'spapr-v1' | 'spapr-v2';
  info(): SpaprInfo;
  /** VFIO_IOMMU_ENABLE, version 1. */
  enable(): number;
  /** VFIO_IOMMU_DISABLE, version 1. What is mapped stays mapped. */
  disable(): number;
  /** VFIO_IOMMU_SPAPR_REGISTER_MEMORY, version 2: pins and accounts process memory that can be mapped from then on. */
  registerMemory(address: number, size: number): number;
  /** VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, version 2: exactly what was registered. */
  unregisterMemory(address: number, size: number): number;
  /** VFIO_IOMMU_SPAPR_TCE_CREATE, version 2. `size` in bytes, a power of two. Returns the first bus address, which the kernel chooses. */
  createWindow(pageShift: number, size: number, levels: number): number;
  /** VFIO_IOMMU_SPAPR_TCE_REMOVE, version 2: the window with this address, and everything mapped in it. */
  removeWindow(start: number): number;
  /** VFIO_IOMMU_MAP_DMA. Replaces what was mapped there: a table of TCEs knows no mappings that could exist already. */
  mapDma(address: number, iova: number, size: number, flags: number): number;
  /** VFIO_IOMMU_UNMAP_DMA. Returns 0 also where nothing was mapped. */
  unmapDma(iova: number, size: number): number;
}

import type { DmaWindow } from '../tce-facility.ts';

/** What a kernel tells the next one of the windows, as Linux does in the device tree that it hands on. */
export interface FormerWindows {
  /** The 64-bit window that it created: linux,direct64-ddr-window-info or linux,dma64-ddr-window-info. */
  readonly dynamic?: DmaWindow | undefined;
  /** Whether it removed the default window, so that there is no ibm,dma-window. */
  readonly isDefaultRemoved: boolean;
  /** Allocations of guest memory that are a crashed kernel's. They are freed when the kernel after it ends. */
  readonly memory?: readonly number[];
}

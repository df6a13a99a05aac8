import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { EBUSY, EFAULT, EINVAL, ENOMEM, ENOSPC, ENOTTY, ENXIO, EPERM } from '../container/errno.ts';
import { LARGEST_LEVEL, tceLevelBytes, tceTableBytes } from '../container/tce-table.ts';
import {
  DEFAULT_WINDOW_PAGE_SIZE,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  type SpaprContainer,
  type SpaprInfo,
} from '../container/vfio-container.ts';
import type { VfioOptions } from '../options.ts';
import { MemoryLock, RegisteredMemory } from './memory-lock.ts';
import { LARGEST_WINDOW, MOST_LEVELS, WINDOW_COUNT, type TceWindows } from './tce-windows.ts';
const ALL_FLAGS = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
/** First bus addresses of the windows of a PowerNV host bridge. */
const WINDOW_STARTS = [0, 2 ** 59] as const;
const PAGE_SIZES: readonly number[] = [2 ** 12, 2 ** 16, 2 ** 21, 2 ** 24];
/** Bits of a bus address that a table of any number of levels can translate, at most. */
const MOST_ADDRESS_BITS = 54;

/**
 * A simulated sPAPR TCE container of either version, with one group attached. Refuses what Linux refuses, in the order
 * of the kernel's checks (`tce_iommu_ioctl`, `tce_iommu_build`, `tce_iommu_create_window`). Version 1 uses the window
 * that the host has. Version 2 creates a window when it is needed, and charges its table to the memory-lock limit. As
 * the kernel, it keeps the charge of a table that it could then not allocate.
 */
export class SimulatedSpaprContainer implements SpaprContainer {
  readonly type: SpaprContainer['type'];
  readonly #memory: GuestMemory;
  readonly #windows: TceWindows;
  readonly #lock: MemoryLock;
  readonly #registered: RegisteredMemory;
  readonly #defaultWindowSize: number;
  readonly #backingPageSize: number;
  /** Of each window: what its table was charged with, in pages of 4 KiB. */
  readonly #tablePages: number[] = [];
  #isEnabled = false;
  /** Version 2: whether an ioctl was made, from which the kernel knows the process whose memory it accounts. */
  #hasProcess = false;
  #isDefaultPending: boolean;

  constructor(type: SpaprContainer['type'], memory: GuestMemory, windows: TceWindows, options: VfioOptions) {
    const { memoryLockLimit, lockedByProcess, capIpcLock } = options;
    this.type = type;
    this.#memory = memory;
    this.#windows = windows;
    this.#lock = new MemoryLock({ limit: memoryLockLimit, lockedBefore: lockedByProcess, capIpcLock });
    this.#registered = new RegisteredMemory(memory, this.#lock);
    this.#defaultWindowSize = options.defaultWindowSize;
    this.#backingPageSize = options.backingPageSize;
    this.#isDefaultPending = type === 'spapr-v2';
    if (type === 'spapr-v1') windows.open(0, WINDOW_STARTS[0], options.defaultWindowSize, DEFAULT_WINDOW_PAGE_SIZE);
  }

  /** Bytes that count against the memory-lock limit. */
  get lockedBytes(): number {
    return this.#lock.lockedBytes;
  }

  info(): SpaprInfo {
    return {
      defaultWindowSize: this.#defaultWindowSize,
      pageSizes: this.type === 'spapr-v2' ? PAGE_SIZES : [],
      maxLevels: this.type === 'spapr-v2' ? MOST_LEVELS : 1,
      maxWindows: this.type === 'spapr-v2' ? WINDOW_COUNT : 1,
      memoryLockLimit: this.#lock.limit,
      lockedBytes: this.#lock.countedBytes,
    };
  }

  enable(): number {
    if (this.type === 'spapr-v2') return ENOTTY;
    if (this.#isEnabled) return EBUSY;
    if (!this.#lock.charge(this.#defaultWindowSize / PAGE_SIZE)) return ENOMEM;
    this.#isEnabled = true;
    return 0;
  }

  disable(): number {
    if (this.type === 'spapr-v2') return ENOTTY;
    if (this.#isEnabled) this.#lock.release(this.#defaultWindowSize / PAGE_SIZE);
    this.#isEnabled = false;
    return 0;
  }

  registerMemory(address: number, size: number): number {
    if (this.type === 'spapr-v1') return ENOTTY;
    this.#hasProcess = true;
    const result = this.#registered.register(address, size);
    if (result === 0) this.#isEnabled = true;
    return result;
  }

  unregisterMemory(address: number, size: number): number {
    if (this.type === 'spapr-v1') return ENOTTY;
    if (!this.#hasProcess) return EPERM;
    return this.#registered.unregister(address, size);
  }

  createWindow(pageShift: number, size: number, levels: number): number {
    if (this.type === 'spapr-v1') return ENOTTY;
    this.#hasProcess = true;
    const created = this.#createDefaultWindow();
    return created < 0 ? created : this.#createWindow(2 ** pageShift, size, levels);
  }

  removeWindow(start: number): number {
    if (this.type === 'spapr-v1') return ENOTTY;
    this.#hasProcess = true;
    if (this.#isDefaultPending && start === 0) {
      this.#isDefaultPending = false;
      return 0;
    }
    const window = this.#find(start);
    if (window < 0) return EINVAL;
    this.#clear(window, this.#windows.start(window), this.#windows.size(window));
    this.#lock.release(this.#tablePages[window]!);
    this.#windows.close(window);
    return 0;
  }

  mapDma(address: number, iova: number, size: number, flags: number): number {
    if (!this.#isEnabled) return EPERM;
    if ((flags & ~ALL_FLAGS) !== 0) return EINVAL;
    const created = this.#createDefaultWindow();
    if (created < 0) return created;
    const window = this.#find(iova);
    if (window < 0) return ENXIO;
    const pageSize = this.#windows.pageSize(window);
    if (size % pageSize !== 0 || address % pageSize !== 0) return EINVAL;
    if (flags === 0) return EINVAL;
    if (iova % pageSize !== 0 || !this.#isInside(window, iova, size)) return EINVAL;
    for (let done = 0; done < size; done += pageSize) {
      const failure = this.#build(window, address + done, iova + done, flags);
      if (failure === 0) continue;
      this.#clear(window, iova, done);
      return failure;
    }
    return 0;
  }

  unmapDma(iova: number, size: number): number {
    if (!this.#isEnabled) return EPERM;
    const created = this.#createDefaultWindow();
    if (created < 0) return created;
    const window = this.#find(iova);
    if (window < 0) return ENXIO;
    const pageSize = this.#windows.pageSize(window);
    if (size % pageSize !== 0) return EINVAL;
    if (iova % pageSize !== 0 || !this.#isInside(window, iova, size)) return EINVAL;
    this.#clear(window, iova, size);
    return 0;
  }

  /** The kernel creates the default window in the first ioctl that needs it, and fails that ioctl when it cannot. */
  #createDefaultWindow(): number {
    if (!this.#isDefaultPending) return 0;
    const start = this.#createWindow(DEFAULT_WINDOW_PAGE_SIZE, this.#defaultWindowSize, 1);
    if (start < 0) return start;
    this.#isDefaultPending = false;
    return 0;
  }

  #createWindow(pageSize: number, size: number, levels: number): number {
    const window = this.#windows.isOpen(0) ? (this.#windows.isOpen(1) ? -1 : 1) : 0;
    if (window < 0) return ENOSPC;
    if (!PAGE_SIZES.includes(pageSize)) return EINVAL;
    const isTable = Number.isInteger(Math.log2(size)) && size >= pageSize && levels >= 1 && levels <= MOST_LEVELS;
    if (!isTable) return EINVAL;
    const pages = tceTableBytes({ size, pageSize }, levels) / PAGE_SIZE;
    if (!this.#lock.charge(pages)) return ENOMEM;
    const level = tceLevelBytes({ size, pageSize }, levels);
    if (Math.log2(level / 8) * levels + Math.log2(pageSize) > MOST_ADDRESS_BITS) return EINVAL;
    if (level > LARGEST_LEVEL || size > LARGEST_WINDOW) return ENOMEM;
    const start = WINDOW_STARTS[window === 0 ? 0 : 1];
    this.#windows.open(window, start, size, pageSize);
    this.#tablePages[window] = pages;
    return start;
  }

  /** Writes one TCE, and replaces the existing one. */
  #build(window: number, address: number, iova: number, flags: number): number {
    const pageSize = this.#windows.pageSize(window);
    const failure = this.#use(address, pageSize);
    if (failure !== 0) return failure;
    this.#clear(window, iova, pageSize);
    const at = this.#windows.tableAddress(window, this.#offset(window, iova));
    // The flags of the ioctl are the permission bits of an entry.
    if (this.#windows.table.fill(at, pageSize, address, flags)) return 0;
    this.#release(address, pageSize);
    return ENOMEM;
  }

  /**
   * Version 1 pins the memory of one TCE; version 2 finds it registered. EPERM where the TCE's page is larger than the
   * page of the memory: the device would reach more than that page.
   */
  #use(address: number, size: number): number {
    if (this.type === 'spapr-v2') {
      if (!this.#registered.use(address, size)) return EINVAL;
    } else if (!this.#memory.contains(address, size)) return EFAULT;
    if (size <= this.#backingPageSize) return 0;
    this.#release(address, size);
    return EPERM;
  }

  #release(address: number, size: number): void {
    if (this.type === 'spapr-v2') this.#registered.release(address, size);
  }

  #clear(window: number, iova: number, size: number): void {
    const { table } = this.#windows;
    const pageSize = this.#windows.pageSize(window);
    let hasLost = false;
    const first = this.#windows.tableAddress(window, this.#offset(window, iova));
    for (let done = 0; done < size;) {
      const at = first + done;
      const entry = table.entry(at >>> 0, Math.floor(at / 0x1_0000_0000));
      if (entry === 0) {
        // A large window is mostly without tables.
        done += Math.ceil(table.emptyRun(at) / pageSize) * pageSize;
        continue;
      }
      hasLost = true;
      this.#release((entry >>> 2) * PAGE_SIZE, pageSize);
      table.empty(at, pageSize);
      done += pageSize;
    }
    if (hasLost) table.invalidate();
  }

  #find(iova: number): number {
    return this.#windows.find(iova % 0x1_0000_0000, Math.floor(iova / 0x1_0000_0000));
  }

  #offset(window: number, iova: number): number {
    return this.#windows.offset(window, iova % 0x1_0000_0000, Math.floor(iova / 0x1_0000_0000));
  }

  /** The kernel checks the first page of a mapping only; the host's firmware checks the others. */
  #isInside(window: number, iova: number, size: number): boolean {
    return size >= 0 && this.#offset(window, iova) + size <= this.#windows.size(window);
  }
}

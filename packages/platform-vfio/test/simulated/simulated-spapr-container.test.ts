import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import {
  EBUSY,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOMEM,
  ENOSPC,
  ENOTTY,
  ENXIO,
  EPERM,
  simulateVfio,
  SimulatedSpaprContainer,
  VFIO_CONTAINER,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  vfioOptionsSchema,
  type VfioOptionsInput,
} from '@virtio-platform/platform-vfio';

const READ = VFIO_DMA_MAP_FLAG_READ;
const RW = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
const PAGE = PAGE_SIZE;
const KIB64 = 2 ** 16;
const MIB16 = 2 ** 24;
const MEMORY = 32 * 2 ** 20;
const WINDOW = 2 ** 30;
/** Where the second window is. */
const HIGH = 2 ** 59;
/** Bytes of the table of the default window. */
/** The table that the hardware reads, and the kernel's copy of the addresses that the process gave. */
const DEFAULT_TABLE = 2 * (WINDOW / PAGE) * 8;

interface Opened {
  readonly container: SimulatedSpaprContainer;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
}

function open(input: VfioOptionsInput): Opened {
  const memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
  const hardware = simulateVfio(memory, vfioOptionsSchema.parse({ memoryLockLimit: '2GiB', ...input }));
  const container = hardware.facilities.get(VFIO_CONTAINER);
  if (!(container instanceof SimulatedSpaprContainer)) throw new TypeError('not a container of this type');
  const faults = new FaultLog();
  const { state, open: openSpace } = hardware.addressSpace(true);
  return { container, space: openSpace(memory, faults, structuredClone(state)), faults };
}

/** Version 1, enabled. */
function openV1(input: VfioOptionsInput = {}): Opened {
  const opened = open({ container: 'spapr-v1', ...input });
  expect(opened.container.enable()).toBe(0);
  return opened;
}

/** Version 2, with all memory registered. */
function openV2(input: VfioOptionsInput = {}): Opened {
  const opened = open({ container: 'spapr-v2', ...input });
  expect(opened.container.registerMemory(0, MEMORY)).toBe(0);
  return opened;
}

/** Where a device finds a bus address, or -1. */
function borrow({ space }: Opened, address: number, length = 16): number {
  return space.borrow(address % 2 ** 32, Math.floor(address / 2 ** 32), length, 'read');
}

describe('SimulatedSpaprContainer of version 1', () => {
  it('charges the whole window when it is enabled, and nothing when something is mapped', () => {
    const { container } = openV1();
    expect(container.lockedBytes).toBe(WINDOW);
    expect(container.mapDma(0, 0, PAGE, RW)).toBe(0);
    expect(container.lockedBytes).toBe(WINDOW);
    expect(container.disable()).toBe(0);
    expect(container.disable()).toBe(0);
    expect(container.lockedBytes).toBe(0);
  });

  it('gives ENOMEM to be enabled below the size of the window, unless the process has CAP_IPC_LOCK', () => {
    expect(open({ container: 'spapr-v1', memoryLockLimit: WINDOW - PAGE }).container.enable()).toBe(ENOMEM);
    const elsewhere = { memoryLockLimit: WINDOW, lockedByProcess: PAGE };
    expect(open({ container: 'spapr-v1', ...elsewhere }).container.enable()).toBe(ENOMEM);
    expect(open({ container: 'spapr-v1', memoryLockLimit: WINDOW }).container.enable()).toBe(0);
    expect(open({ container: 'spapr-v1', memoryLockLimit: PAGE, capIpcLock: true }).container.enable()).toBe(0);
  });

  it('gives EBUSY to be enabled twice, before anything about memory', () => {
    const { container } = openV1({ memoryLockLimit: WINDOW });
    expect(container.enable()).toBe(EBUSY);
    expect(container.lockedBytes).toBe(WINDOW);
  });

  it('gives EPERM before it is enabled, whatever else is wrong', () => {
    const { container } = open({ container: 'spapr-v1' });
    expect(container.mapDma(16, WINDOW, 100, 8)).toBe(EPERM);
    expect(container.unmapDma(WINDOW, 100)).toBe(EPERM);
  });

  it.each([
    ['EINVAL for an unknown flag, outside of every window too', 16, WINDOW, 100, 8, EINVAL],
    ['ENXIO outside of every window, unaligned and without permissions too', 16, WINDOW, 100, 0, ENXIO],
    ['EINVAL for a size inside a page', 0, 0, 100, RW, EINVAL],
    ['EINVAL for memory inside a page', 16, 0, PAGE, RW, EINVAL],
    ['EINVAL for neither read nor write', 0, 0, PAGE, 0, EINVAL],
    ['EINVAL for a bus address inside a page', 0, 16, PAGE, RW, EINVAL],
    [
      'EINVAL for a range over the end of the window, of memory that is not there too',
      MEMORY,
      WINDOW - PAGE,
      2 * PAGE,
      RW,
      EINVAL,
    ],
    ['EFAULT for memory that is not there', MEMORY, 0, PAGE, RW, EFAULT],
    ['ENXIO for a negative address', 0, -PAGE, PAGE, RW, ENXIO],
    ['ENXIO for no address', 0, Number.NaN, PAGE, RW, ENXIO],
  ])('gives %s', (_what, address, iova, size, flags, errno) => {
    expect(openV1().container.mapDma(address, iova, size, flags)).toBe(errno);
  });

  it('takes back the first pages of a mapping whose last is not there, and what they replaced is gone', () => {
    const opened = openV1();
    opened.container.mapDma(0, 0, PAGE, RW);
    expect(opened.container.mapDma(MEMORY - PAGE, 0, 2 * PAGE, RW)).toBe(EFAULT);
    expect(borrow(opened, 0)).toBe(-1);
  });

  it('replaces what is mapped: EEXIST is unknown here', () => {
    const opened = openV1();
    opened.container.mapDma(0, 0, 2 * PAGE, RW);
    expect(opened.container.mapDma(8 * PAGE, PAGE, PAGE, READ)).toBe(0);
    expect([borrow(opened, 0), borrow(opened, PAGE)]).toEqual([0, 8 * PAGE]);
  });

  it.each([
    ['ENXIO outside of every window, unaligned too', WINDOW, 100, ENXIO],
    ['EINVAL for a size inside a page', 0, 100, EINVAL],
    ['EINVAL for a bus address inside a page', 16, PAGE, EINVAL],
    ['EINVAL for a range over the end of the window', WINDOW - PAGE, 2 * PAGE, EINVAL],
    ['0 where nothing is mapped', 0, 8 * PAGE, 0],
  ])('gives, to unmap, %s', (_what, iova, size, errno) => {
    expect(openV1().container.unmapDma(iova, size)).toBe(errno);
  });

  it('unmaps part of a mapping, and the device faults there at once', () => {
    const opened = openV1();
    opened.container.mapDma(0, 0, 4 * PAGE, RW);
    const { generation } = opened.space;
    expect(opened.container.unmapDma(PAGE, 2 * PAGE)).toBe(0);
    expect(opened.space.generation).not.toBe(generation);
    expect([0, 1, 2, 3].map((page) => borrow(opened, page * PAGE))).toEqual([0, -1, -1, 3 * PAGE]);
    expect(opened.faults.entries.map(({ cause }) => cause)).toEqual(['unmapped', 'unmapped']);
  });

  it('has no operation of version 2', () => {
    const { container } = openV1();
    expect(container.registerMemory(0, PAGE)).toBe(ENOTTY);
    expect(container.unregisterMemory(0, PAGE)).toBe(ENOTTY);
    expect(container.createWindow(12, WINDOW, 1)).toBe(ENOTTY);
    expect(container.removeWindow(0)).toBe(ENOTTY);
    expect(container.info()).toMatchObject({ pageSizes: [], maxWindows: 1 });
  });
});

describe('SimulatedSpaprContainer.registerMemory', () => {
  it('pins and charges once, however often it is mapped', () => {
    const { container } = openV2();
    expect(container.lockedBytes).toBe(MEMORY);
    container.mapDma(0, 0, PAGE, RW);
    container.mapDma(0, PAGE, PAGE, RW);
    expect(container.lockedBytes).toBe(MEMORY + DEFAULT_TABLE);
  });

  it('gives EINVAL for what is not whole pages, EBUSY again, ENOMEM, EFAULT, and EINVAL for an overlap, in this order', () => {
    const { container } = open({ container: 'spapr-v2', memoryLockLimit: 8 * PAGE });
    expect(container.registerMemory(0, 4 * PAGE)).toBe(0);
    expect(container.registerMemory(16, 2 ** 40)).toBe(EINVAL);
    expect(container.registerMemory(0, 100)).toBe(EINVAL);
    expect(container.registerMemory(2 ** 64 - PAGE, 2 * PAGE)).toBe(EINVAL);
    expect(container.registerMemory(0, 4 * PAGE)).toBe(EBUSY);
    expect(container.registerMemory(MEMORY - PAGE, 5 * PAGE)).toBe(ENOMEM);
    expect(container.registerMemory(MEMORY - PAGE, 2 * PAGE)).toBe(EFAULT);
    expect(container.registerMemory(3 * PAGE, 2 * PAGE)).toBe(EINVAL);
    expect(container.lockedBytes).toBe(4 * PAGE);
    expect(container.registerMemory(4 * PAGE, 4 * PAGE)).toBe(0);
  });
});

describe('SimulatedSpaprContainer.unregisterMemory', () => {
  it('gives EPERM before anything else was asked, EINVAL inside a page, and ENOENT for what is not exactly registered', () => {
    const { container } = open({ container: 'spapr-v2' });
    expect(container.unregisterMemory(16, PAGE)).toBe(EPERM);
    container.registerMemory(0, 4 * PAGE);
    expect(container.unregisterMemory(16, PAGE)).toBe(EINVAL);
    expect(container.unregisterMemory(0, 2 * PAGE)).toBe(ENOENT);
    expect(container.unregisterMemory(PAGE, 3 * PAGE)).toBe(ENOENT);
    expect(container.unregisterMemory(0, 4 * PAGE)).toBe(0);
    expect(container.unregisterMemory(0, 4 * PAGE)).toBe(ENOENT);
    expect(container.lockedBytes).toBe(0);
  });

  it('gives EBUSY while a TCE points there, also one that was replaced elsewhere', () => {
    const { container } = openV2();
    container.mapDma(0, 0, 2 * PAGE, RW);
    container.mapDma(4 * PAGE, 0, PAGE, RW);
    expect(container.unregisterMemory(0, MEMORY)).toBe(EBUSY);
    container.unmapDma(0, PAGE);
    expect(container.unregisterMemory(0, MEMORY)).toBe(EBUSY);
    container.unmapDma(0, 2 * PAGE);
    expect(container.unregisterMemory(0, MEMORY)).toBe(0);
    // What was enabled by the first registration stays so.
    expect(container.mapDma(0, 0, PAGE, RW)).toBe(EINVAL);
  });
});

describe('SimulatedSpaprContainer.mapDma of version 2', () => {
  it('gives EPERM before the first registration, and cannot be enabled', () => {
    const { container } = open({ container: 'spapr-v2' });
    expect(container.enable()).toBe(ENOTTY);
    expect(container.disable()).toBe(ENOTTY);
    expect(container.mapDma(0, 0, PAGE, RW)).toBe(EPERM);
    expect(container.unmapDma(0, PAGE)).toBe(EPERM);
  });

  it('gives EINVAL for memory that is not registered, or only in part, and undoes what it did', () => {
    const opened = open({ container: 'spapr-v2' });
    const { container } = opened;
    container.registerMemory(0, 4 * PAGE);
    container.registerMemory(4 * PAGE, 4 * PAGE);
    expect(container.mapDma(8 * PAGE, 0, PAGE, RW)).toBe(EINVAL);
    expect(container.mapDma(7 * PAGE, 0, 2 * PAGE, RW)).toBe(EINVAL);
    expect(borrow(opened, 0)).toBe(-1);
    expect(container.unregisterMemory(4 * PAGE, 4 * PAGE)).toBe(0);
    // Each TCE has to lie in one registration, not the mapping.
    container.registerMemory(4 * PAGE, 4 * PAGE);
    expect(container.mapDma(2 * PAGE, 0, 4 * PAGE, RW)).toBe(0);
  });

  it('gives EPERM for a TCE that would show more than one page of the memory behind it', () => {
    const { container } = openV2();
    const window = container.createWindow(24, WINDOW, 1);
    expect(container.mapDma(MEMORY, window, MIB16, RW)).toBe(EINVAL);
    expect(container.mapDma(0, window, MIB16, RW)).toBe(EPERM);
    expect(container.removeWindow(window)).toBe(0);
    expect(container.unregisterMemory(0, MEMORY)).toBe(0);
    const huge = openV2({ backingPageSize: '16MiB' });
    expect(huge.container.createWindow(24, WINDOW, 1)).toBe(HIGH);
    expect(huge.container.mapDma(MIB16, HIGH, MIB16, RW)).toBe(0);
    expect(borrow(huge, HIGH + 4 * PAGE, MIB16 - 4 * PAGE)).toBe(MIB16 + 4 * PAGE);
  });

  it('creates the default window with the first need for it, and fails that when there is no memory for its table', () => {
    const opened = openV2();
    expect(borrow(opened, 0)).toBe(-1);
    expect(opened.faults.entries[0]).toMatchObject({ cause: 'outside-window' });
    expect(opened.container.lockedBytes).toBe(MEMORY);
    expect(opened.container.unmapDma(0, PAGE)).toBe(0);
    expect(opened.container.lockedBytes).toBe(MEMORY + DEFAULT_TABLE);
    const poor = openV2({ memoryLockLimit: MEMORY + DEFAULT_TABLE - PAGE });
    expect(poor.container.mapDma(16, WINDOW, 100, RW | 8)).toBe(EINVAL);
    expect(poor.container.mapDma(16, WINDOW, 100, RW)).toBe(ENOMEM);
    expect(poor.container.unmapDma(WINDOW, 100)).toBe(ENOMEM);
    expect(poor.container.createWindow(16, 2 ** 21, 1)).toBe(ENOMEM);
  });
});

describe('SimulatedSpaprContainer.createWindow', () => {
  it('puts the second window at 2^59, each in pages of its own, and a device reaches both', () => {
    const opened = openV2();
    const { container } = opened;
    expect(container.createWindow(16, 2 ** 31, 1)).toBe(HIGH);
    expect(container.lockedBytes).toBe(MEMORY + DEFAULT_TABLE + 2 * (2 ** 31 / KIB64) * 8);
    expect(container.mapDma(0, 0, PAGE, RW)).toBe(0);
    expect(container.mapDma(KIB64, HIGH, PAGE, RW)).toBe(EINVAL);
    expect(container.mapDma(PAGE, HIGH, KIB64, RW)).toBe(EINVAL);
    expect(container.mapDma(KIB64, HIGH + PAGE, KIB64, RW)).toBe(EINVAL);
    expect(container.mapDma(KIB64, HIGH + 2 ** 31 - KIB64, 2 * KIB64, RW)).toBe(EINVAL);
    expect(container.mapDma(KIB64, HIGH + 2 ** 31 - KIB64, KIB64, RW)).toBe(0);
    expect(container.mapDma(KIB64, HIGH + 2 ** 31, KIB64, RW)).toBe(ENXIO);
    expect([borrow(opened, 0), borrow(opened, HIGH + 2 ** 31 - KIB64, KIB64)]).toEqual([0, KIB64]);
    expect([borrow(opened, HIGH), borrow(opened, WINDOW), borrow(opened, HIGH + 2 ** 31)]).toEqual([-1, -1, -1]);
    expect(opened.faults.entries.map(({ cause }) => cause)).toEqual(['unmapped', 'outside-window', 'outside-window']);
  });

  it('gives ENOSPC for a third, before it looks at what is asked', () => {
    const { container } = openV2();
    container.createWindow(16, WINDOW, 1);
    expect(container.createWindow(13, 100, 0)).toBe(ENOSPC);
    expect(container.info().maxWindows).toBe(2);
  });

  it.each([
    ['a page that the host has not', 13, WINDOW, 1],
    ['a size that is no power of two', 12, 3 * WINDOW, 1],
    ['a size below a page', 24, 2 ** 20, 1],
    ['no levels', 12, WINDOW, 0],
    ['too many levels', 12, WINDOW, 6],
  ])('gives EINVAL for %s, however little memory there is', (_what, pageShift, size, levels) => {
    const { container } = openV2({ memoryLockLimit: MEMORY + DEFAULT_TABLE });
    expect(container.createWindow(pageShift, size, levels)).toBe(EINVAL);
    expect(container.createWindow(12, WINDOW, 1)).toBe(ENOMEM);
    expect(container.lockedBytes).toBe(MEMORY + DEFAULT_TABLE);
  });
});

describe('SimulatedSpaprContainer.removeWindow', () => {
  it('takes everything mapped in it, its table, and what it held registered', () => {
    const opened = openV2();
    const { container, space } = opened;
    const window = container.createWindow(16, WINDOW, 1);
    container.mapDma(0, window, 4 * KIB64, RW);
    expect(borrow(opened, window)).toBe(0);
    const { generation } = space;
    expect(container.removeWindow(window)).toBe(0);
    expect(space.generation).not.toBe(generation);
    expect(borrow(opened, window)).toBe(-1);
    expect(opened.faults.entries).toMatchObject([{ cause: 'outside-window' }]);
    expect(container.unregisterMemory(0, MEMORY)).toBe(0);
    expect(container.lockedBytes).toBe(DEFAULT_TABLE);
    expect(container.removeWindow(window)).toBe(EINVAL);
    // Another one there has none of its entries.
    container.registerMemory(0, MEMORY);
    expect(container.createWindow(16, WINDOW, 1)).toBe(window);
    expect(borrow(opened, window)).toBe(-1);
  });

  it('forgoes a default window that was never needed, and the next one is at 0, of any page', () => {
    const opened = openV2();
    expect(opened.container.removeWindow(0)).toBe(0);
    expect(opened.container.removeWindow(0)).toBe(EINVAL);
    expect(opened.container.mapDma(0, 0, PAGE, RW)).toBe(ENXIO);
    expect(opened.container.createWindow(16, WINDOW, 1)).toBe(0);
    expect(opened.container.mapDma(KIB64, 0, KIB64, RW)).toBe(0);
    expect(borrow(opened, PAGE)).toBe(KIB64 + PAGE);
  });
});

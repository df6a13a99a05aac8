import { GuestMemory } from '@virtio-platform/core/memory';
import {
  EINVAL,
  ENOMEM,
  SimulatedSpaprContainer,
  TceWindows,
  vfioOptionsSchema,
  type SpaprContainer,
} from '@virtio-platform/platform-vfio';
import { DmaDirection } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';
import { fewestLevels, tceLevelBytes, tceTableBytes } from '../src/container/tce-table.ts';
import { startProcess } from './user-process.ts';

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const MEMORY = 4 * MIB;
/** The table of the 32-bit window of 1 GiB. */
const DEFAULT_TABLE = 4 * MIB;
/** 4194304 TCEs: a table of 32 MiB. */
const LARGE = { pageSize: 64 * KIB, size: 256 * GIB };

function open(memoryLockLimit: number): SimulatedSpaprContainer {
  const options = vfioOptionsSchema.parse({ container: 'spapr-v2', memoryLockLimit });
  const memory = new GuestMemory(new SharedArrayBuffer(MEMORY));
  return new SimulatedSpaprContainer('spapr-v2', memory, TceWindows.create(), options);
}

describe('the table of a window', () => {
  it.each([
    // Window, levels, bytes of one level, bytes that count.
    [{ pageSize: 4 * KIB, size: GIB }, 1, 2 * MIB, 4 * MIB],
    [{ pageSize: 64 * KIB, size: 2 * GIB }, 1, 256 * KIB, 512 * KIB],
    // No level is smaller than a page of the kernel.
    [{ pageSize: 16 * MIB, size: 16 * MIB }, 1, 64 * KIB, 128 * KIB],
    [LARGE, 1, 32 * MIB, 64 * MIB],
    // 2^22 TCEs in two levels of 2^11 entries, each in a page of the kernel that has room for 2^13.
    [LARGE, 2, 64 * KIB, 2 * (32 * MIB + 64 * KIB)],
    [{ pageSize: 2 * MIB, size: 2 ** 46 }, 2, 64 * KIB, 2 * (256 * MIB + 64 * KIB)],
  ])('for %o with %d levels has levels of %d bytes, and counts %d', (window, levels, level, bytes) => {
    expect([tceLevelBytes(window, levels), tceTableBytes(window, levels)]).toEqual([level, bytes]);
  });

  it('has as few levels as fit into one piece of memory each', () => {
    expect(fewestLevels({ pageSize: 4 * KIB, size: GIB }, 5)).toBe(1);
    expect(fewestLevels({ pageSize: 64 * KIB, size: 128 * GIB }, 5)).toBe(1);
    expect(fewestLevels(LARGE, 5)).toBe(2);
    expect(fewestLevels(LARGE, 1)).toBe(1);
  });
});

describe('a window with more TCEs than one piece of memory holds', () => {
  it('needs levels; and what was counted for a table that was not allocated stays counted, as in the kernel', () => {
    const container = open(GIB);
    expect(container.createWindow(16, LARGE.size, 1)).toBe(ENOMEM);
    expect(container.lockedBytes).toBe(DEFAULT_TABLE + 64 * MIB);
    const start = container.createWindow(16, LARGE.size, 2);
    expect(start).toBe(2 ** 59);
    expect(container.lockedBytes).toBe(DEFAULT_TABLE + 64 * MIB + tceTableBytes(LARGE, 2));
    // Removing it looks at no entry that is not there: it takes no time.
    expect(container.removeWindow(start)).toBe(0);
    expect(container.lockedBytes).toBe(DEFAULT_TABLE + 64 * MIB);
  });

  it('is EINVAL with more levels than a bus address has bits for', () => {
    expect(open(2 ** 40).createWindow(21, 2 ** 46, 3)).toBe(EINVAL);
  });

  it('is created with as few levels as it needs, and mapped up to its end', () => {
    const { platform, memory, container, space } = startProcess<SpaprContainer>({
      container: 'spapr-v2',
      window: { size: '256GiB' },
      memoryLockLimit: '128MiB',
    });
    const mapping = platform.openMapping('translated', { queue: 0, capacity: 8 });
    expect(container.info().lockedBytes).toBe(memory.size + DEFAULT_TABLE + tceTableBytes(LARGE, 2));
    const words = new Uint32Array(2);
    const address = memory.allocate(64 * KIB, 64 * KIB);
    mapping.map(address, 64 * KIB, DmaDirection.ToDevice, words, 0);
    expect(space.borrow(words[0]!, words[1]!, 64 * KIB, 'read')).toBe(address);
    const last = 2 ** 59 + LARGE.size - 64 * KIB;
    expect(container.mapDma(address, last, 64 * KIB, 1)).toBe(0);
    expect(space.borrow(last % 2 ** 32, Math.floor(last / 2 ** 32), 16, 'read')).toBe(address);
  });
});

import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { DmaDirection } from '@virtio-platform/core/dma';
import {
  ENOMEM,
  ENOSPC,
  type IommufdIoas,
  type Type1Container,
  type VfioOptionsInput,
} from '@virtio-platform/platform-vfio';
import { describe, expect, it } from 'vitest';
import { startProcess } from '../user-process.ts';

const PAGE = PAGE_SIZE;
const RW = 3;
const MIB = 2 ** 20;

type Shared = Type1Container | IommufdIoas;

/** Maps `bytes` for the device of the process. Returns 0 or a negated errno. */
function map(container: Shared, bytes: number): number {
  if (container.type === 'iommufd') return Math.min(container.map(0, 0, bytes, 6), 0);
  return container.mapDma(0, 0, bytes, RW);
}

const KINDS = ['type1', 'type1v2', 'iommufd', 'iommufd-type1', 'iommufd-type1v2'] as const;

describe.each(KINDS)('other devices beside a container of %s', (container) => {
  const open = (input: VfioOptionsInput) => startProcess<Shared>({ container, memoryLockLimit: '2MiB', ...input });

  it('lock memory of the same limit, in this container or in one of their own', () => {
    for (const where of ['shared', 'own'] as const) {
      const { container: opened } = open({ otherDevices: [{ name: 'net0', maps: MIB, container: where }] });
      expect(opened.info().lockedBytes).toBe(MIB);
      expect(map(opened, MIB + PAGE)).toBe(ENOMEM);
      expect(map(opened, MIB)).toBe(0);
      expect(opened.otherDevices).toEqual([{ name: 'net0', mappedBytes: MIB, errno: 0 }]);
    }
  });

  it('are refused themselves where they come later, and the first device keeps what it has', () => {
    const otherDevices = [
      { name: 'net1', maps: MIB, afterMappings: 1 },
      { name: 'net0', maps: MIB },
    ];
    const { container: opened } = open({ otherDevices });
    expect(opened.otherDevices![1]).toEqual({ name: 'net1', mappedBytes: 0, errno: 0 });
    expect(map(opened, PAGE)).toBe(0);
    expect(opened.otherDevices).toEqual([
      { name: 'net0', mappedBytes: MIB, errno: 0 },
      { name: 'net1', mappedBytes: 0, errno: ENOMEM },
    ]);
    expect(opened.info().lockedBytes).toBe(MIB + PAGE);
  });

  it('let a device reach their memory only in the same container', () => {
    for (const where of ['shared', 'own'] as const) {
      const { space } = open({ otherDevices: [{ name: 'net0', maps: MIB, container: where }] });
      const last = 2 ** 39 - MIB;
      const found = space.borrow(last % 2 ** 32, Math.floor(last / 2 ** 32), 16, 'read');
      expect(found >= 0).toBe(where === 'shared');
    }
  });
});

describe('other devices in a container of type 1', () => {
  it('take entries of its limit', () => {
    const otherDevices = [{ name: 'net0', maps: PAGE }];
    const { container } = startProcess({ entryLimit: 2, otherDevices });
    expect(container.info().available).toBe(1);
    expect(container.mapDma(0, 0, PAGE, RW)).toBe(0);
    expect(container.mapDma(0, PAGE, PAGE, RW)).toBe(ENOSPC);
  });

  it('are in the statistics of the platform, and their locked memory in the error of a refused device', () => {
    const otherDevices = [
      { name: 'net0', maps: 7 * MIB, container: 'own' },
      { name: 'net1', maps: 7 * MIB, container: 'own' },
    ] as const;
    const { platform, memory } = startProcess({ otherDevices });
    expect(platform.statistics).toEqual({
      'bytes of other devices': { net0: 7 * MIB, net1: 0 },
      'refused to other devices, errno': { net1: 12 },
    });
    const mapping = platform.openMapping('translated', { queue: 0, capacity: 8 });
    expect(() => mapping.premap(memory.allocate(2 * MIB), 2 * MIB, DmaDirection.ToDevice)).toThrow(
      /ENOMEM; 0 bytes are pinned, of the 8388608 that may be and of which others hold 7340032/,
    );
  });
});

import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  EFAULT,
  EINVAL,
  ENOMEM,
  IoPageTable,
  SimulatedCompatContainer,
  SimulatedIoas,
  SimulatedType1Container,
  vfioOptionsSchema,
  type VfioOptions,
  type VfioOptionsInput,
} from '@virtio-platform/platform-vfio';
import { describe, expect, it } from 'vitest';

const RW = 3;
const KIB16 = 2 ** 14;
const KIB64 = 2 ** 16;
const MEMORY = 4 * 2 ** 20;

function parts(input: VfioOptionsInput): [GuestMemory, IoPageTable, VfioOptions] {
  const options = vfioOptionsSchema.parse(input);
  return [new GuestMemory(new SharedArrayBuffer(MEMORY)), IoPageTable.create(options.addressWidth), options];
}

describe('a container of type 1 with large pages', () => {
  it.each([
    ['of the IOMMU', { pageSize: '16KiB' }, KIB16],
    ['of the kernel', { hostPageSize: '16KiB' }, KIB16],
    ['of both', { pageSize: '16KiB', hostPageSize: '64KiB' }, KIB64],
  ] as const)('%s maps and unmaps nothing smaller', (_what, input, page) => {
    const container = new SimulatedType1Container('type1v2', ...parts(input));
    expect(container.info().pageSize).toBe(page);
    expect(container.mapDma(0, 0, PAGE_SIZE, RW)).toBe(EINVAL);
    expect(container.mapDma(PAGE_SIZE, 0, page, RW)).toBe(EINVAL);
    expect(container.mapDma(0, PAGE_SIZE, page, RW)).toBe(EINVAL);
    expect(container.mapDma(page, 0, page, RW)).toBe(0);
    expect(container.lockedBytes).toBe(page);
    expect(container.unmapDma(0, PAGE_SIZE)).toBe(EINVAL);
    expect(container.unmapDma(PAGE_SIZE, page)).toBe(EINVAL);
    expect(container.unmapDma(0, page)).toBe(page);
  });

  it('maps no memory in smaller pages, which need not lie side by side, after it looked at the first of them', () => {
    const small = { pageSize: '64KiB', hostPageSize: '4KiB' } as const;
    const container = new SimulatedType1Container('type1v2', ...parts(small));
    expect(container.info().pageSize).toBe(KIB64);
    expect(container.mapDma(0, 0, KIB64, RW)).toBe(EINVAL);
    expect(container.mapDma(MEMORY, 0, KIB64, RW)).toBe(EFAULT);
    const poor = new SimulatedType1Container('type1v2', ...parts({ ...small, memoryLockLimit: '1B' }));
    expect(poor.mapDma(0, 0, KIB64, RW)).toBe(ENOMEM);
    expect(container.lockedBytes).toBe(0);
  });
});

describe('an address space of iommufd on a kernel with pages of 64 KiB', () => {
  const input = { container: 'iommufd', pageSize: '4KiB', hostPageSize: '64KiB' } as const;

  it('maps pages of the IOMMU, and locks those of the kernel', () => {
    const ioas = new SimulatedIoas(...parts(input));
    expect(ioas.info().alignment).toBe(PAGE_SIZE);
    const first = ioas.map(PAGE_SIZE, 0, PAGE_SIZE, 6);
    expect(first).toBeGreaterThan(0);
    expect(ioas.lockedBytes).toBe(KIB64);
    // Two pages that lie in two of the kernel's.
    const second = ioas.map(KIB64 - PAGE_SIZE, 0, 2 * PAGE_SIZE, 6);
    expect(ioas.lockedBytes).toBe(3 * KIB64);
    expect([ioas.unmap(first, PAGE_SIZE), ioas.unmap(second, 2 * PAGE_SIZE)]).toEqual([PAGE_SIZE, 2 * PAGE_SIZE]);
    expect(ioas.lockedBytes).toBe(0);
  });

  it('as a container of version 1 is mapped in pages of the kernel, and of version 2 says them', () => {
    const v1 = new SimulatedCompatContainer('iommufd-type1', ...parts({ ...input, container: 'iommufd-type1' }));
    const v2 = new SimulatedCompatContainer('iommufd-type1v2', ...parts({ ...input, container: 'iommufd-type1v2' }));
    expect([v1.info().pageSize, v2.info().pageSize]).toEqual([KIB64, KIB64]);
    expect([v1.mapDma(0, 0, PAGE_SIZE, RW), v2.mapDma(0, 0, PAGE_SIZE, RW)]).toEqual([EINVAL, 0]);
  });
});

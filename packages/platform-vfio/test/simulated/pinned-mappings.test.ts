import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  ENOSPC,
  IoPageTable,
  SimulatedIoas,
  SimulatedType1Container,
  vfioOptionsSchema,
  type VfioOptions,
} from '@virtio-platform/platform-vfio';
import { describe, expect, it } from 'vitest';

const PAGE = PAGE_SIZE;
const RW = 3;
/** More than a container of VFIO has room for unless told otherwise. */
const MANY = 70_000;

function parts(input: object): [GuestMemory, IoPageTable, VfioOptions] {
  const options = vfioOptionsSchema.parse({ capIpcLock: true, ...input });
  return [new GuestMemory(new SharedArrayBuffer(4 * PAGE)), IoPageTable.create(options.addressWidth), options];
}

describe('the mappings of a container', () => {
  it('can be more than 65535, up to the limit that the administrator set', () => {
    const container = new SimulatedType1Container('type1v2', ...parts({ entryLimit: MANY }));
    let refused = 0;
    for (let i = 0; i < MANY; i++) if (container.mapDma(0, i * 2 * PAGE, PAGE, RW) !== 0) refused++;
    expect([refused, container.info().available]).toEqual([0, 0]);
    expect(container.mapDma(0, MANY * 2 * PAGE, PAGE, RW)).toBe(ENOSPC);
    expect(container.lockedBytes).toBe(MANY * PAGE);
    expect(container.unmapDma(60_000 * 2 * PAGE, PAGE)).toBe(PAGE);
    expect(container.mapDma(0, MANY * 2 * PAGE, PAGE, RW)).toBe(0);
    expect(container.unmapDma(0, 0, 2)).toBe(MANY * PAGE);
    expect([container.lockedBytes, container.info().available]).toEqual([0, MANY]);
  });

  it('have any limit of 32 bits', () => {
    const container = new SimulatedType1Container('type1v2', ...parts({ entryLimit: 2 ** 32 - 1 }));
    expect(container.info().available).toBe(2 ** 32 - 1);
    container.mapDma(0, 0, PAGE, RW);
    expect(container.info().available).toBe(2 ** 32 - 2);
  });

  it('have no limit in an address space of iommufd', () => {
    const ioas = new SimulatedIoas(...parts({ container: 'iommufd' }));
    let refused = 0;
    for (let i = 1; i <= MANY; i++) if (ioas.map(0, i * 2 * PAGE, PAGE, 7) < 0) refused++;
    expect([refused, ioas.lockedBytes]).toEqual([0, MANY * PAGE]);
  });
});

import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  EBUSY,
  EINVAL,
  ENOMEM,
  IoPageTable,
  SimulatedType1Container,
  VFIO_DMA_MAP_FLAG_VADDR,
  VFIO_DMA_UNMAP_FLAG_ALL,
  VFIO_DMA_UNMAP_FLAG_VADDR,
  vfioOptionsSchema,
  type VfioOptionsInput,
} from '@virtio-platform/platform-vfio';
import { describe, expect, it } from 'vitest';

const PAGE = PAGE_SIZE;
const RW = 3;
const INVALIDATE_ALL = VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR;

function open(input: VfioOptionsInput = {}): { container: SimulatedType1Container; table: IoPageTable } {
  const options = vfioOptionsSchema.parse({ memoryLockLimit: 16 * PAGE, ...input });
  const table = IoPageTable.create(options.addressWidth);
  const memory = new GuestMemory(new SharedArrayBuffer(256 * PAGE));
  return { container: new SimulatedType1Container('type1v2', memory, table, options), table };
}

describe('a process that calls exec', () => {
  it('leaves devices what they reach, and takes what is locked along with each mapping', () => {
    const { container, table } = open();
    container.mapDma(0, 0, 4 * PAGE, RW);
    container.mapDma(0, 8 * PAGE, 2 * PAGE, RW);
    expect(container.unmapDma(0, 0, INVALIDATE_ALL)).toBe(6 * PAGE);
    const { generation } = table;
    container.exec();
    expect([container.lockedBytes, table.entry(0, 0), table.generation]).toEqual([0, RW, generation]);
    expect(container.mapDma(0, 0, 4 * PAGE, VFIO_DMA_MAP_FLAG_VADDR)).toBe(0);
    expect(container.lockedBytes).toBe(4 * PAGE);
    expect(container.mapDma(0, 8 * PAGE, 2 * PAGE, VFIO_DMA_MAP_FLAG_VADDR)).toBe(0);
    expect(container.info().lockedBytes).toBe(6 * PAGE);
    expect(container.unmapDma(0, 4 * PAGE)).toBe(4 * PAGE);
    expect(container.lockedBytes).toBe(2 * PAGE);
  });

  it('cannot take over a mapping that is more than the next process may lock, and the mapping stays as it is', () => {
    const { container, table } = open({ afterExec: { memoryLockLimit: 3 * PAGE, lockedByProcess: PAGE } });
    container.mapDma(0, 0, 4 * PAGE, RW);
    container.mapDma(0, 8 * PAGE, 2 * PAGE, RW);
    container.unmapDma(0, 0, INVALIDATE_ALL);
    container.exec();
    expect(container.mapDma(0, 0, 4 * PAGE, VFIO_DMA_MAP_FLAG_VADDR)).toBe(ENOMEM);
    expect(container.mapDma(0, 8 * PAGE, 2 * PAGE, VFIO_DMA_MAP_FLAG_VADDR)).toBe(0);
    expect([container.lockedBytes, table.entry(0, 0)]).toEqual([2 * PAGE, RW]);
    expect(container.info()).toMatchObject({ memoryLockLimit: 3 * PAGE, lockedBytes: 3 * PAGE });
    // What the process before had locked is not given back a second time.
    expect(container.unmapDma(0, 4 * PAGE)).toBe(4 * PAGE);
    expect(container.lockedBytes).toBe(2 * PAGE);
  });

  it.each([
    [{ memoryLockLimit: 2 * PAGE, capIpcLock: true }, 0],
    [{ memoryLockLimit: 2 * PAGE }, ENOMEM],
    [{}, 0],
  ])('has the limits %o then', (afterExec, result) => {
    const { container } = open({ afterExec });
    container.mapDma(0, 0, 4 * PAGE, RW);
    container.unmapDma(0, 0, INVALIDATE_ALL);
    container.exec();
    expect(container.mapDma(0, 0, 4 * PAGE, VFIO_DMA_MAP_FLAG_VADDR)).toBe(result);
  });

  it('cannot give new memory to a mapping that it did not invalidate before', () => {
    const { container, table } = open();
    container.mapDma(0, 0, 4 * PAGE, RW);
    container.exec();
    expect(container.mapDma(0, 0, 4 * PAGE, VFIO_DMA_MAP_FLAG_VADDR)).toBe(EINVAL);
    expect(table.entry(0, 0)).toBe(RW);
  });

  it('can attach no other device while memory of a mapping is invalid, since the kernel may have to pin it', () => {
    const { container } = open();
    container.mapDma(0, 0, 4 * PAGE, RW);
    expect(container.attach()).toBe(0);
    container.unmapDma(0, 0, INVALIDATE_ALL);
    expect(container.attach()).toBe(EBUSY);
    container.exec();
    container.mapDma(0, 0, 4 * PAGE, VFIO_DMA_MAP_FLAG_VADDR);
    expect(container.attach()).toBe(0);
    container.unmapDma(0, 0, INVALIDATE_ALL);
    container.unmapDma(0, 4 * PAGE);
    expect(container.attach()).toBe(0);
  });

  it('can do so again and again', () => {
    const { container } = open();
    container.mapDma(0, 0, 4 * PAGE, RW);
    for (let i = 0; i < 100; i++) {
      expect(container.unmapDma(0, 0, INVALIDATE_ALL)).toBe(4 * PAGE);
      container.exec();
      expect(container.mapDma(0, 0, 4 * PAGE, VFIO_DMA_MAP_FLAG_VADDR)).toBe(0);
    }
    expect(container.lockedBytes).toBe(4 * PAGE);
  });
});

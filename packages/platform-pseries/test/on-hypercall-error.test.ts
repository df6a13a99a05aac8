import { DMA_NO_SPACE, DMA_UNREACHABLE, DmaDirection } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';
import { H_HARDWARE, H_NOT_ENOUGH_RESOURCES, H_SUCCESS } from '../src/index.ts';
import { openTceMapping, PAGE } from './open-tce-mapping.ts';

describe('a hypercall that fails to map', () => {
  it.each([
    ['fail', H_NOT_ENOUGH_RESOURCES, DMA_NO_SPACE],
    ['fail', H_HARDWARE, DMA_UNREACHABLE],
    ['linux', H_NOT_ENOUGH_RESOURCES, DMA_NO_SPACE],
  ] as const)('with %s and code %i fails the mapping with %i, and nothing is left', (onError, status, reason) => {
    const { tables, mapping, window, space } = openTceMapping({ pages: 4, capacity: 8, onHypercallError: onError });
    tables.putStatus = status;
    const words = new Uint32Array([7, 7]);
    expect(mapping.map(0x5000, 2 * PAGE, DmaDirection.FromDevice, words, 0)).toBe(reason);
    expect([...words]).toEqual([7, 7]);
    expect([window.takenPages, mapping.statistics.live]).toEqual([0, 0]);
    expect(space.borrow(0, 0, 1, 'write')).toBe(-1);
  });

  it('on Linux is only printed: the mapping succeeds, and the device faults behind the half that was written', () => {
    const { tables, mapping, space, faults } = openTceMapping({ pages: 4, capacity: 8, onHypercallError: 'linux' });
    tables.putStatus = H_HARDWARE;
    const words = new Uint32Array(2);
    const id = mapping.map(0x5000, 2 * PAGE, DmaDirection.FromDevice, words, 0);
    expect(id).toBeGreaterThanOrEqual(0);
    expect(space.borrow(words[0]!, words[1]!, PAGE, 'write')).toBe(0x5000);
    expect(faults.count).toBe(0);
    expect(space.borrow(words[0]! + PAGE, words[1]!, 1, 'write')).toBe(-1);
    expect(faults.entries[0]).toMatchObject({ cause: 'unmapped', access: 'write' });
    mapping.unmap(id, 0);
    expect(mapping.statistics).toMatchObject({ maps: 1, unmaps: 1, live: 0 });
  });
});

describe('a region that the hypervisor does not let be mapped', () => {
  it.each([
    [H_HARDWARE, 'ERR_DMA_RANGE', 'answers -1 while 8192 bytes are mapped'],
    [H_NOT_ENOUGH_RESOURCES, 'ERR_DMA_EXHAUSTED', 'answers -44 while 8192 bytes are mapped'],
  ])('says the code %i', (status, code, message) => {
    const { tables, mapping } = openTceMapping({ pages: 4, capacity: 8, onHypercallError: 'fail' });
    tables.putStatus = status;
    expect(() => mapping.premap(0, 2 * PAGE, DmaDirection.ToDevice)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });

  it('keeps its memory when the written half cannot be cleared', () => {
    const { memory, tables, mapping, space } = openTceMapping({ pages: 4, capacity: 8, onHypercallError: 'fail' });
    tables.putStatus = H_HARDWARE;
    tables.clearStatus = H_HARDWARE;
    expect(() => mapping.allocateCoherent(2 * PAGE, 16)).toThrow(expect.objectContaining({ code: 'ERR_DMA_RANGE' }));
    expect(space.borrow(0, 0, 1, 'read')).toBeGreaterThanOrEqual(0);
    expect(memory.allocated).toBe(2 * PAGE);
  });
});

describe('a hypercall that fails to take a page back', () => {
  it('is repeated, so that one refusal has no effect', () => {
    const { tables, mapping, window } = openTceMapping({ pages: 4, capacity: 8, onHypercallError: 'fail' });
    const id = mapping.map(0x5000, 1, DmaDirection.ToDevice, new Uint32Array(2), 0);
    let calls = 0;
    const stuffTce = tables.stuffTce.bind(tables);
    tables.stuffTce = (...call) => (++calls < 3 ? H_HARDWARE : stuffTce(...call));
    mapping.unmap(id, 0);
    expect([calls, window.takenPages, mapping.statistics.live]).toEqual([3, 0, 0]);
  });

  it('on Linux reuses the page, and the device still reaches the first buffer', () => {
    const { tables, mapping, window, space } = openTceMapping({ pages: 4, capacity: 8, onHypercallError: 'linux' });
    const id = mapping.map(0x5000, 1, DmaDirection.ToDevice, new Uint32Array(2), 0);
    tables.clearStatus = H_HARDWARE;
    mapping.unmap(id, 0);
    tables.clearStatus = H_SUCCESS;
    expect([window.takenPages, mapping.statistics.live]).toEqual([0, 0]);
    expect(space.borrow(0, 0, 1, 'read')).toBe(0x5000);
  });
});

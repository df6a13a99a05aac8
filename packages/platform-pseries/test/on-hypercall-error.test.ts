import { FaultLog } from '@virtio-platform/core/address-space';
import { DMA_NO_SPACE, DMA_UNREACHABLE, DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import {
  DynamicTceWindow,
  H_HARDWARE,
  H_NOT_ENOUGH_RESOURCES,
  H_SUCCESS,
  TceDmaMapping,
  TceWindow,
  type OnHypercallError,
} from '../src/index.ts';
import { openAddressSpace } from '../src/simulated/open-address-space.ts';
import { RefusingTceTables } from './refusing-tce-tables.ts';

const PAGE = 4096;

function openBench(onHypercallError: OnHypercallError) {
  const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
  const tables = new RefusingTceTables({ memorySize: memory.size, defaultWindowSize: 4 * PAGE });
  const window = new DynamicTceWindow(new TceWindow(tables, tables.defaultWindow), onHypercallError);
  const faults = new FaultLog();
  const space = openAddressSpace(memory, faults, { tables: tables.state, pages: undefined });
  return { memory, tables, window, faults, space, mapping: new TceDmaMapping(memory, window, 8) };
}

describe('a hypercall that fails to map', () => {
  it.each([
    ['fail', H_NOT_ENOUGH_RESOURCES, DMA_NO_SPACE],
    ['fail', H_HARDWARE, DMA_UNREACHABLE],
    ['linux', H_NOT_ENOUGH_RESOURCES, DMA_NO_SPACE],
  ] as const)('with %s and code %i fails the mapping with %i, and nothing is left', (onError, status, reason) => {
    const { tables, mapping, window, space } = openBench(onError);
    tables.putStatus = status;
    const words = new Uint32Array([7, 7]);
    expect(mapping.map(0x5000, 2 * PAGE, DmaDirection.FromDevice, words, 0)).toBe(reason);
    expect([...words]).toEqual([7, 7]);
    expect([window.takenPages, mapping.statistics.live]).toEqual([0, 0]);
    expect(space.borrow(0, 0, 1, 'write')).toBe(-1);
  });

  it('on Linux is only printed: the mapping succeeds, and the device faults behind the half that was written', () => {
    const { tables, mapping, space, faults } = openBench('linux');
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
    const { tables, mapping } = openBench('fail');
    tables.putStatus = status;
    expect(() => mapping.premap(0, 2 * PAGE, DmaDirection.ToDevice)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });

  it('keeps its memory when the written half cannot be cleared', () => {
    const { memory, tables, mapping, space } = openBench('fail');
    tables.putStatus = H_HARDWARE;
    tables.clearStatus = H_HARDWARE;
    expect(() => mapping.allocateCoherent(2 * PAGE, 16)).toThrow(expect.objectContaining({ code: 'ERR_DMA_RANGE' }));
    expect(space.borrow(0, 0, 1, 'read')).toBeGreaterThanOrEqual(0);
    expect(memory.allocated).toBe(2 * PAGE);
  });
});

describe('a hypercall that fails to take a page back', () => {
  it('is repeated, so that one refusal has no effect', () => {
    const { tables, mapping, window } = openBench('fail');
    const id = mapping.map(0x5000, 1, DmaDirection.ToDevice, new Uint32Array(2), 0);
    let calls = 0;
    const stuffTce = tables.stuffTce.bind(tables);
    tables.stuffTce = (...call) => (++calls < 3 ? H_HARDWARE : stuffTce(...call));
    mapping.unmap(id, 0);
    expect([calls, window.takenPages, mapping.statistics.live]).toEqual([3, 0, 0]);
  });

  it('on Linux reuses the page, and the device still reaches the first buffer', () => {
    const { tables, mapping, window, space } = openBench('linux');
    const id = mapping.map(0x5000, 1, DmaDirection.ToDevice, new Uint32Array(2), 0);
    tables.clearStatus = H_HARDWARE;
    mapping.unmap(id, 0);
    tables.clearStatus = H_SUCCESS;
    expect([window.takenPages, mapping.statistics.live]).toEqual([0, 0]);
    expect(space.borrow(0, 0, 1, 'read')).toBe(0x5000);
  });
});

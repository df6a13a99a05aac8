import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { ServedQueue, type RingSetup } from '../../src/device/served-queue.ts';

const SIZE = 8;
const [DESCRIPTORS, DRIVER, DEVICE] = [0x1000, 0x2000, 0x3000];

/** A split ring at index `first`, with `count` buffers of one byte, number i in descriptor i. */
function splitQueue(first: number, count: number): ServedQueue {
  const memory = new GuestMemory(new ArrayBuffer(0x1_0000));
  for (let i = 0; i < count; i++) {
    memory.view.setBigUint64(DESCRIPTORS + 16 * i, 0x8000n, true);
    memory.view.setUint32(DESCRIPTORS + 16 * i + 8, 1, true);
    memory.view.setUint16(DRIVER + 4 + 2 * ((first + i) % SIZE), i, true);
  }
  memory.view.setUint16(DRIVER + 2, first + count, true);
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
  return new ServedQueue(space, { ...options('split'), position: first });
}

/** A packed ring with `count` buffers of one byte, whose ids are their slots. */
function packedQueue(slot: number, count: number): ServedQueue {
  const memory = new GuestMemory(new ArrayBuffer(0x1_0000));
  const AVAIL = 1 << 7;
  const USED = 1 << 15;
  for (let i = 0; i < count; i++) {
    const at = (slot + i) % SIZE;
    const descriptor = DESCRIPTORS + 16 * at;
    memory.view.setBigUint64(descriptor, 0x8000n, true);
    memory.view.setUint32(descriptor + 8, 1, true);
    memory.view.setUint16(descriptor + 12, at, true);
    memory.view.setUint16(descriptor + 14, slot + i < SIZE ? AVAIL : USED, true);
  }
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
  return new ServedQueue(space, { ...options('packed'), position: 0x8000 | slot });
}

function options(layout: 'split' | 'packed'): Omit<RingSetup, 'position'> {
  return {
    layout,
    size: SIZE,
    words: [DESCRIPTORS, 0, DRIVER, 0, DEVICE, 0],
    eventIdx: false,
    indirect: false,
    inOrder: false,
    tableEntries: 0,
    journal: undefined,
    resubmitted: [],
  };
}

describe('a queue that ends', () => {
  it('goes on behind what was returned, where nothing was kept', () => {
    const queue = splitQueue(0xfffe, 3);
    for (const head of [0, 1, 2]) {
      expect(queue.pop()).toBe(true);
      queue.queue.push(head, 0);
    }
    expect([queue.pop(), queue.popped]).toEqual([false, 3]);
    expect(queue.end()).toEqual({ used: 1, available: 1, kept: 0 });
  });

  it('has buffers that were kept taken again, where they are the last ones', () => {
    const queue = splitQueue(5, 3);
    for (let i = 0; i < 3; i++) queue.pop();
    queue.queue.push(0, 0);
    expect(queue.end()).toEqual({ used: 6, available: 6, kept: 2 });
  });

  it('leaves out buffers that were kept while later ones were returned: those would come back twice', () => {
    const queue = splitQueue(5, 3);
    for (let i = 0; i < 3; i++) queue.pop();
    queue.queue.push(1, 0);
    expect(queue.end()).toEqual({ used: 6, available: 8, kept: 2 });
  });

  it('counts slots and wraps of a packed ring', () => {
    const queue = packedQueue(6, 4);
    for (let i = 0; i < 4; i++) expect(queue.pop()).toBe(true);
    queue.queue.push(7, 0);
    expect(queue.end()).toEqual({ used: 0x8007, available: 2, kept: 3 });
  });
});

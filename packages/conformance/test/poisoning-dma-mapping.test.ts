import { FaultLog } from '@virtio-platform/core/address-space';
import { DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { POISON, PoisoningDmaMapping } from '@virtio-platform/conformance';

const { FromDevice, ToDevice } = DmaDirection;

function setUp(): { memory: GuestMemory; mapping: PoisoningDmaMapping; buffer: number } {
  const memory = new GuestMemory(new ArrayBuffer(32 * PAGE_SIZE));
  return { memory, mapping: new PoisoningDmaMapping(memory, { capacity: 4 }), buffer: memory.allocate(PAGE_SIZE) };
}

describe('PoisoningDmaMapping', () => {
  it('shows poison to a driver that takes more bytes than the device wrote', () => {
    const { memory, mapping, buffer } = setUp();
    const space = mapping.openAddressSpace(new FaultLog());
    const words = new Uint32Array(2);
    const id = mapping.map(buffer, 8, FromDevice, words, 0);
    space.write(words[0]!, words[1]!, Uint8Array.of(1, 2, 3), 0, 3);
    mapping.unmap(id, 5);
    expect([...memory.u8.subarray(buffer, buffer + 8)]).toEqual([1, 2, 3, POISON, POISON, 0, 0, 0]);
  });

  it('never gives a device address twice, and faults on one that was given back', () => {
    const { mapping, buffer } = setUp();
    const space = mapping.openAddressSpace(new FaultLog());
    const seen = new Set<string>();
    const words = new Uint32Array(2);
    for (let i = 0; i < 50; i++) {
      mapping.unmap(mapping.map(buffer, 64, ToDevice, words, 0), 0);
      seen.add(words.join());
      expect(space.read(words[0]!, words[1]!, new Uint8Array(1), 0, 1)).toBe(false);
    }
    expect(seen.size).toBe(50);
    expect(space.faults.count).toBe(50);
  });

  it('holds the device to the byte and to the direction', () => {
    const { mapping, buffer } = setUp();
    const space = mapping.openAddressSpace(new FaultLog());
    const words = new Uint32Array(2);
    mapping.map(buffer, 100, ToDevice, words, 0);
    const [low, high] = [words[0]!, words[1]!];
    expect(space.read(low, high, new Uint8Array(101), 0, 101)).toBe(false);
    expect(space.write(low, high, new Uint8Array(1), 0, 1)).toBe(false);
    const address = (BigInt(high) << 32n) | BigInt(low);
    expect(space.faults.entries).toEqual([
      { address: address + 100n, length: 1, access: 'read', cause: 'unmapped' },
      { address, length: 1, access: 'write', cause: 'write-not-permitted' },
    ]);
  });

  it('changes its generation when something is taken from the device, and only then', () => {
    const { mapping, buffer } = setUp();
    const space = mapping.openAddressSpace(new FaultLog());
    const { generation } = space;
    const id = mapping.map(buffer, 100, ToDevice, new Uint32Array(2), 0);
    expect(space.generation).toBe(generation);
    mapping.unmap(id, 0);
    expect(space.generation).not.toBe(generation);
  });
});

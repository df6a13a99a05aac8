import { DirectDmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { PolledMsix } from '../src/polled-msix.ts';
import { polledMsix } from './msix-region.ts';
import { RegisterFile, SoftwareFunction } from './register-file.ts';

const OFFSET = 0x0800_0000_0000_0000n;

interface Bench {
  readonly pci: SoftwareFunction;
  readonly table: RegisterFile;
  readonly memory: GuestMemory;
  readonly region: DmaRegion;
  readonly msix: PolledMsix;
}

/** A table of `entries` vectors, of which the driver uses two, and memory for them at device address 2^59. */
function bench(entries = 4, place = 0x100 + 1): Bench {
  const table = new RegisterFile(0x200);
  const pci = new SoftwareFunction(0x1af4, 0x1042, [undefined, table]);
  pci.addMsix(entries, place);
  const { memory, msix } = polledMsix(pci);
  const mapping = new DirectDmaMapping(memory, { path: 'linear', capacity: 4, offset: OFFSET });
  const region = mapping.allocateCoherent(8, 4);
  return { pci, table, memory, region, msix };
}

function control(pci: SoftwareFunction): number {
  return pci.config.peek(0x42, 2);
}

describe('PolledMsix', () => {
  it('points each vector at the device address of a word of the region, and unmasks it', () => {
    const { pci, table, region, msix } = bench();
    expect([msix.vectors, msix.msixBytes]).toEqual([2, 8]);
    table.poke(0x100 + 12, 4, 1);
    pci.config.poke(0x42, 2, 0x4003);
    msix.receiveIn(region);
    msix.enable(2);
    for (const vector of [0, 1]) {
      const entry = [0, 4, 8, 12].map((offset) => table.peek(0x100 + 16 * vector + offset, 4));
      expect(entry).toEqual([region.address + 4 * vector, 0x0800_0000, 1, 0]);
    }
    expect(control(pci)).toBe(0x8003);
    msix.disable();
    expect(control(pci)).toBe(0x0003);
  });

  it('takes a message of any vector once', () => {
    const { memory, region, msix } = bench();
    memory.u32[region.address / 4 + 1] = 1;
    msix.receiveIn(region);
    msix.enable(2);
    expect(msix.wait(0)).toBe(false);
    for (const vector of [0, 1]) {
      memory.u32[region.address / 4 + vector] = 1;
      expect(msix.wait(0)).toBe(true);
      expect(msix.wait(0)).toBe(false);
    }
  });

  it('tells of each vector whose message it took, once, and by itself', () => {
    const { memory, region, msix } = bench();
    const send = (...vectors: number[]): void => {
      for (const vector of vectors) memory.u32[region.address / 4 + vector] = 1;
    };
    msix.receiveIn(region);
    msix.enable(2);
    const taken = (): boolean[] => [0, 1].map((vector) => msix.takeVector(vector));
    expect(taken()).toEqual([false, false]);
    send(0);
    expect(taken(), 'not before a wait').toEqual([false, false]);
    expect([msix.wait(0), ...taken(), ...taken()]).toEqual([true, true, false, false, false]);
    send(1);
    expect([msix.wait(0), ...taken(), ...taken()]).toEqual([true, false, true, false, false]);
    send(0, 1);
    expect([msix.wait(0), msix.takeVector(1), ...taken()]).toEqual([true, true, true, false]);
    // Each stays until it is asked for, whatever other waits take.
    send(0);
    expect(msix.wait(0)).toBe(true);
    send(1);
    expect([msix.wait(0), msix.wait(0), ...taken()]).toEqual([true, false, true, true]);
    send(0);
    expect(msix.wait(0)).toBe(true);
    msix.disable();
    expect(taken(), 'not after it was disabled').toEqual([false, false]);
  });

  it('sees a write of another thread while it waits', async () => {
    const { memory, region, msix } = bench();
    msix.receiveIn(region);
    msix.enable(2);
    const { Worker } = await import('node:worker_threads');
    const program = `const { workerData: [buffer, word] } = require('node:worker_threads');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      Atomics.store(new Uint32Array(buffer), word, 1);`;
    const worker = new Worker(program, { eval: true, workerData: [memory.u8.buffer, region.address / 4] });
    expect(msix.wait(10_000)).toBe(true);
    await worker.terminate();
  });

  it('returns false when the timeout ends', () => {
    const { region, msix } = bench();
    msix.receiveIn(region);
    msix.enable(2);
    const start = performance.now();
    expect(msix.wait(30)).toBe(false);
    const took = performance.now() - start;
    expect(took).toBeGreaterThanOrEqual(30);
    expect(took).toBeLessThan(1000);
  });

  it('ignores the memory after it was disabled', () => {
    const { memory, region, msix } = bench();
    msix.receiveIn(region);
    msix.enable(2);
    msix.disable();
    memory.u32[region.address / 4] = 1;
    expect(msix.wait(0)).toBe(false);
    expect(memory.u32[region.address / 4]).toBe(1);
    expect(() => msix.enable(2)).toThrow(/without memory/);
  });

  it('refuses memory that is too small, and more vectors than it has', () => {
    const { memory, region, msix } = bench();
    const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 4 });
    expect(() => msix.receiveIn(mapping.allocateCoherent(4, 4))).toThrow(RangeError);
    msix.receiveIn(region);
    expect(() => msix.enable(3)).toThrow(TypeError);
  });

  it('has no vectors without a table', () => {
    const pci = new SoftwareFunction(0x1af4, 0x1042);
    const msix = new PolledMsix(pci, new GuestMemory(new ArrayBuffer(0x1000)), 2);
    expect([msix.vectors, msix.msixBytes]).toEqual([0, 0]);
    msix.disable();
    expect(() => msix.enable(1)).toThrow(TypeError);
  });

  it('uses the vectors of a smaller table, and ignores a capability that is cut off', () => {
    expect(bench(1).msix.vectors).toBe(1);
    const pci = new SoftwareFunction(0x1af4, 0x1042);
    pci.addCapability(0x11, 4, 0xf8);
    expect(new PolledMsix(pci, new GuestMemory(new ArrayBuffer(0x1000)), 2).vectors).toBe(0);
  });

  it.each([
    ['in a reserved BAR', 4, 0x107],
    ['in a BAR that maps nothing', 4, 0x100],
    ['beyond its BAR', 4, 0x1c9],
    ['far beyond its BAR', 4, 0xffff_fff9],
    ['longer than its BAR', 2048, 1],
  ])('refuses a table %s', (_, entries, place) => {
    expect(() => bench(entries, place)).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }));
  });
});

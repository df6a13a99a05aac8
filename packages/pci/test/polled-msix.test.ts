import { DirectDmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { PolledMessages } from '../src/polled-msix.ts';
import { RegisterFile, SoftwareFunction } from './register-file.ts';
const OFFSET = 0x0800_0000_0000_0000n;

interface Bench {
  readonly pci: SoftwareFunction;
  readonly table: RegisterFile;
  readonly memory: GuestMemory;
  readonly region: DmaRegion;
  readonly messages: PolledMessages;
}

/** `entries` vectors, of which the driver uses two, in memory that the device sees at 2^59. */
function bench(entries = 4, place = 0x100 + 1): Bench {
  const table = new RegisterFile(0x200);
  const pci = new SoftwareFunction(0x1af4, 0x1042, [undefined, table]);
  pci.addMsix(entries, place);
  const memory = new GuestMemory(new SharedArrayBuffer(0x10000));
  const mapping = new DirectDmaMapping(memory, { path: 'linear', capacity: 4, offset: OFFSET });
  const region = mapping.allocateCoherent(8, 4);
  return { pci, table, memory, region, messages: new PolledMessages(pci, memory, 2) };
}

function control(pci: SoftwareFunction): number {
  return pci.config.peek(0x42, 2);
}

describe('PolledMessages', () => {
  it('points each vector at a word of the region, as the device sees it, and unmasks it', () => {
    const { pci, table, region, messages } = bench();
    expect([messages.vectors, messages.messageBytes]).toEqual([2, 8]);
    table.poke(0x100 + 12, 4, 1);
    pci.config.poke(0x42, 2, 0x4003);
    messages.receiveIn(region);
    messages.enable(2);
    for (const vector of [0, 1]) {
      const entry = [0, 4, 8, 12].map((offset) => table.peek(0x100 + 16 * vector + offset, 4));
      expect(entry).toEqual([region.address + 4 * vector, 0x0800_0000, 1, 0]);
    }
    expect(control(pci)).toBe(0x8003);
    messages.disable();
    expect(control(pci)).toBe(0x0003);
  });

  it('takes a message once, whichever vector it is of', () => {
    const { memory, region, messages } = bench();
    memory.u32[region.address / 4 + 1] = 1;
    messages.receiveIn(region);
    messages.enable(2);
    expect(messages.wait(0)).toBe(false);
    for (const vector of [0, 1]) {
      memory.u32[region.address / 4 + vector] = 1;
      expect(messages.wait(0)).toBe(true);
      expect(messages.wait(0)).toBe(false);
    }
  });

  it('sees what another processor writes while it waits', async () => {
    const { memory, region, messages } = bench();
    messages.receiveIn(region);
    messages.enable(2);
    const { Worker } = await import('node:worker_threads');
    const program = `const { workerData: [buffer, word] } = require('node:worker_threads');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      Atomics.store(new Uint32Array(buffer), word, 1);`;
    const worker = new Worker(program, { eval: true, workerData: [memory.u8.buffer, region.address / 4] });
    expect(messages.wait(10_000)).toBe(true);
    await worker.terminate();
  });

  it('ends a wait when its time is up', () => {
    const { region, messages } = bench();
    messages.receiveIn(region);
    messages.enable(2);
    const start = performance.now();
    expect(messages.wait(30)).toBe(false);
    const took = performance.now() - start;
    expect(took).toBeGreaterThanOrEqual(30);
    expect(took).toBeLessThan(1000);
  });

  it('looks at the memory no more once it was disabled', () => {
    const { memory, region, messages } = bench();
    messages.receiveIn(region);
    messages.enable(2);
    messages.disable();
    memory.u32[region.address / 4] = 1;
    expect(messages.wait(0)).toBe(false);
    expect(memory.u32[region.address / 4]).toBe(1);
    expect(() => messages.enable(2)).toThrow(/without memory/);
  });

  it('refuses memory that does not fit, and more vectors than there are', () => {
    const { memory, region, messages } = bench();
    const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 4 });
    expect(() => messages.receiveIn(mapping.allocateCoherent(4, 4))).toThrow(RangeError);
    messages.receiveIn(region);
    expect(() => messages.enable(3)).toThrow(TypeError);
  });

  it('has no vectors where the function has no table', () => {
    const pci = new SoftwareFunction(0x1af4, 0x1042);
    const messages = new PolledMessages(pci, new GuestMemory(new ArrayBuffer(0x1000)), 2);
    expect([messages.vectors, messages.messageBytes]).toEqual([0, 0]);
    messages.disable();
    expect(() => messages.enable(1)).toThrow(TypeError);
  });

  it('uses the vectors of a smaller table, and ignores a capability that is cut off', () => {
    expect(bench(1).messages.vectors).toBe(1);
    const pci = new SoftwareFunction(0x1af4, 0x1042);
    pci.addCapability(0x11, 4, 0xf8);
    expect(new PolledMessages(pci, new GuestMemory(new ArrayBuffer(0x1000)), 2).vectors).toBe(0);
  });

  it.each([
    ['in a BAR that is reserved', 4, 0x107],
    ['in a BAR that maps nothing', 4, 0x100],
    ['beyond its BAR', 4, 0x1c9],
    ['far beyond its BAR', 4, 0xffff_fff9],
    ['longer than its BAR', 2048, 1],
  ])('refuses a table %s', (_, entries, place) => {
    expect(() => bench(entries, place)).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }));
  });
});

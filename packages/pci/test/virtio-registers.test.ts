import { describe, expect, it } from 'vitest';
import { findVirtioRegisters } from '../src/virtio-registers.ts';
import { RegisterFile, SoftwareFunction } from './register-file.ts';

/** A function without capabilities, and with 4 KiB behind BAR 2. */
function empty(): SoftwareFunction {
  return new SoftwareFunction(0x1af4, 0x1042, [undefined, undefined, new RegisterFile(0x1000)]);
}

const PLACES: Record<number, readonly [offset: number, length: number, multiplier?: number]> = {
  1: [0x000, 0x38],
  2: [0x800, 0x100, 4],
  3: [0x400, 1],
  4: [0x600, 0x40],
};

/** A function with all four capabilities, except for the changes. */
function complete(different: typeof PLACES = {}, without: readonly number[] = []): SoftwareFunction {
  const pci = empty();
  for (const [type, place] of Object.entries({ ...PLACES, ...different })) {
    if (!without.includes(Number(type))) pci.addVirtioCapability(Number(type), 2, ...place);
  }
  return pci;
}

function refusal(message: RegExp): unknown {
  return expect.objectContaining({ code: 'ERR_DEVICE_CONFIG', message: expect.stringMatching(message) });
}

describe('findVirtioRegisters', () => {
  it('finds each window at the place that its capability states', () => {
    const pci = complete();
    const { common, notify, isr, device, notifyMultiplier } = findVirtioRegisters(pci);
    common.write(0x14, 1, 1);
    notify.write(4, 2, 2);
    device!.write(0, 1, 3);
    expect(pci.bars[2]!.log).toEqual(['0x14=0x1/1', '0x804=0x2/2', '0x600=0x3/1']);
    expect([common.length, notify.length, isr.length, device!.length, notifyMultiplier]).toEqual([56, 256, 1, 64, 4]);
  });

  it('uses the first of several capabilities of a type, and ignores reserved ones', () => {
    const pci = empty();
    pci.addVirtioCapability(1, 6, 0, 0x38);
    pci.addVirtioCapability(1, 0xff, 0, 0x38);
    pci.addVirtioCapability(0, 0, 0, 0xffff);
    pci.addVirtioCapability(5, 0, 0xffff_fff0, 0xffff_ffff);
    for (const [type, place] of Object.entries(PLACES)) pci.addVirtioCapability(Number(type), 2, ...place);
    pci.addVirtioCapability(1, 2, 0xc00, 0x38);
    findVirtioRegisters(pci).common.write(0, 4, 7);
    expect(pci.bars[2]!.log).toEqual(['0x0=0x7/4']);
  });

  it('accepts a function without device configuration', () => {
    expect(findVirtioRegisters(complete({}, [4])).device).toBeUndefined();
  });

  it.each([
    [1, /no common configuration/],
    [2, /no notification registers/],
    [3, /no ISR status/],
  ])('refuses a function without capability %i', (type, message) => {
    expect(() => findVirtioRegisters(complete({}, [type]))).toThrow(refusal(message));
  });

  it.each<[string, typeof PLACES, RegExp]>([
    ['a common configuration that is too short', { 1: [0, 0x37] }, /at least 56 bytes/],
    ['a common configuration that is not aligned', { 1: [2, 0x38] }, /aligned to 4/],
    ['notification registers that are not aligned', { 2: [0x801, 0x100, 4] }, /aligned to 2/],
    ['an ISR register of no bytes', { 3: [0x400, 0] }, /no ISR status/],
    ['a window beyond the BAR', { 4: [0xfff, 2] }, /BAR 2, which maps 4096 bytes/],
    ['a window that ends above 32 bits', { 4: [0xffff_ffff, 0xffff_ffff] }, /maps 4096 bytes/],
    ['a multiplier that is odd', { 2: [0x800, 0x100, 1] }, /notify_off_multiplier 1/],
    ['a multiplier that is not a power of two', { 2: [0x800, 0x100, 12] }, /notify_off_multiplier 12/],
    ['a multiplier of all ones', { 2: [0x800, 0x100, 0xffff_ffff] }, /notify_off_multiplier 4294967295/],
  ])('refuses %s', (_, different, message) => {
    const pci = complete(different);
    expect(() => findVirtioRegisters(pci)).toThrow(refusal(message));
    expect(pci.bars[2]!.log).toEqual([]);
  });

  it('refuses a BAR that maps nothing', () => {
    const pci = empty();
    pci.addVirtioCapability(1, 3, 0, 0x38);
    expect(() => findVirtioRegisters(pci)).toThrow(refusal(/BAR 3, which maps nothing/));
  });

  it('ignores a capability that is cut off by the end of configuration space', () => {
    const pci = complete({}, [2]);
    const at = pci.addCapability(9, 16, 0xf0);
    pci.config.poke(at + 3, 1, 2);
    pci.config.poke(at + 4, 1, 2);
    pci.config.poke(at + 12, 4, 0x100);
    expect(() => findVirtioRegisters(pci)).toThrow(refusal(/no notification registers/));
  });
});

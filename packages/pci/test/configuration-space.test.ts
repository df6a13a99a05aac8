import { describe, expect, it } from 'vitest';
import { listCapabilities } from '../src/configuration-space.ts';
import { SoftwareFunction } from './register-file.ts';

function pci(): SoftwareFunction {
  return new SoftwareFunction(0x1af4, 0x1042);
}

describe('listCapabilities', () => {
  it('lists them in their order, with the largest length of each', () => {
    const device = pci();
    device.addCapability(0x11, 12);
    device.addCapability(9, 16);
    expect(listCapabilities(device)).toEqual([
      { id: 0x11, offset: 0x40, maxLength: 0xc0 },
      { id: 9, offset: 0x4c, maxLength: 0xb4 },
    ]);
  });

  it('finds none where the status register states none, whatever the pointer is', () => {
    const device = pci();
    device.addCapability(9, 16);
    device.config.poke(0x06, 2, 0);
    expect(listCapabilities(device)).toEqual([]);
  });

  it('ends a list that repeats an entry', () => {
    const device = pci();
    device.addCapability(9, 16);
    const last = device.addCapability(9, 16);
    device.config.poke(last + 1, 1, 0x40);
    expect(listCapabilities(device)).toHaveLength(2);
    device.config.poke(last + 1, 1, last);
    expect(listCapabilities(device)).toHaveLength(2);
  });

  it('ends a list that points into the header, and ignores the reserved bits of a pointer', () => {
    const device = pci();
    const first = device.addCapability(9, 16);
    device.config.poke(first + 1, 1, 0x3c);
    expect(listCapabilities(device)).toHaveLength(1);
    device.config.poke(0x34, 1, first | 3);
    expect(listCapabilities(device)[0]).toMatchObject({ offset: first });
  });

  it('reads no byte behind configuration space', () => {
    const device = pci();
    device.addCapability(9, 4, 0xfc);
    expect(listCapabilities(device)).toEqual([{ id: 9, offset: 0xfc, maxLength: 4 }]);
  });

  it('ends the longest possible list', () => {
    const device = pci();
    for (let offset = 0x40; offset < 0x100; offset += 4) device.addCapability(9, 4, offset);
    expect(listCapabilities(device)).toHaveLength(48);
  });
});

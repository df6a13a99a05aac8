import { describe, expect, it } from 'vitest';
import { capabilities } from '../src/configuration-space.ts';
import { SoftwareFunction } from './register-file.ts';
function pci(): SoftwareFunction {
  return new SoftwareFunction(0x1af4, 0x1042);
}

describe('capabilities', () => {
  it('lists them in their order, and how much room each has', () => {
    const device = pci();
    device.addCapability(0x11, 12);
    device.addCapability(9, 16);
    expect(capabilities(device)).toEqual([
      { id: 0x11, offset: 0x40, room: 0xc0 },
      { id: 9, offset: 0x4c, room: 0xb4 },
    ]);
  });

  it('finds none where the status register says so, whatever the pointer is', () => {
    const device = pci();
    device.addCapability(9, 16);
    device.config.poke(0x06, 2, 0);
    expect(capabilities(device)).toEqual([]);
  });

  it('ends a list that goes round', () => {
    const device = pci();
    device.addCapability(9, 16);
    const last = device.addCapability(9, 16);
    device.config.poke(last + 1, 1, 0x40);
    expect(capabilities(device)).toHaveLength(2);
    device.config.poke(last + 1, 1, last);
    expect(capabilities(device)).toHaveLength(2);
  });

  it('ends a list that leads into the header, and ignores the reserved bits of a pointer', () => {
    const device = pci();
    const first = device.addCapability(9, 16);
    device.config.poke(first + 1, 1, 0x3c);
    expect(capabilities(device)).toHaveLength(1);
    device.config.poke(0x34, 1, first | 3);
    expect(capabilities(device)[0]).toMatchObject({ offset: first });
  });

  it('reads nothing behind configuration space', () => {
    const device = pci();
    device.addCapability(9, 4, 0xfc);
    expect(capabilities(device)).toEqual([{ id: 9, offset: 0xfc, room: 4 }]);
  });

  it('ends the longest list there can be', () => {
    const device = pci();
    for (let offset = 0x40; offset < 0x100; offset += 4) device.addCapability(9, 4, offset);
    expect(capabilities(device)).toHaveLength(48);
  });
});

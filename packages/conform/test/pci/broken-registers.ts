import type { PciBug, PciHardware, Space } from './pci-hardware.ts';

/** Changes what a register reads as: the whole of it, at its offset. */
export function reading(
  space: Space,
  offset: number,
  change: (value: number, hardware: PciHardware, width: number) => number,
): PciBug {
  return {
    read: (hardware, where, at, width, usual) => {
      const value = usual();
      return where === space && at === offset ? change(value, hardware, width) >>> 0 : value;
    },
  };
}

/** Does something else with what is written to a register. */
export function writing(
  space: Space,
  offset: number,
  instead: (value: number, hardware: PciHardware, usual: (value: number) => void, width: number) => void,
): PciBug {
  return {
    write: (hardware, where, at, width, value, usual) => {
      if (where === space && at === offset) instead(value, hardware, usual, width);
      else usual(value);
    },
  };
}

/** Crashes at an access. */
export function crashingAt(
  what: 'read' | 'write',
  isSo: (hardware: PciHardware, space: Space, offset: number, width: number, value: number) => boolean,
): PciBug {
  if (what === 'read') {
    return {
      read: (hardware, space, offset, width, usual) => {
        if (isSo(hardware, space, offset, width, 0)) hardware.crash();
        return usual();
      },
    };
  }
  return {
    write: (hardware, space, offset, width, value, usual) => {
      if (isSo(hardware, space, offset, width, value)) hardware.crash();
      else usual(value);
    },
  };
}

/** Has other bytes in configuration space: a byte for each offset. */
export function configured(
  bytes: Readonly<Record<number, number>>,
  isSo: (hardware: PciHardware) => boolean = () => true,
): PciBug {
  return {
    read: (hardware, space, offset, width, usual) => {
      let value = usual();
      if (space !== 'config' || !isSo(hardware)) return value;
      for (const [key, byte] of Object.entries(bytes)) {
        const shift = 8 * (Number(key) - offset);
        if (shift >= 0 && shift < 8 * width) value = ((value & ~(0xff << shift)) | (byte << shift)) >>> 0;
      }
      return value;
    },
  };
}

/** Keeps what is written to a register that nobody may write. */
export function remembering(space: Space, offset: number): PciBug {
  return {
    write: (hardware, where, at, _width, value, usual) => {
      if (where === space && at === offset) hardware.memo.set(offset, value);
      else usual(value);
    },
    read: (hardware, where, at, _width, usual) =>
      where === space && at === offset ? (hardware.memo.get(offset) ?? usual()) : usual(),
  };
}

/** Loses interrupts, or sends others. */
export function interrupting(instead: (hardware: PciHardware, queue: number, usual: () => void) => void): PciBug {
  return { interrupt: instead };
}

/** Several bugs that are one. */
export function both(one: PciBug, other: PciBug): PciBug {
  return { ...one, ...other };
}

import { DeviceError } from '@virtio-platform/core';

/** Bytes of one access. Registers of 64 bits are accessed as two of 32, the low one first (specification 1.4 section 4.1.3.1). */
export type AccessWidth = 1 | 2 | 4;

/**
 * One PCI function as its driver reaches it, through whatever bus there is: QEMU driven from outside, a VFIO device. Values are
 * those of the registers, which are little-endian on every PCI bus. A function that is gone throws {@link DeviceError}
 * `ERR_DEVICE_LOST`.
 */
export interface PciFunction {
  /** As messages name it: `0000:00:04.0`. */
  readonly name: string;
  /** Reads configuration space. `offset` is a multiple of `width`, below 256. */
  readConfig(offset: number, width: AccessWidth): number;
  writeConfig(offset: number, width: AccessWidth, value: number): void;
  /** What base address register `index` (0 to 5) maps; `undefined` where it maps nothing. */
  openBar(index: number): PciBar | undefined;
}

/** What one base address register maps: registers in memory or in I/O space. */
export interface PciBar {
  readonly kind: 'memory' | 'io';
  /** Bytes. */
  readonly size: number;
  /** Reads a register: `offset` is a multiple of `width`, and all of it below {@link size}. */
  read(offset: number, width: AccessWidth): number;
  /** Hot where it is a notification: no allocation of the caller's is needed. */
  write(offset: number, width: AccessWidth, value: number): void;
}


/** Registers of a function: part of what one of its base address registers maps. What is outside is never accessed. Hot: no allocation. */
export class RegisterWindow {
  /** Bytes. */
  readonly length: number;
  readonly #bar: PciBar;
  readonly #offset: number;

  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for a window that the function does not map. */
  constructor(pci: PciFunction, what: string, index: number, offset: number, length: number) {
    const bar = index <= 5 ? pci.openBar(index) : undefined;
    if (bar === undefined || offset + length > bar.size) {
      const maps = bar === undefined ? 'maps nothing' : `maps ${bar.size} bytes`;
      throw new DeviceError(
        'ERR_DEVICE_CONFIG',
        `${pci.name} has its ${what} at bytes ${offset}..${offset + length} of BAR ${index}, which ${maps}`,
      );
    }
    this.length = length;
    this.#bar = bar;
    this.#offset = offset;
  }

  /** Whether a register of `width` may be at `offset`: the bus has none across its own width. */
  isAligned(offset: number, width: AccessWidth): boolean {
    return (this.#offset + offset) % width === 0;
  }

  read(offset: number, width: AccessWidth): number {
    this.#check(offset, width);
    return this.#bar.read(this.#offset + offset, width);
  }

  write(offset: number, width: AccessWidth, value: number): void {
    this.#check(offset, width);
    this.#bar.write(this.#offset + offset, width, value);
  }

  /** Reads bytes one by one: device configuration of any layout, where wider accesses would need to know its fields. */
  readBytes(offset: number, target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.read(offset + i, 1);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    for (let i = 0; i < source.length; i++) this.write(offset + i, 1, source[i]!);
  }

  #check(offset: number, width: number): void {
    if (!(offset >= 0) || offset + width > this.length)
      throw new RangeError(`bytes ${offset}..${offset + width} of ${this.length}`);
  }
}

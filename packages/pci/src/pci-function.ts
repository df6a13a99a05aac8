import { DeviceError } from '@virtio-platform/core';
import type { AccessWidth, PciBar, PciFunction } from '@virtio-platform/core/device';

export type { AccessWidth, PciBar, PciFunction };

/** A part of the registers behind one base address register. Refuses every access outside of it. Hot: no allocation. */
export class RegisterWindow {
  /** Bytes. */
  readonly length: number;
  readonly #bar: PciBar;
  readonly #offset: number;

  /**
   * The window of `length` bytes at `offset` of base address register `index`; `what` names it in messages. Throws
   * {@link DeviceError} `ERR_DEVICE_CONFIG` where the register does not map all of it.
   */
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

  /** Whether a register of `width` bytes at `offset` is aligned, so that one access of the bus reaches all of it. */
  isAligned(offset: number, width: AccessWidth): boolean {
    return (this.#offset + offset) % width === 0;
  }

  /** Reads a register. Throws `RangeError` outside of the window. */
  read(offset: number, width: AccessWidth): number {
    this.#check(offset, width);
    return this.#bar.read(this.#offset + offset, width);
  }

  /** Writes a register. Throws `RangeError` outside of the window. */
  write(offset: number, width: AccessWidth, value: number): void {
    this.#check(offset, width);
    this.#bar.write(this.#offset + offset, width, value);
  }

  /** Reads single bytes, which needs no knowledge of the fields: for device configuration of any layout. */
  readBytes(offset: number, target: Uint8Array): void {
    for (let i = 0; i < target.length; i++) target[i] = this.read(offset + i, 1);
  }

  /** Writes single bytes, as {@link readBytes} reads them. */
  writeBytes(offset: number, source: Uint8Array): void {
    for (let i = 0; i < source.length; i++) this.write(offset + i, 1, source[i]!);
  }

  #check(offset: number, width: number): void {
    if (!(offset >= 0) || offset + width > this.length)
      throw new RangeError(`bytes ${offset}..${offset + width} of ${this.length}`);
  }
}

import { DeviceError } from '@virtio-platform/core';
import type { AccessWidth, PciBar, PciFunction } from '../src/pci-function.ts';

/**
 * Registers as plain bytes, with hooks for reads and writes. Refuses unaligned accesses and accesses outside of the
 * registers.
 */
export class RegisterFile implements PciBar {
  readonly kind: 'memory' | 'io';
  readonly size: number;
  readonly bytes: DataView;
  /** All writes in order: `0x14=0x1/1` is a write of 1 to the one byte at 0x14. */
  readonly log: string[] = [];
  onRead: (offset: number, width: AccessWidth) => number | undefined = () => undefined;
  onWrite: (offset: number, width: AccessWidth, value: number) => void = () => {};

  constructor(size: number, kind: 'memory' | 'io' = 'memory') {
    this.size = size;
    this.kind = kind;
    this.bytes = new DataView(new ArrayBuffer(size));
  }

  read(offset: number, width: AccessWidth): number {
    this.#check(offset, width);
    return this.onRead(offset, width) ?? this.peek(offset, width);
  }

  write(offset: number, width: AccessWidth, value: number): void {
    this.#check(offset, width);
    if (!(value >= 0 && value < 2 ** (8 * width))) throw new Error(`${value} does not fit ${width} bytes`);
    this.log.push(`0x${offset.toString(16)}=0x${value.toString(16)}/${width}`);
    this.poke(offset, width, value);
    this.onWrite(offset, width, value);
  }

  peek(offset: number, width: AccessWidth): number {
    if (width === 1) return this.bytes.getUint8(offset);
    return width === 2 ? this.bytes.getUint16(offset, true) : this.bytes.getUint32(offset, true);
  }

  poke(offset: number, width: AccessWidth, value: number): void {
    if (width === 1) this.bytes.setUint8(offset, value);
    else if (width === 2) this.bytes.setUint16(offset, value, true);
    else this.bytes.setUint32(offset, value, true);
  }

  #check(offset: number, width: number): void {
    const isInside = offset >= 0 && offset + width <= this.size && offset % width === 0;
    if (!isInside) throw new Error(`an access of ${width} bytes at ${offset} of ${this.size}`);
  }
}

/** A PCI function in software: configuration space, a list of capabilities, and up to six register files. */
export class SoftwareFunction implements PciFunction {
  readonly name = '0000:00:04.0';
  readonly config: RegisterFile = new RegisterFile(256);
  readonly bars: (RegisterFile | undefined)[];
  /** Once true, each access fails, as for a device that was removed. */
  isGone = false;
  #last = 0x34;
  #end = 0x40;

  constructor(vendor: number, device: number, bars: (RegisterFile | undefined)[] = []) {
    this.config.poke(0x00, 2, vendor);
    this.config.poke(0x02, 2, device);
    this.bars = bars;
  }

  /** Appends a capability, behind the last one or at `at`, and returns its offset. */
  addCapability(id: number, length: number, at: number = this.#end): number {
    this.config.poke(0x06, 2, 0x10);
    this.config.poke(this.#last, 1, at);
    this.config.poke(at, 1, id);
    this.config.poke(at + 1, 1, 0);
    this.#last = at + 1;
    this.#end = at + length + (-length & 3);
    return at;
  }

  /** Appends struct virtio_pci_cap. */
  addVirtioCapability(type: number, bar: number, offset: number, length: number, multiplier?: number): number {
    const at = this.addCapability(9, multiplier === undefined ? 16 : 20);
    this.config.poke(at + 2, 1, multiplier === undefined ? 16 : 20);
    this.config.poke(at + 3, 1, type);
    this.config.poke(at + 4, 1, bar);
    this.config.poke(at + 8, 4, offset);
    this.config.poke(at + 12, 4, length);
    if (multiplier !== undefined) this.config.poke(at + 16, 4, multiplier);
    return at;
  }

  /** Appends an MSI-X capability whose table is at `place`: offset and, in its three low bits, BAR. */
  addMsix(entries: number, place: number): number {
    const at = this.addCapability(0x11, 12);
    this.config.poke(at + 2, 2, entries - 1);
    this.config.poke(at + 4, 4, place);
    return at;
  }

  readConfig(offset: number, width: AccessWidth): number {
    this.#checkPresence();
    return this.config.read(offset, width);
  }

  writeConfig(offset: number, width: AccessWidth, value: number): void {
    this.#checkPresence();
    this.config.write(offset, width, value);
  }

  openBar(index: number): PciBar | undefined {
    if (!(index >= 0 && index <= 5)) throw new Error(`BAR ${index}`);
    const bar = this.bars[index];
    if (bar === undefined) return undefined;
    const checkPresence = (): void => this.#checkPresence();
    return {
      kind: bar.kind,
      size: bar.size,
      read(offset, width) {
        checkPresence();
        return bar.read(offset, width);
      },
      write(offset, width, value) {
        checkPresence();
        bar.write(offset, width, value);
      },
    };
  }

  #checkPresence(): void {
    if (this.isGone) throw new DeviceError('ERR_DEVICE_LOST', 'it was pulled out');
  }
}

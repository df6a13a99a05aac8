import { DeviceError } from '@virtio-platform/core';
import {
  PCI_BASE_ADDRESS_0,
  PCI_BASE_ADDRESS_MEM_TYPE_64,
  PCI_BASE_ADDRESS_MEM_TYPE_MASK,
  PCI_BASE_ADDRESS_SPACE_IO,
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
  type AccessWidth,
  type PciBar,
  type PciFunction,
} from '@virtio-platform/pci';

/** Addresses for base address registers: on the PCI bus, and as the processor accesses them. `size` is in bytes. */
export interface AddressWindow {
  readonly pciBase: number;
  readonly processorBase: number;
  readonly size: number;
}

/**
 * The accesses of a processor to PCI on one of QEMU's boards, which differ between a PC, a POWER machine and one for
 * Arm. `devfn` is a device and function of the root bus.
 */
export interface Board {
  readonly name: 'pc' | 'q35' | 'pseries' | 'virt';
  readonly io: AddressWindow;
  readonly memory: AddressWindow;
  /** For base address registers of 64 bits. */
  readonly memory64: AddressWindow;
  /** Bytes of each window that base address registers took so far, of all functions. */
  readonly taken: Map<AddressWindow, number>;
  readConfig(devfn: number, offset: number, width: AccessWidth): number;
  writeConfig(devfn: number, offset: number, width: AccessWidth, value: number): void;
  /** Reads a little-endian register in memory space, at the address of the processor. */
  readMemory(address: number, width: AccessWidth): number;
  writeMemory(address: number, width: AccessWidth, value: number): void;
  readIo(address: number, width: AccessWidth): number;
  writeIo(address: number, width: AccessWidth, value: number): void;
}

/** The suffixes of qtest commands by width: `readw`, `outl`. */
export const WIDTH_NAMES: Readonly<Record<AccessWidth, string>> = { 1: 'b', 2: 'w', 4: 'l' };

const BARS = 6;
const COMMAND_ALL = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

/** One function of a board without firmware: its base address registers get their addresses here. */
export class BoardFunction implements PciFunction {
  readonly name: string;
  readonly #board: Board;
  readonly #devfn: number;
  readonly #bars: (PciBar | undefined)[];

  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where the function needs more addresses than the board has. */
  constructor(board: Board, device: number) {
    this.name = `0000:00:${device.toString(16).padStart(2, '0')}.0`;
    this.#board = board;
    this.#devfn = device << 3;
    this.#bars = this.#mapBars();
    this.writeConfig(PCI_COMMAND, 2, this.readConfig(PCI_COMMAND, 2) | COMMAND_ALL);
  }

  readConfig(offset: number, width: AccessWidth): number {
    return this.#board.readConfig(this.#devfn, offset, width);
  }

  writeConfig(offset: number, width: AccessWidth, value: number): void {
    this.#board.writeConfig(this.#devfn, offset, width, value);
  }

  openBar(index: number): PciBar | undefined {
    return this.#bars[index];
  }

  /** Sizes each register by the bits that it keeps of all ones (PCI local bus specification 3.0 section 6.2.5.1). */
  #mapBars(): (PciBar | undefined)[] {
    const bars: (PciBar | undefined)[] = [];
    const { taken } = this.#board;
    for (let index = 0; index < BARS; index++) {
      const at = PCI_BASE_ADDRESS_0 + 4 * index;
      const kind = this.readConfig(at, 4);
      const isIo = (kind & PCI_BASE_ADDRESS_SPACE_IO) !== 0;
      const is64 = !isIo && (kind & PCI_BASE_ADDRESS_MEM_TYPE_MASK) === PCI_BASE_ADDRESS_MEM_TYPE_64;
      const size = this.#sizeOf(at, isIo, is64);
      if (size > 0) {
        if (!Number.isInteger(Math.log2(size)) && size !== Number.MAX_SAFE_INTEGER)
          throw new DeviceError('ERR_DEVICE_CONFIG', `${this.name} has ${size} bytes in BAR ${index}: no power of two`);
        const window = isIo ? this.#board.io : is64 ? this.#board.memory64 : this.#board.memory;
        const offset = Math.ceil((taken.get(window) ?? 0) / size) * size;
        if (offset + size > window.size)
          throw new DeviceError(
            'ERR_DEVICE_CONFIG',
            `${this.name} needs ${size} bytes for BAR ${index}; the board has ${window.size}`,
          );
        taken.set(window, offset + size);
        this.#place(at, window.pciBase + offset, is64);
        bars[index] = new BoardBar(this.#board, isIo, window.processorBase + offset, size);
      }
      if (is64) index++;
    }
    return bars;
  }

  #sizeOf(at: number, isIo: boolean, is64: boolean): number {
    this.writeConfig(at, 4, 0xffff_ffff);
    const kept = this.readConfig(at, 4) & (isIo ? ~3 : ~15);
    if (!is64) return kept === 0 ? 0 : -(kept | (isIo ? 0xffff_0000 : 0)) >>> 0;
    this.writeConfig(at + 4, 4, 0xffff_ffff);
    // A register of 4 GiB keeps no bit of the low word, and a larger one keeps fewer bits of the high word.
    const isBelow4GiB = kept !== 0 && this.readConfig(at + 4, 4) === 0xffff_ffff;
    return isBelow4GiB ? -kept >>> 0 : Number.MAX_SAFE_INTEGER;
  }

  #place(at: number, address: number, is64: boolean): void {
    this.writeConfig(at, 4, address % 0x1_0000_0000);
    if (is64) this.writeConfig(at + 4, 4, Math.floor(address / 0x1_0000_0000));
  }
}

/** The registers behind one base address register. Hot for notifications. */
class BoardBar implements PciBar {
  readonly kind: 'memory' | 'io';
  readonly size: number;
  readonly #board: Board;
  readonly #base: number;

  constructor(board: Board, isIo: boolean, base: number, size: number) {
    this.kind = isIo ? 'io' : 'memory';
    this.size = size;
    this.#board = board;
    this.#base = base;
  }

  read(offset: number, width: AccessWidth): number {
    return this.kind === 'io'
      ? this.#board.readIo(this.#base + offset, width)
      : this.#board.readMemory(this.#base + offset, width);
  }

  write(offset: number, width: AccessWidth, value: number): void {
    if (this.kind === 'io') this.#board.writeIo(this.#base + offset, width, value);
    else this.#board.writeMemory(this.#base + offset, width, value);
  }
}

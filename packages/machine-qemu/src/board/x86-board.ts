import type { AccessWidth } from '@virtio-platform/pci';
import { hex, type QtestConnection } from '../qtest/qtest-connection.ts';
import { WIDTH_NAMES, type AddressWindow, type Board } from './board.ts';

/** The ports through which configuration space is reached (PCI local bus specification 3.0 section 3.2.2.3.2). */
const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;
const ENABLE = 0x8000_0000;

/** What a PC reaches at an address is at the same address on the bus. */
function window(base: number, size: number): AddressWindow {
  return { pciBase: base, processorBase: base, size };
}

/** A PC: the i440fx (`pc`) and the Q35. Nothing of its firmware ran, so the addresses of devices are given here. */
export class X86Board implements Board {
  readonly name: 'pc' | 'q35';
  readonly io: AddressWindow = window(0xc000, 0x1000);
  /** Between the largest memory that is allowed and what the chipset has below 4 GiB. */
  readonly memory: AddressWindow = window(0xe000_0000, 0x1000_0000);
  readonly memory64: AddressWindow = window(0x8_0000_0000, 0x1000_0000);
  readonly #qtest: QtestConnection;

  constructor(name: 'pc' | 'q35', qtest: QtestConnection) {
    this.name = name;
    this.#qtest = qtest;
  }

  readConfig(devfn: number, offset: number, width: AccessWidth): number {
    this.#select(devfn, offset);
    return this.readIo(CONFIG_DATA + (offset & 3), width);
  }

  writeConfig(devfn: number, offset: number, width: AccessWidth, value: number): void {
    this.#select(devfn, offset);
    this.writeIo(CONFIG_DATA + (offset & 3), width, value);
  }

  readMemory(address: number, width: AccessWidth): number {
    return this.#qtest.number(`read${WIDTH_NAMES[width]} ${hex(address)}`);
  }

  writeMemory(address: number, width: AccessWidth, value: number): void {
    this.#qtest.post(`write${WIDTH_NAMES[width]} ${hex(address)} ${hex(value)}`);
  }

  readIo(address: number, width: AccessWidth): number {
    return this.#qtest.number(`in${WIDTH_NAMES[width]} ${hex(address)}`);
  }

  writeIo(address: number, width: AccessWidth, value: number): void {
    this.#qtest.post(`out${WIDTH_NAMES[width]} ${hex(address)} ${hex(value)}`);
  }

  #select(devfn: number, offset: number): void {
    this.writeIo(CONFIG_ADDRESS, 4, ENABLE + devfn * 0x100 + (offset & 0xfc));
  }
}

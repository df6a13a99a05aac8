import type { AccessWidth } from '@virtio-platform/pci';
import type { VtdFacility } from '@virtio-platform/platform-intel-iommu';
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

const BYTES = 0x1_0000;
/** Where a processor starts, 16 bytes below the end. */
const RESET_VECTOR = 0xfff0;
const HLT = 0xf4;
const JMP_SHORT = 0xeb;
const BACK_TO_HLT = 0xfd;

/** A firmware that stops the processor for good: interrupts are off when it starts. */
export function buildHaltingFirmware(): Uint8Array {
  const image = new Uint8Array(BYTES);
  image.set([HLT, JMP_SHORT, BACK_TO_HLT], RESET_VECTOR);
  return image;
}

/** Where the chipset has the registers of its remapping unit (QEMU hw/i386/intel_iommu.c, Q35_HOST_BRIDGE_IOMMU_ADDR). */
const BASE = 0xfed9_0000;

/** The registers of QEMU's own VT-d unit. */
export class VtdRegisters implements VtdFacility {
  readonly sourceId: number;
  readonly #qtest: QtestConnection;

  /** The device is `devfn` on the root bus. */
  constructor(qtest: QtestConnection, devfn: number) {
    this.sourceId = devfn;
    this.#qtest = qtest;
  }

  read32(offset: number): number {
    return this.#qtest.number(`readl ${hex(BASE + offset)}`);
  }

  write32(offset: number, value: number): void {
    this.#qtest.post(`writel ${hex(BASE + offset)} ${hex(value >>> 0)}`);
  }

  read64(offset: number, words: Uint32Array): void {
    this.#qtest.number64(`readq ${hex(BASE + offset)}`, words);
  }

  /** In one access: writing the upper half starts what some of the registers are there for. */
  write64(offset: number, low: number, high: number): void {
    const value = `${(high >>> 0).toString(16)}${(low >>> 0).toString(16).padStart(8, '0')}`;
    this.#qtest.post(`writeq ${hex(BASE + offset)} 0x${value}`);
  }
}

import type { AccessWidth } from '@virtio-platform/pci';
import type { VtdFacility } from '@virtio-platform/platform-intel-iommu';
import { hex, type QtestConnection } from '../qtest/qtest-connection.ts';
import { WIDTH_NAMES, type AddressWindow, type Board } from './board.ts';

/** The ports that access configuration space (PCI local bus specification 3.0 section 3.2.2.3.2). */
const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;
const ENABLE = 0x8000_0000;

/** On a PC the addresses of the processor and of the bus are the same. */
function window(base: number, size: number): AddressWindow {
  return { pciBase: base, processorBase: base, size };
}

/** A PC: the i440fx (`pc`) or the Q35. It runs no firmware, so the addresses of devices are chosen here. */
export class X86Board implements Board {
  readonly name: 'pc' | 'q35';
  readonly io: AddressWindow = window(0xc000, 0x1000);
  /** Above the largest permitted memory, and below the registers of the chipset under 4 GiB. */
  readonly memory: AddressWindow = window(0xe000_0000, 0x1000_0000);
  readonly memory64: AddressWindow = window(0x8_0000_0000, 0x1000_0000);
  readonly taken: Map<AddressWindow, number> = new Map();
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
    return this.#qtest.number(`read${WIDTH_NAMES[width]} ${hex(address)}`, width);
  }

  writeMemory(address: number, width: AccessWidth, value: number): void {
    this.#qtest.post(`write${WIDTH_NAMES[width]} ${hex(address)} ${hex(value)}`);
  }

  readIo(address: number, width: AccessWidth): number {
    return this.#qtest.number(`in${WIDTH_NAMES[width]} ${hex(address)}`, width);
  }

  writeIo(address: number, width: AccessWidth, value: number): void {
    this.#qtest.post(`out${WIDTH_NAMES[width]} ${hex(address)} ${hex(value)}`);
  }

  #select(devfn: number, offset: number): void {
    this.writeIo(CONFIG_ADDRESS, 4, ENABLE + devfn * 0x100 + (offset & 0xfc));
  }
}

const FIRMWARE_BYTES = 0x1_0000;
/** The first instruction of a processor, 16 bytes below the end. */
const RESET_VECTOR = 0xfff0;
const HLT = 0xf4;
const JMP_SHORT = 0xeb;
const TO_HLT = 0xfd;

/** A firmware that halts the processor for good: its interrupts are disabled at the start. */
export function buildHaltingFirmware(): Uint8Array {
  const image = new Uint8Array(FIRMWARE_BYTES);
  image.set([HLT, JMP_SHORT, TO_HLT], RESET_VECTOR);
  return image;
}

/** Address of the registers of the remapping unit (QEMU hw/i386/intel_iommu.c, Q35_HOST_BRIDGE_IOMMU_ADDR). */
const VTD_BASE = 0xfed9_0000;

/** The registers of QEMU's VT-d unit. */
export class VtdRegisters implements VtdFacility {
  readonly sourceId: number;
  readonly #qtest: QtestConnection;

  /** `devfn` is the device and function of the device on the root bus. */
  constructor(qtest: QtestConnection, devfn: number) {
    this.sourceId = devfn;
    this.#qtest = qtest;
  }

  read32(offset: number): number {
    return this.#qtest.number(`readl ${hex(VTD_BASE + offset)}`, 4);
  }

  write32(offset: number, value: number): void {
    this.#qtest.post(`writel ${hex(VTD_BASE + offset)} ${hex(value >>> 0)}`);
  }

  read64(offset: number, words: Uint32Array): void {
    this.#qtest.number64(`readq ${hex(VTD_BASE + offset)}`, words);
  }

  /** Writes 64 bits in one access, because a write of the upper half alone starts the operation of some registers. */
  write64(offset: number, low: number, high: number): void {
    this.#qtest.post64(VTD_BASE + offset, low, high);
  }
}

import type { AccessWidth } from '@virtio-platform/pci';
import type { SmmuFacility } from '@virtio-platform/platform-smmuv3';
import { hex, type QtestConnection } from '../qtest/qtest-connection.ts';
import { WIDTH_NAMES, type AddressWindow, type Board } from './board.ts';

/** Configuration space, 4 KiB for each function (QEMU hw/arm/virt.c, VIRT_HIGH_PCIE_ECAM). */
const ECAM = 0x40_1000_0000;
const FUNCTION_SHIFT = 12;

/**
 * PCI of the board for Arm (`virt`). It runs no firmware, so the addresses of devices are chosen here. The processor is
 * little-endian, and reaches I/O space through a window of memory (QEMU hw/arm/virt.c, VIRT_PCIE_PIO).
 */
export class ArmBoard implements Board {
  readonly name = 'virt';
  readonly io: AddressWindow = { pciBase: 0x1000, processorBase: 0x3eff_1000, size: 0xf000 };
  /** VIRT_PCIE_MMIO, below the memory of the board. */
  readonly memory: AddressWindow = { pciBase: 0x1000_0000, processorBase: 0x1000_0000, size: 0x1000_0000 };
  /** VIRT_HIGH_PCIE_MMIO. */
  readonly memory64: AddressWindow = { pciBase: 0x80_0000_0000, processorBase: 0x80_0000_0000, size: 0x1000_0000 };
  readonly taken: Map<AddressWindow, number> = new Map();
  readonly #qtest: QtestConnection;

  constructor(qtest: QtestConnection) {
    this.#qtest = qtest;
  }

  readConfig(devfn: number, offset: number, width: AccessWidth): number {
    return this.readMemory(ECAM + devfn * 2 ** FUNCTION_SHIFT + offset, width);
  }

  writeConfig(devfn: number, offset: number, width: AccessWidth, value: number): void {
    this.writeMemory(ECAM + devfn * 2 ** FUNCTION_SHIFT + offset, width, value);
  }

  readMemory(address: number, width: AccessWidth): number {
    return this.#qtest.number(`read${WIDTH_NAMES[width]} ${hex(address)}`, width);
  }

  writeMemory(address: number, width: AccessWidth, value: number): void {
    this.#qtest.post(`write${WIDTH_NAMES[width]} ${hex(address)} ${hex(value)}`);
  }

  readIo(address: number, width: AccessWidth): number {
    return this.readMemory(address, width);
  }

  writeIo(address: number, width: AccessWidth, value: number): void {
    this.writeMemory(address, width, value);
  }
}

/** Address of the registers of the SMMUv3 (QEMU hw/arm/virt.c, VIRT_SMMU). */
const SMMU_BASE = 0x0905_0000;

/** The registers of QEMU's SMMUv3. */
export class SmmuRegisters implements SmmuFacility {
  readonly streamId: number;
  readonly isolatedMsi: boolean;
  readonly #qtest: QtestConnection;

  /** `devfn` is the device and function of the device on the root bus. */
  constructor(qtest: QtestConnection, devfn: number, isolatedMsi: boolean) {
    this.streamId = devfn;
    this.isolatedMsi = isolatedMsi;
    this.#qtest = qtest;
  }

  read32(offset: number): number {
    return this.#qtest.number(`readl ${hex(SMMU_BASE + offset)}`, 4);
  }

  write32(offset: number, value: number): void {
    this.#qtest.post(`writel ${hex(SMMU_BASE + offset)} ${hex(value >>> 0)}`);
  }

  write64(offset: number, low: number, high: number): void {
    this.#qtest.post64(SMMU_BASE + offset, low, high);
  }
}

import type { VtdFacility } from '@virtio-platform/platform-intel-iommu';
import { hex, type QtestConnection } from '../qtest/qtest-connection.ts';

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

import type { AccessWidth, MmioRegisters } from '@virtio-platform/mmio';
import { hex, type QtestConnection } from '../qtest/qtest-connection.ts';
import type { MmioBoardName } from './board-name.ts';
import { WIDTH_NAMES } from './board.ts';

/** The virtio-mmio slots of a board: their first address, and how many there are. */
export const MMIO_SLOTS: Readonly<Record<MmioBoardName, { readonly base: number; readonly count: number }>> = {
  // QEMU hw/i386/microvm.c, with its second interrupt controller, which it has without KVM.
  microvm: { base: 0xfeb0_0000, count: 24 },
  // QEMU hw/arm/virt.c, VIRT_MMIO.
  virt: { base: 0x0a00_0000, count: 32 },
};
/** Bytes from one slot to the next: all of them are registers. */
const SLOT_BYTES = 0x200;

/** The registers of one virtio-mmio slot, by qtest. All boards with slots are little-endian. Hot for notifications. */
export class BoardSlot implements MmioRegisters {
  readonly name: string;
  readonly size: number = SLOT_BYTES;
  readonly #qtest: QtestConnection;
  readonly #base: number;

  /** `slot` counts from 0 at the first address of the board's slots. */
  constructor(board: MmioBoardName, slot: number, qtest: QtestConnection) {
    this.#base = MMIO_SLOTS[board].base + SLOT_BYTES * slot;
    this.name = `virtio-mmio slot ${slot} at ${hex(this.#base)}`;
    this.#qtest = qtest;
  }

  read(offset: number, width: AccessWidth): number {
    return this.#qtest.number(`read${WIDTH_NAMES[width]} ${hex(this.#base + offset)}`, width);
  }

  write(offset: number, width: AccessWidth, value: number): void {
    this.#qtest.post(`write${WIDTH_NAMES[width]} ${hex(this.#base + offset)} ${hex(value)}`);
  }
}

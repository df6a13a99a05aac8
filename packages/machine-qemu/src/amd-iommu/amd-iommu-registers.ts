import { CodedError } from '@virtio-platform/core';
import type { AmdIommuFacility } from '@virtio-platform/platform-amd-iommu';
import type { Board } from '../board/board.ts';
import { hex, type QtestConnection } from '../qtest/qtest-connection.ts';
import type { DeniedAccesses } from './denied-accesses.ts';

/** Vendor and device of QEMU's unit. */
const IDENTITY = 0x0008_1022;
const SLOTS = 32;
/** Offset of the first capability in configuration space. */
const FIRST_CAPABILITY = 0x34;
const MOST_CAPABILITIES = 48;
/** The capability of an IOMMU, which has the address of the registers in its next two words. */
const CAPABILITY_ID = 0x0f;
const BASE_MASK = 0xffff_c000;

/** The registers of QEMU's AMD IOMMU, and the configuration space of its PCI function. */
export class AmdIommuRegisters implements AmdIommuFacility {
  readonly sourceId: number;
  /** Absent where QEMU does not trace. */
  readonly takeDenied?: () => readonly bigint[];
  readonly #board: Board;
  readonly #qtest: QtestConnection;
  readonly #devfn: number;
  readonly #base: number;

  /**
   * `sourceId` is the device and function of the device on the root bus. Throws `ERR_MACHINE_START` where QEMU has no
   * such unit.
   */
  constructor(board: Board, qtest: QtestConnection, sourceId: number, denied?: DeniedAccesses) {
    this.sourceId = sourceId;
    this.#board = board;
    this.#qtest = qtest;
    this.#devfn = findUnit(board);
    this.#base = this.#findRegisters();
    if (denied !== undefined) this.takeDenied = () => denied.take();
  }

  read64(offset: number, words: Uint32Array): void {
    this.#qtest.number64(`readq ${hex(this.#base + offset)}`, words);
  }

  /** Writes 64 bits in one access: QEMU takes the halves of a base in one order only. */
  write64(offset: number, low: number, high: number): void {
    this.#qtest.post64(this.#base + offset, low, high);
  }

  readConfig(offset: number): number {
    return this.#board.readConfig(this.#devfn, offset, 4);
  }

  writeConfig(offset: number, value: number): void {
    this.#board.writeConfig(this.#devfn, offset, 4, value);
  }

  #findRegisters(): number {
    let at = this.readConfig(FIRST_CAPABILITY) & 0xfc;
    for (let i = 0; at !== 0 && i < MOST_CAPABILITIES; i++) {
      const header = this.readConfig(at);
      if ((header & 0xff) === CAPABILITY_ID) {
        const [low, high] = [this.readConfig(at + 4), this.readConfig(at + 8)];
        return high * 2 ** 32 + ((low & BASE_MASK) >>> 0);
      }
      at = (header >>> 8) & 0xfc;
    }
    throw missing('does not say where its registers are');
  }
}

/** The device and function of the unit: QEMU takes the first free slot of the root bus. */
function findUnit(board: Board): number {
  for (let slot = 0; slot < SLOTS; slot++) if (board.readConfig(slot << 3, 0, 4) === IDENTITY) return slot << 3;
  throw missing('is not on the root bus');
}

function missing(problem: string): CodedError {
  return new CodedError('ERR_MACHINE_START', `QEMU's amd-iommu ${problem}`, {
    hint: 'use a QEMU whose q35 has an amd-iommu: `qemu-system-x86_64 -device help` lists it',
  });
}

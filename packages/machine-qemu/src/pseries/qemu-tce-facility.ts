import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  RTAS_SUCCESS,
  TCE_LIST_ENTRIES,
  type DmaWindow,
  type TceFacility,
  type WindowQuery,
} from '@virtio-platform/platform-pseries';
import { DeviceTree } from './device-tree.ts';
import { readHostBridge } from './host-bridge.ts';
import type { HypercallMailbox } from './hypercall-mailbox.ts';
import { BRIDGE_ID, statusOf, type Rtas } from './pseries-board.ts';

const H_GET_TCE = 0x1c;
const H_PUT_TCE = 0x20;
const H_STUFF_TCE = 0x138;
const H_PUT_TCE_INDIRECT = 0x13c;

/** Address of a page for the entries of one H_PUT_TCE_INDIRECT, in memory that the driver does not get. */
const LIST_ADDRESS = 0x3_0000;

/** The page shift of each bit in the page size mask of ibm,query-pe-dma-window (LoPAPR; Linux enable_ddw). */
const PAGE_MASK: readonly (readonly [bit: number, shift: number])[] = [
  [0x001, 12],
  [0x002, 16],
  [0x100, 21],
  [0x004, 24],
  [0x008, 25],
  [0x010, 26],
  [0x020, 27],
  [0x040, 28],
  [0x080, 34],
];

/**
 * The paravirtual IOMMU of QEMU: the processor of the guest makes the hypercalls, and RTAS calls change the windows.
 */
export class QemuTceFacility implements TceFacility {
  readonly defaultWindow: DmaWindow;
  readonly multiTce: boolean;
  readonly #memory: GuestMemory;
  readonly #mailbox: HypercallMailbox;
  readonly #rtas: Rtas;
  /** The function that has the windows: its configuration address and its host bridge. */
  readonly #function: readonly number[];

  /** Reads the device tree. Throws {@link DeviceError} where it does not have what a guest needs. */
  constructor(memory: GuestMemory, mailbox: HypercallMailbox, rtas: Rtas, devfn: number) {
    const firmware = readHostBridge(DeviceTree.parse(memory, mailbox.deviceTreeAddress()));
    this.defaultWindow = firmware.defaultWindow;
    this.multiTce = firmware.multiTce;
    this.#memory = memory;
    this.#mailbox = mailbox;
    this.#rtas = rtas;
    this.#function = [devfn * 0x100, ...BRIDGE_ID];
  }

  putTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number): number {
    this.#address(liobn, iobaLow, iobaHigh);
    this.#mailbox.setArgument(2, tceLow, tceHigh);
    return this.#mailbox.call(H_PUT_TCE);
  }

  putTceIndirect(liobn: number, iobaLow: number, iobaHigh: number, list: Uint32Array, count: number): number {
    if (!(count <= TCE_LIST_ENTRIES)) throw new RangeError(`${count} entries in a list of ${TCE_LIST_ENTRIES}`);
    const { view } = this.#memory;
    for (let i = 0; i < count; i++) {
      view.setUint32(LIST_ADDRESS + 8 * i, list[2 * i + 1]!);
      view.setUint32(LIST_ADDRESS + 8 * i + 4, list[2 * i]!);
    }
    this.#address(liobn, iobaLow, iobaHigh);
    this.#mailbox.setArgument(2, LIST_ADDRESS, 0);
    this.#mailbox.setArgument(3, count, 0);
    return this.#mailbox.call(H_PUT_TCE_INDIRECT);
  }

  stuffTce(liobn: number, iobaLow: number, iobaHigh: number, tceLow: number, tceHigh: number, count: number): number {
    this.#address(liobn, iobaLow, iobaHigh);
    this.#mailbox.setArgument(2, tceLow, tceHigh);
    this.#mailbox.setArgument(3, count, 0);
    return this.#mailbox.call(H_STUFF_TCE);
  }

  getTce(liobn: number, iobaLow: number, iobaHigh: number, words: Uint32Array): number {
    this.#address(liobn, iobaLow, iobaHigh);
    const code = this.#mailbox.call(H_GET_TCE);
    words[0] = this.#mailbox.result(1, 0);
    words[1] = this.#mailbox.result(1, 1);
    return code;
  }

  queryWindows(): WindowQuery {
    const outputs = this.#rtas.call('ibm,query-pe-dma-window', this.#function, 6);
    const [, available, entriesHigh, entriesLow, mask] = outputs;
    return {
      status: statusOf(outputs),
      available: available!,
      maxEntries: entriesHigh! * 2 ** 32 + entriesLow!,
      pageShifts: PAGE_MASK.filter(([bit]) => (mask! & bit) !== 0).map(([, shift]) => shift),
    };
  }

  createWindow(pageShift: number, windowShift: number): { readonly status: number; readonly window?: DmaWindow } {
    const cells = [...this.#function, pageShift, windowShift];
    const outputs = this.#rtas.call('ibm,create-pe-dma-window', cells, 4);
    const status = statusOf(outputs);
    if (status !== RTAS_SUCCESS) return { status };
    const [, liobn, high, low] = outputs;
    const base = (BigInt(high!) << 32n) | BigInt(low!);
    return { status, window: { liobn: liobn!, base, size: 2 ** windowShift, pageShift } };
  }

  removeWindow(liobn: number): number {
    return statusOf(this.#rtas.call('ibm,remove-pe-dma-window', [liobn], 1));
  }

  resetWindows(): number {
    return statusOf(this.#rtas.call('ibm,reset-pe-dma-window', this.#function, 1));
  }

  #address(liobn: number, iobaLow: number, iobaHigh: number): void {
    this.#mailbox.setArgument(0, liobn, 0);
    this.#mailbox.setArgument(1, iobaLow, iobaHigh);
  }
}

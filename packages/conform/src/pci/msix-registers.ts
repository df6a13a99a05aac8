import type { PciBar, PciFunction } from '@virtio-platform/core/device';
import { listCapabilities } from '@virtio-platform/pci';

const MSIX = 0x11;
const ENABLE = 0x8000;
const FUNCTION_MASK = 0x4000;
const ENTRY_BYTES = 16;
const MASKED = 1;

/** Where a structure of MSI-X is. */
export interface MsixPlace {
  readonly bar: number;
  readonly offset: number;
  readonly bytes: number;
}

/** The MSI-X registers of a function, each of which a case writes by hand (PCI local bus 3.0 section 6.8.2). */
export class MsixRegisters {
  /** Entries of the table. */
  readonly size: number;
  readonly table: MsixPlace;
  readonly pendingBits: MsixPlace;
  readonly #pci: PciFunction;
  readonly #control: number;

  private constructor(pci: PciFunction, capability: number) {
    this.#pci = pci;
    this.#control = capability + 2;
    this.size = (pci.readConfig(this.#control, 2) & 0x7ff) + 1;
    const place = (at: number, bytes: number): MsixPlace => {
      const word = pci.readConfig(at, 4);
      return { bar: word & 7, offset: word - (word & 7), bytes };
    };
    this.table = place(capability + 4, this.size * ENTRY_BYTES);
    this.pendingBits = place(capability + 8, 8 * Math.ceil(this.size / 64));
  }

  /** The registers of a function; `undefined` where it has no MSI-X. */
  static find(pci: PciFunction): MsixRegisters | undefined {
    const capability = listCapabilities(pci).find(({ id, maxLength }) => id === MSIX && maxLength >= 12);
    return capability && new MsixRegisters(pci, capability.offset);
  }

  get control(): number {
    return this.#pci.readConfig(this.#control, 2);
  }

  /** Each write here is read back, so that it has arrived. */
  set control(value: number) {
    this.#pci.writeConfig(this.#control, 2, value);
    this.#pci.readConfig(this.#control, 2);
  }

  /** Enables or disables MSI-X, and masks the whole function or not. */
  enable(isEnabled: boolean, isMasked = false): void {
    const control = this.control & ~(ENABLE | FUNCTION_MASK);
    this.control = control | (isEnabled ? ENABLE : 0) | (isMasked ? FUNCTION_MASK : 0);
  }

  /** The base address register of the table; `undefined` where nothing is mapped. */
  get tableBar(): PciBar | undefined {
    return this.table.bar <= 5 ? this.#pci.openBar(this.table.bar) : undefined;
  }

  /** Reads word 0 to 3 of an entry: address low and high, data, control. */
  read(vector: number, word: number): number {
    return this.tableBar!.read(this.table.offset + vector * ENTRY_BYTES + 4 * word, 4);
  }

  write(vector: number, word: number, value: number): void {
    this.tableBar!.write(this.table.offset + vector * ENTRY_BYTES + 4 * word, 4, value);
    this.read(vector, word);
  }

  /** Masks a vector, or lets its messages through. */
  mask(vector: number, isMasked: boolean): void {
    this.write(vector, 3, isMasked ? MASKED : 0);
  }

  /** Has a vector write `data` to a device address. */
  send(vector: number, low: number, high: number, data: number): void {
    this.mask(vector, true);
    this.write(vector, 0, low);
    this.write(vector, 1, high);
    this.write(vector, 2, data);
    this.mask(vector, false);
  }

  /** Whether a message of a vector is pending. */
  isPending(vector: number): boolean {
    const { bar, offset } = this.pendingBits;
    const word = this.#pci.openBar(bar)!.read(offset + 4 * Math.floor(vector / 32), 4);
    return ((word >>> (vector % 32)) & 1) !== 0;
  }
}

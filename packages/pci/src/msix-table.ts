import { capabilities } from './pci-capabilities.ts';
import type { PciFunction } from './pci-function.ts';
import { RegisterWindow } from './register-window.ts';

const MSIX = 0x11;
const CAPABILITY_BYTES = 12;
const ENTRY_BYTES = 16;
const ENABLE = 0x8000;
const FUNCTION_MASK = 0x4000;

/** The table of a function's messages (PCI local bus specification 3.0 section 6.8.2): where each vector writes what. */
export class MsixTable {
  /** Entries. */
  readonly size: number;
  readonly #pci: PciFunction;
  readonly #control: number;
  readonly #entries: RegisterWindow;

  private constructor(pci: PciFunction, capability: number) {
    this.#pci = pci;
    this.#control = capability + 2;
    this.size = (pci.readConfig(this.#control, 2) & 0x7ff) + 1;
    const place = pci.readConfig(capability + 4, 4);
    const bar = place & 7;
    this.#entries = new RegisterWindow(pci, 'MSI-X table', bar, place - bar, this.size * ENTRY_BYTES);
  }

  /** `undefined` for a function without. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where the table is not mapped. */
  static find(pci: PciFunction): MsixTable | undefined {
    const capability = capabilities(pci).find(({ id, room }) => id === MSIX && room >= CAPABILITY_BYTES);
    return capability && new MsixTable(pci, capability.offset);
  }

  /** Has vector `index` write `data` to a device address, given as low and high word. */
  setEntry(index: number, low: number, high: number, data: number): void {
    const at = index * ENTRY_BYTES;
    this.#entries.write(at, 4, low);
    this.#entries.write(at + 4, 4, high);
    this.#entries.write(at + 8, 4, data);
    this.#entries.write(at + 12, 4, 0);
  }

  enable(isEnabled: boolean): void {
    const control = this.#pci.readConfig(this.#control, 2) & ~(ENABLE | FUNCTION_MASK);
    this.#pci.writeConfig(this.#control, 2, isEnabled ? control | ENABLE : control);
  }
}

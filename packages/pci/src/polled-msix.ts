import { nap } from '@virtio-platform/core/device';
import type { DmaRegion } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { RegisterWindow, type PciFunction } from './pci-function.ts';
import type { PciInterrupts } from './device-interrupts.ts';
import { capabilities } from './configuration-space.ts';

const WORD_BYTES = 4;
/** What a message writes; anything but 0. */
const MESSAGE = 1;
/** Looks before the first sleep: a device in another process often answers at once. */
const LOOKS = 200;
const SLEEP_MS = 0.05;

/**
 * Messages of a function (MSI-X) in a machine that has no processor to interrupt: each vector writes to a word of the driver's
 * memory, which is looked at. The memory is an ordinary DMA mapping, so that the platform's rules hold for messages too.
 */
export class PolledMessages implements PciInterrupts {
  readonly vectors: number;
  readonly messageBytes: number;
  readonly #memory: GuestMemory;
  readonly #table: MsixTable | undefined;
  #region: DmaRegion | undefined;
  /** Vectors that are enabled. */
  #count = 0;

  /** `most` bounds the vectors that are used. */
  constructor(pci: PciFunction, memory: GuestMemory, most: number) {
    this.#memory = memory;
    this.#table = MsixTable.find(pci);
    this.vectors = Math.min(this.#table?.size ?? 0, most);
    this.messageBytes = this.vectors * WORD_BYTES;
  }

  receiveIn(region: DmaRegion): void {
    if (region.length < this.messageBytes || region.address % WORD_BYTES !== 0)
      throw new RangeError(`${region.length} bytes at 0x${region.address.toString(16)} for ${this.vectors} messages`);
    this.#region = region;
  }

  enable(count: number): void {
    const region = this.#region;
    if (region === undefined || this.#table === undefined || count > this.vectors)
      throw new TypeError(`${count} of ${this.vectors} vectors, ${region === undefined ? 'without' : 'with'} memory`);
    const words = new Uint32Array(2);
    for (let vector = 0; vector < count; vector++) {
      this.#memory.u32[region.address / WORD_BYTES + vector] = 0;
      region.writeDeviceAddress(vector * WORD_BYTES, words, 0);
      this.#table.setEntry(vector, words[0]!, words[1]!, MESSAGE);
    }
    this.#table.enable(true);
    this.#count = count;
  }

  wait(timeoutMs: number): boolean {
    const deadline = performance.now() + timeoutMs;
    for (let looks = 0; ; looks++) {
      if (this.#take()) return true;
      if (performance.now() >= deadline) return false;
      if (looks >= LOOKS) nap(SLEEP_MS);
    }
  }

  disable(): void {
    this.#count = 0;
    this.#region = undefined;
    this.#table?.enable(false);
  }

  #take(): boolean {
    if (this.#region === undefined) return false;
    const first = this.#region.address / WORD_BYTES;
    let came = 0;
    for (let vector = 0; vector < this.#count; vector++) came |= Atomics.exchange(this.#memory.u32, first + vector, 0);
    return came !== 0;
  }
}


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

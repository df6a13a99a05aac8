import { nap } from '@virtio-platform/core/device';
import type { DmaRegion } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { listCapabilities } from './configuration-space.ts';
import type { PciInterrupts } from './device-interrupts.ts';
import { RegisterWindow, type PciFunction } from './pci-function.ts';

const MSIX = 0x11;
const CAPABILITY_BYTES = 12;
const ENTRY_BYTES = 16;
const ENABLE = 0x8000;
const FUNCTION_MASK = 0x4000;

/**
 * The MSI-X table of a function (PCI local bus specification 3.0 section 6.8.2): the address and the data that each
 * vector writes.
 */
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

  /**
   * The table of a function; `undefined` where the function has none. Throws {@link DeviceError} `ERR_DEVICE_CONFIG`
   * where the function does not map the table.
   */
  static find(pci: PciFunction): MsixTable | undefined {
    const capability = listCapabilities(pci).find(({ id, maxLength }) => id === MSIX && maxLength >= CAPABILITY_BYTES);
    return capability && new MsixTable(pci, capability.offset);
  }

  /** Has vector `index` write `data` to a device address, given as low and high word, and unmasks the vector. */
  setEntry(index: number, low: number, high: number, data: number): void {
    const at = index * ENTRY_BYTES;
    this.#entries.write(at, 4, low);
    this.#entries.write(at + 4, 4, high);
    this.#entries.write(at + 8, 4, data);
    this.#entries.write(at + 12, 4, 0);
  }

  /** Enables or disables MSI-X for the function, and clears its function mask. */
  enable(isEnabled: boolean): void {
    const control = this.#pci.readConfig(this.#control, 2) & ~(ENABLE | FUNCTION_MASK);
    this.#pci.writeConfig(this.#control, 2, isEnabled ? control | ENABLE : control);
  }
}

const WORD_BYTES = 4;
/** The data of a message: any value but 0. */
const MESSAGE = 1;
/** Reads before the first sleep: a device in another process often answers at once. */
const READS = 200;
const SLEEP_MS = 0.05;

/**
 * MSI-X in a machine without an interrupt controller: each vector writes to a word of driver memory, which `wait`
 * polls. The memory is an ordinary DMA mapping, so the platform's rules hold for the messages too.
 */
export class PolledMsix implements PciInterrupts {
  readonly vectors: number;
  readonly msixBytes: number;
  readonly #memory: GuestMemory;
  readonly #table: MsixTable | undefined;
  #region: DmaRegion | undefined;
  /** The number of enabled vectors. */
  #count = 0;
  /** A bit for each vector whose message was taken and not asked for yet. */
  #taken = 0;

  /** Uses at most `most` vectors. */
  constructor(pci: PciFunction, memory: GuestMemory, most: number) {
    this.#memory = memory;
    this.#table = MsixTable.find(pci);
    this.vectors = Math.min(this.#table?.size ?? 0, most);
    this.msixBytes = this.vectors * WORD_BYTES;
  }

  receiveIn(region: DmaRegion): void {
    if (region.length < this.msixBytes || region.address % WORD_BYTES !== 0)
      throw new RangeError(`${region.length} bytes at 0x${region.address.toString(16)} for ${this.vectors} vectors`);
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
    for (let reads = 0; ; reads++) {
      if (this.#take()) return true;
      if (performance.now() >= deadline) return false;
      if (reads >= READS) nap(SLEEP_MS);
    }
  }

  takeVector(vector: number): boolean {
    const isTaken = (this.#taken & (1 << vector)) !== 0;
    this.#taken &= ~(1 << vector);
    return isTaken;
  }

  disable(): void {
    this.#count = 0;
    this.#taken = 0;
    this.#region = undefined;
    this.#table?.enable(false);
  }

  /** Clears the words of all vectors. Returns whether one of them had a message. */
  #take(): boolean {
    if (this.#region === undefined) return false;
    const first = this.#region.address / WORD_BYTES;
    let written = 0;
    for (let vector = 0; vector < this.#count; vector++) {
      const message = Atomics.exchange(this.#memory.u32, first + vector, 0);
      if (message !== 0) this.#taken |= 1 << vector;
      written |= message;
    }
    return written !== 0;
  }
}

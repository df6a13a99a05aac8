import { nap } from '@virtio-platform/core/device';
import type { DmaRegion } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { MsixTable } from './msix-table.ts';
import type { PciFunction } from './pci-function.ts';
import type { PciInterrupts } from './pci-interrupts.ts';

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

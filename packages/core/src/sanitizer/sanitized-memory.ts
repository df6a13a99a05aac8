import { GuestMemory } from '../memory/guest-memory.ts';
import type { FreeRun, TakenRange } from '../memory/range-allocator.ts';
import type { CpuAccessCheck } from './cpu-access-check.ts';
import { watchedArray, watchedView } from './watched-array.ts';

/**
 * Guest memory as a driver gets it under the sanitizer: the same bytes, and every access looked at. Rings and mappings keep the memory
 * itself: what they do is theirs to know.
 */
export class SanitizedMemory extends GuestMemory {
  override readonly u8: Uint8Array;
  override readonly u16: Uint16Array;
  override readonly u32: Uint32Array;
  override readonly view: DataView;
  readonly #inner: GuestMemory;
  readonly #check: CpuAccessCheck;

  constructor(inner: GuestMemory, check: CpuAccessCheck) {
    super(inner.buffer);
    this.#inner = inner;
    this.#check = check;
    this.u8 = watchedArray(inner.u8, check);
    this.u16 = watchedArray(inner.u16, check);
    this.u32 = watchedArray(inner.u32, check);
    this.view = watchedView(inner.view, check);
    // A field of the base class, and here something that is noticed.
    Object.defineProperty(this, 'buffer', {
      get: () => {
        check.bypass();
        return inner.buffer;
      },
    });
  }

  override get allocated(): number {
    return this.#inner.allocated;
  }

  override get untouched(): readonly Readonly<FreeRun>[] {
    return this.#inner.untouched;
  }

  override allocationAt(address: number): TakenRange | undefined {
    return this.#inner.allocationAt(address);
  }

  override allocate(length: number, alignment?: number): number {
    const address = this.#inner.allocate(length, alignment);
    this.#check.allocated(address, length);
    return address;
  }

  override free(address: number): void {
    const allocation = this.#inner.allocationAt(address);
    this.#check.freeing(address, allocation);
    this.#inner.free(address);
    if (allocation !== undefined) this.#check.allocated(address, allocation.length);
  }
}

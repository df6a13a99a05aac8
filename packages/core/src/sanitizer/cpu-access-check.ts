import type { TakenRange } from '../memory/range-allocator.ts';
import { ByteFlag } from './byte-shadow.ts';
import type { FindingCode } from './finding-code.ts';
import type { SanitizerState } from './sanitizer-state.ts';
import { NO_CHECKSUM } from './tracked-mapping.ts';
import type { MemoryWatch } from './watched-array.ts';

const { Owned, Stale, Unsynced, Shared, Fetched, Written, Private, DeviceOnly } = ByteFlag;

/** Looks at what a driver does to guest memory: reads of what is not its yet, writes of what is not its any more. */
export class CpuAccessCheck implements MemoryWatch {
  readonly #state: SanitizerState;

  constructor(state: SanitizerState) {
    this.#state = state;
  }

  read(address: number, length: number): void {
    const { flags } = this.#state.shadow;
    for (let at = address, end = address + length; at < end; at++) {
      const bits = flags[at]!;
      if ((bits & Stale) !== 0) this.#readStale(at, bits);
      else if ((bits & (Shared | Fetched)) === (Shared | Fetched)) this.#readAgain(at);
      else if ((bits & Shared) !== 0) flags[at] = bits | Fetched;
    }
  }

  write(address: number, length: number): void {
    const { flags } = this.#state.shadow;
    for (let at = address, end = address + length; at < end; at++) {
      const bits = flags[at]!;
      if ((bits & (Owned | DeviceOnly)) !== 0) this.#writeMapped(at, bits);
      flags[at] = (flags[at]! | Unsynced | Written | Private) & ~(Shared | Fetched);
    }
  }

  /** The driver may do anything through a raw buffer: what depends on seeing all of it is not judged any more. */
  bypass(): void {
    this.#state.seesDriver = false;
  }

  /** Nothing is known of memory that changes its owner. */
  allocated(address: number, length: number): void {
    this.#state.shadow.clear(address, length, 0xff);
  }

  freeing(address: number, allocation: TakenRange | undefined): void {
    if (allocation === undefined) return;
    const state = this.#state;
    const [mapping] = state.mappings.overlapping(allocation.address, allocation.length);
    if (allocation.address !== address) {
      const start = `0x${allocation.address.toString(16)}`;
      const what = `0x${address.toString(16)} is freed, in the middle of what was allocated at ${start}`;
      return state.report('DMA-FREE-ADDRESS', what, { mapping, ...allocation });
    }
    if (mapping === undefined) return;
    if (mapping.kind === 'coherent') {
      return state.report('DMA-UNMAP-FUNCTION', 'coherent memory is freed as guest memory, and not released', {
        mapping,
      });
    }
    state.report('DMA-FREED-WHILE-MAPPED', 'memory is freed while it is mapped for the device', { mapping });
  }

  #readStale(at: number, bits: number): void {
    const isTheirs = (bits & Owned) !== 0;
    const what = isTheirs
      ? 'the driver reads a buffer that the device may be writing'
      : 'the driver reads what the device wrote, and did not sync it before';
    this.#reportOnce('DMA-STALE-READ', what, at, Stale);
  }

  #readAgain(at: number): void {
    const what = 'the driver reads a second time what the device wrote and can still change';
    this.#reportOnce('DMA-DOUBLE-FETCH', what, at, Shared | Fetched);
  }

  #writeMapped(at: number, bits: number): void {
    const what =
      (bits & Owned) !== 0
        ? 'the driver writes a buffer that the device has'
        : 'the driver writes memory that is mapped for the device alone to write';
    this.#reportOnce('DMA-WRITE-WHILE-MAPPED', what, at, Owned | DeviceOnly);
  }

  /** One finding for one mistake: what was wrong with the rest of the segment is forgotten. */
  #reportOnce(code: FindingCode, what: string, at: number, bits: number): void {
    const { mappings, shadow } = this.#state;
    const segment = mappings.segmentAt(at);
    const mapping = mappings.overlapping(at, 1).find(({ kind }) => kind !== 'coherent') ?? segment?.mapping;
    const isPart = segment !== undefined && segment.mapping === mapping;
    const part = isPart ? segment : mapping;
    if (part !== undefined) {
      shadow.clear(part.address, part.length, bits);
      part.checksum = NO_CHECKSUM;
    } else shadow.clear(at, 1, bits);
    this.#state.report(code, what, isPart ? { segment } : { mapping });
  }
}

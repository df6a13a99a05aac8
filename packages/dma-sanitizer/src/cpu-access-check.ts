import type { TakenRange } from '@virtio-platform/core/memory';
import { ByteFlag } from './byte-shadow.ts';
import type { FindingCode } from './finding.ts';
import type { SanitizerState } from './sanitizer-state.ts';
import { NO_CHECKSUM } from './tracked-mapping.ts';
import type { MemoryWatch } from './wrapper/sanitized-memory.ts';

const { Owned, Stale, Unsynced, Shared, Fetched, Written, Private, DeviceOnly } = ByteFlag;

/**
 * Checks what a driver does to guest memory: it must not read before the device is done, nor write after handing over.
 */
export class CpuAccessCheck implements MemoryWatch {
  readonly #state: SanitizerState;

  constructor(state: SanitizerState) {
    this.#state = state;
  }

  read(address: number, length: number): void {
    const { shadow } = this.#state;
    for (let at = address, end = address + length; at < end; at++) {
      const bits = shadow.get(at);
      if ((bits & Stale) !== 0) this.#readStale(at, bits);
      else if ((bits & (Shared | Fetched)) === (Shared | Fetched)) this.#readAgain(at);
      else if ((bits & Shared) !== 0) shadow.put(at, bits | Fetched);
    }
  }

  write(address: number, length: number): void {
    const { shadow } = this.#state;
    for (let at = address, end = address + length; at < end; at++) {
      const bits = shadow.get(at);
      if ((bits & (Owned | DeviceOnly)) !== 0) this.#writeMapped(at, bits);
      shadow.put(at, (shadow.get(at) | Unsynced | Written | Private) & ~(Shared | Fetched));
    }
  }

  /** Accesses through the raw buffer are not seen, so checks that need every access of the driver end. */
  bypass(): void {
    this.#state.seesDriver = false;
  }

  /** Memory that is allocated or freed has no history. */
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
    const isOwned = (bits & Owned) !== 0;
    const what = isOwned
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

  /** Reports one finding for one mistake: clears the same bits in the rest of the segment. */
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

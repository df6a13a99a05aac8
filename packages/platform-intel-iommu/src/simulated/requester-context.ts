import type { GuestMemory } from '@virtio-platform/core/memory';

const WORD = 0x1_0000_0000;

/** Bytes of each table that leads from a requester to its domain; every table is aligned to them. */
export const TABLE_BYTES = 4096;

/** The physical address in an entry of a table: bits 63 to 12. The words are unsigned. */
export function addressInEntry(low: number, high: number): number {
  return high * WORD + ((low & -TABLE_BYTES) >>> 0);
}

/** What the readers of both modes know: guest memory, the requester, and the address widths of the unit. */
export abstract class RequesterContext {
  protected readonly memory: GuestMemory;
  protected readonly bus: number;
  /** Device and function. */
  protected readonly devfn: number;
  /** Codes of the address widths, as entries have them. */
  protected readonly widthCodes: ReadonlySet<number>;

  constructor(memory: GuestMemory, sourceId: number, widthCodes: ReadonlySet<number>) {
    this.memory = memory;
    this.bus = sourceId >>> 8;
    this.devfn = sourceId & 0xff;
    this.widthCodes = widthCodes;
  }
}

import { VIRTQ_DESC_F_WRITE } from '@virtio-platform/core/queue';
import type { FindingPlace } from './driver-finding.ts';
import type { DriverRuleCode } from './driver-rules.ts';
import type { OwnedPart } from './owned-buffer.ts';

/** Where the rules of a chain are told that it breaks one. Returns false. */
export type BreakRule = (code: DriverRuleCode, what: string, place: FindingPlace) => false;

/** A part before its bytes are copied. */
export type ScannedPart = Omit<OwnedPart, 'bytes' | 'isKnown'>;

const MOST_BYTES = 0x1_0000_0000;

/** The parts of one chain as a scan finds them, and the rules that hold for all of them together. */
export class ChainScan {
  readonly parts: ScannedPart[] = [];
  readonly #breaks: BreakRule;
  #bytes = 0;
  #hasWritable = false;

  constructor(breaks: BreakRule) {
    this.#breaks = breaks;
  }

  /** Adds what one descriptor describes. Returns false where the chain breaks a rule by it. */
  add(index: number, isInTable: boolean, low: number, high: number, length: number, flags: number): boolean {
    const place = { descriptor: index, isInTable };
    const isWritable = (flags & VIRTQ_DESC_F_WRITE) !== 0;
    const name = `descriptor ${index}${isInTable ? ' of the table' : ''}`;
    if (!isWritable && this.#hasWritable)
      return this.#breaks('DRV-ORDER-DIRECTION', `${name} is for the device to read, behind one that it writes`, place);
    this.#hasWritable = isWritable;
    this.#bytes += length;
    const isBehindAll = high === 0xffff_ffff && low + length > MOST_BYTES;
    if (length === 0 || isBehindAll || this.#bytes > MOST_BYTES) {
      const what = this.#bytes > MOST_BYTES ? `a chain of ${this.#bytes} bytes` : `${length} bytes`;
      return this.#breaks('DRV-LENGTH', `${name} describes ${what} at ${hexOf(low, high)}`, place);
    }
    this.parts.push({ index, isInTable, address: high * MOST_BYTES + low, low, high, length, isWritable });
    return true;
  }
}

/** A device address, as people write it. */
export function hexOf(low: number, high: number): string {
  return `0x${((BigInt(high) << 32n) | BigInt(low)).toString(16)}`;
}

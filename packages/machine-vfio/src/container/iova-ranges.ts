import type { IovaRange } from '@virtio-platform/platform-vfio';
import { readWord } from '../kernel/sized-structure.ts';

const RANGE_BYTES = 16;

/**
 * Reads `count` ranges of I/O virtual addresses: first and last, 64 bits each, from byte `at` on. What lies above 2^53 is left out,
 * and so is a range that is none or that is not behind the one before.
 */
export function iovaRanges(structure: DataView, count: number, at: number): IovaRange[] {
  const ranges: IovaRange[] = [];
  let behind = -1;
  for (let i = 0; i < count && at + (i + 1) * RANGE_BYTES <= structure.byteLength; i++) {
    const start = readWord(structure, at + i * RANGE_BYTES);
    const end = readWord(structure, at + i * RANGE_BYTES + 8);
    if (start <= behind || end <= start) continue;
    ranges.push({ start, end });
    behind = end;
  }
  return ranges;
}

import type { DmaMapping } from '../dma/dma-mapping.ts';
import { PAGE_SIZE } from '../memory/guest-memory.ts';
import type { SanitizerState } from './sanitizer-state.ts';
import type { TrackedSegment } from './tracked-mapping.ts';

const WORD = 0x1_0000_0000;

/**
 * Holds the device address of a segment against the platform's tables: whether it leads to the buffer, or where buffers are copied to
 * one copy, in each page. Says so once for a mapping. Returns where in guest memory the device writes the segment, or -1 where nobody
 * knows.
 */
export function checkTranslation(
  state: SanitizerState,
  segment: TrackedSegment,
  resolve: NonNullable<DmaMapping['resolve']>,
): number {
  const { mapping, address, deviceAddress } = segment;
  const { isBounced } = mapping;
  // What is described beyond the mapping is a mistake of its own.
  const length = Math.min(segment.length, mapping.address + mapping.length - address);
  const low = Number(deviceAddress & 0xffff_ffffn);
  const high = Number(deviceAddress >> 32n);
  const start = isBounced ? resolve(low, high) : address;
  // A platform maps pages, so what is right for the first byte of one is right for all of it.
  for (let at = 0; at < length; at += PAGE_SIZE - ((address + at) % PAGE_SIZE)) {
    const sum = low + at;
    const found = resolve(sum >>> 0, sum < WORD ? high : high + 1);
    if (found >= 0 && found === start + at) continue;
    if (!mapping.isAstray) report(state, segment, at, found);
    mapping.isAstray = true;
    break;
  }
  return start;
}

function report(state: SanitizerState, segment: TrackedSegment, at: number, found: number): void {
  const wrong = segment.deviceAddress + BigInt(at);
  const where = found < 0 ? 'leads nowhere' : `leads to 0x${found.toString(16)}`;
  const what = `device address 0x${wrong.toString(16)}, for byte ${at} of a buffer that is given to the device, ${where}`;
  state.report('DMA-NOT-TRANSLATED', what, { segment, deviceAddress: wrong });
}

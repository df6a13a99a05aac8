import { DmaError } from '../../errors/coded-error.ts';
import type { QueueAddresses } from '../ring/ring-format.ts';
import { LEGACY_QUEUE_ALIGN, splitLayout } from './split-layout.ts';

/**
 * The page frame number by which a legacy driver passes the address of a queue (specification 1.4 section 4.1.4.10): 32
 * bits, so it cannot express an address from 2^44 on. Throws {@link DmaError} `ERR_DMA_RANGE` for such an address, and
 * for a queue whose areas are not laid out as section 2.7.2 requires, because a legacy device derives all areas from
 * this one number.
 */
export function legacyPageFrame({ size, words }: QueueAddresses): number {
  const base = words[1]! * 0x1_0000_0000 + words[0]!;
  const frame = base / LEGACY_QUEUE_ALIGN;
  if (!Number.isInteger(frame) || frame > 0xffff_ffff) {
    throw new DmaError('ERR_DMA_RANGE', `a legacy queue at 0x${base.toString(16)} has no 32-bit page frame number`);
  }
  if (legacyWords(frame, size).some((word, i) => word !== words[i])) {
    throw new DmaError('ERR_DMA_RANGE', 'the queue is not laid out as the legacy interface demands');
  }
  return frame;
}

/**
 * The addresses that a legacy device derives from the page frame number of a queue. Throws as {@link legacyPageFrame}.
 */
export function legacyAddresses(addresses: QueueAddresses): QueueAddresses {
  return { size: addresses.size, words: legacyWords(legacyPageFrame(addresses), addresses.size) };
}

function legacyWords(frame: number, size: number): Uint32Array {
  const layout = splitLayout(size, LEGACY_QUEUE_ALIGN);
  const words = new Uint32Array(6);
  [0, layout.driverOffset, layout.deviceOffset].forEach((offset, i) => {
    const address = frame * LEGACY_QUEUE_ALIGN + offset;
    words[i * 2] = address % 0x1_0000_0000;
    words[i * 2 + 1] = Math.floor(address / 0x1_0000_0000);
  });
  return words;
}

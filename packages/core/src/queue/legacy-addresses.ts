import { DmaError } from '../errors/coded-error.ts';
import { LEGACY_QUEUE_ALIGN, splitLayout } from './split-layout.ts';
import type { QueueAddresses } from './virtqueue.ts';

/**
 * The page frame number by which a legacy driver tells where a queue is (specification 1.4 section 4.1.4.10): 32 bits, so a ring
 * beyond 2^44 cannot be expressed. Throws {@link DmaError} `ERR_DMA_RANGE` there, and for one that is not laid out as section
 * 2.7.2 demands, because the device finds the rest by that alone.
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

/** What a legacy device makes of a queue whose page frame number it was told. Throws as {@link legacyPageFrame}. */
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

import { DmaError, LEGACY_QUEUE_ALIGN, splitLayout, type QueueAddresses } from '@virtio-platform/core';

/**
 * What a legacy device makes of a queue: the driver writes one 32-bit page frame number, and the device finds the rings behind
 * it by the fixed layout (specification 1.4 sections 2.7.2 and 4.1.4.10). So a ring beyond 2^44 cannot be expressed: throws
 * {@link DmaError} `ERR_DMA_RANGE`, and so does one that is laid out differently.
 */
export function legacyAddresses(addresses: QueueAddresses): QueueAddresses {
  const { size, words } = addresses;
  const base = words[1]! * 0x1_0000_0000 + words[0]!;
  const frame = base / LEGACY_QUEUE_ALIGN;
  if (!Number.isInteger(frame) || frame > 0xffff_ffff) {
    throw new DmaError('ERR_DMA_RANGE', `a legacy queue at 0x${base.toString(16)} has no 32-bit page frame number`);
  }
  const layout = splitLayout(size, LEGACY_QUEUE_ALIGN);
  const derived = new Uint32Array(6);
  [0, layout.driverOffset, layout.deviceOffset].forEach((offset, i) => {
    const address = frame * LEGACY_QUEUE_ALIGN + offset;
    derived[i * 2] = address % 0x1_0000_0000;
    derived[i * 2 + 1] = Math.floor(address / 0x1_0000_0000);
  });
  if (derived.some((word, i) => word !== words[i])) {
    throw new DmaError('ERR_DMA_RANGE', 'the queue is not laid out as the legacy interface demands');
  }
  return { size, words: derived };
}

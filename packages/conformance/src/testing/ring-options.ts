import type { VirtqueueOptions } from '@virtio-platform/core/queue';

/**
 * The options of a driver's end, with `changes` in front of the defaults of the tests: queue 0 with 8 entries, little
 * endian, without EVENT_IDX, IN_ORDER and INDIRECT_DESC; a used length beyond the writable part breaks the queue.
 */
export function ringOptions(changes: Partial<VirtqueueOptions> = {}): Required<VirtqueueOptions> {
  return {
    index: 0,
    size: 8,
    eventIdx: false,
    inOrder: false,
    indirect: 0,
    legacyLayout: false,
    byteOrder: 'little',
    usedLength: 'strict',
    unmarkedLengths: false,
    wholeUsedElements: false,
    ...changes,
  };
}

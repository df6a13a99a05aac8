import type { ConfigField } from '@virtio-platform/core';
import { VIRTIO_BALLOON_F_FREE_PAGE_HINT, VIRTIO_BALLOON_F_PAGE_POISON } from './balloon-features.ts';

/**
 * The configuration space of a memory balloon (specification 1.4 section 5.5.4): little-endian on the legacy interface
 * too, unlike that of any other device. Pages are of 4096 bytes.
 */
export const BALLOON_CONFIG: Readonly<
  Record<'num_pages' | 'actual' | 'free_page_hint_cmd_id' | 'poison_val', ConfigField>
> = {
  /** Pages that the device wants in the balloon. */
  num_pages: { offset: 0, width: 4, byteOrder: 'little' },
  /** Pages in the balloon, as the driver says. */
  actual: { offset: 4, width: 4, isWritable: true, byteOrder: 'little' },
  /** The round of hints that the device asks for. */
  free_page_hint_cmd_id: { offset: 8, width: 4, feature: VIRTIO_BALLOON_F_FREE_PAGE_HINT, byteOrder: 'little' },
  /** What the driver fills free pages with. */
  poison_val: { offset: 12, width: 4, feature: VIRTIO_BALLOON_F_PAGE_POISON, isWritable: true, byteOrder: 'little' },
};

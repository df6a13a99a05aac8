import { isCodedError } from '@virtio-platform/core';
import type { DmaMapping } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import {
  openVirtqueue,
  splitLayout,
  type QueueLayout,
  type Virtqueue,
  type VirtqueueOptions,
} from '@virtio-platform/core/queue';

/** Alignment of the device area where the driver chooses it. */
const USED_ALIGN = 4;

/**
 * Opens the driver's end of a queue. Where the platform limits regions (`DmaLimits.maxRegionSize`), it has as many
 * entries as fit: a split ring of more than a page is halved until there is room for it, as Linux does
 * (`vring_create_virtqueue_split`). A legacy ring keeps the size that the device states, and Linux does not halve a
 * packed ring. Where the ring fits and its indirect tables do not, it has none: Linux allocates a table for each
 * request, and puts a request without one into the ring. Elsewhere memory that is missing is an error of the profile,
 * which asks for a window or a pool that is too small. Throws the {@link DmaError} of the first try where nothing fits,
 * and what `openVirtqueue` throws otherwise.
 */
export function openFittingQueue(
  layout: QueueLayout,
  memory: GuestMemory,
  mapping: DmaMapping,
  options: VirtqueueOptions,
): Virtqueue {
  let exhausted: unknown;
  const tries = mapping.limits.maxRegionSize === undefined ? [options] : triesOf(layout, options);
  for (const tried of tries) {
    try {
      return openVirtqueue(layout, memory, mapping, tried);
    } catch (error) {
      if (!isCodedError(error) || error.code !== 'ERR_DMA_EXHAUSTED') throw error;
      exhausted ??= error;
    }
  }
  throw exhausted;
}

function* triesOf(layout: QueueLayout, options: VirtqueueOptions): Generator<VirtqueueOptions> {
  const mayHalve = layout === 'split' && options.legacyLayout !== true;
  for (let { size } = options; ; size /= 2) {
    yield { ...options, size };
    if ((options.indirect ?? 0) > 0) yield { ...options, size, indirect: 0 };
    if (!mayHalve || splitLayout(size, USED_ALIGN).totalBytes <= PAGE_SIZE) return;
  }
}

import { DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ScatterList, type Virtqueue } from '@virtio-platform/core/queue';

/** What {@link disposeInUse} disposes. */
export interface QueueInUse {
  readonly memory: GuestMemory;
  readonly queue: Virtqueue;
  readonly mapping: DmaMapping;
  readonly platform: { dispose(): void };
}

/**
 * Disposes a queue, its mapping and its platform, in this order, while a request is outstanding and a region is
 * premapped. Frees the buffer of both.
 */
export function disposeInUse({ memory, queue, mapping, platform }: QueueInUse): void {
  const buffer = memory.allocate(100);
  const list = new ScatterList(1);
  list.addReadable(buffer, 100);
  queue.add(list);
  mapping.premap(buffer, 100, DmaDirection.ToDevice);
  queue.dispose();
  mapping.dispose();
  platform.dispose();
  memory.free(buffer);
}

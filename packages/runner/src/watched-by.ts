import type { DmaSanitizer } from '@virtio-platform/dma-sanitizer';
import type { SessionWatch } from '@virtio-platform/session';

/** The DMA sanitizer as it looks at the session of a device that it reports by the name `device`. */
export function watchedBy(sanitizer: DmaSanitizer, device: string): SessionWatch {
  return {
    transport: (transport) => sanitizer.transport(transport, device),
    mapping: (mapping, queue) => sanitizer.mapping(mapping, device, queue),
    queue: (queue, mapping) => sanitizer.queue(queue, mapping, device),
    memory: () => sanitizer.memory(),
  };
}

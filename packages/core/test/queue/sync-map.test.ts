import { RingPair } from '@virtio-platform/conformance/testing';
import { DirectDmaMapping, ForwardingDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';

describe.each(['split', 'packed'] as const)(
  'a %s queue over a mapping that tells the device of addresses',
  (layout) => {
    it('waits for the device once, before it shows the buffers', () => {
      const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
      const popped: boolean[] = [];
      const direct = new DirectDmaMapping(memory, { path: 'physical', capacity: 16 });
      const telling = new ForwardingDmaMapping(direct, { syncMap: () => popped.push(pair.pop()) });
      // Mappings in front of it, as failures and the sanitizer are, pass the call on.
      const pair = new RingPair({ layout, size: 4, memory, mapping: new ForwardingDmaMapping(telling) });
      for (const address of [0x8000, 0x9000]) {
        pair.list.clear();
        pair.list.addReadable(address, 16);
        pair.queue.add(pair.list);
      }
      expect(popped).toEqual([]);
      pair.queue.publish();
      expect(popped).toEqual([false]);
      expect([pair.pop(), pair.pop(), pair.pop()]).toEqual([true, true, false]);
      pair.queue.publish();
      expect(popped).toHaveLength(1);
    });

    it('has none to wait for otherwise', () => {
      const pair = new RingPair({ layout });
      expect(new ForwardingDmaMapping(pair.mapping).syncMap).toBeUndefined();
    });
  },
);

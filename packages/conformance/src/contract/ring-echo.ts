import assert from 'node:assert/strict';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  openDeviceQueue,
  openVirtqueue,
  ScatterList,
  UsedBatch,
  type QueueLayout,
} from '@virtio-platform/core/queue';

/** The ring of an echo: layout, features and sizes. */
export interface RingEchoOptions {
  readonly layout: QueueLayout;
  readonly inOrder: boolean;
  /** Entries of the queue. */
  readonly size: number;
  readonly requests: number;
  readonly eventIdx: boolean;
  /** Entries of each indirect table, 0 for none. */
  readonly indirect: number;
}

/** Bytes that each request sends and gets back; odd, so that nothing is aligned by accident. */
const ECHO_BYTES = 517;

/**
 * Sends requests through a ring to a device that answers each with its bytes in reverse, and checks every answer: half
 * of the buffers are mapped per request, half lie in premapped regions. At the end nothing of it is live.
 */
export function runRingEcho(
  memory: GuestMemory,
  mapping: DmaMapping,
  space: DeviceAddressSpace,
  options: RingEchoOptions,
): void {
  const { layout, inOrder, size, requests, eventIdx, indirect } = options;
  const live = mapping.statistics.live;
  const out = memory.allocate(ECHO_BYTES);
  const back = memory.allocate(ECHO_BYTES);
  const outRegion = mapping.premap(out, ECHO_BYTES, DmaDirection.ToDevice);
  const backRegion = mapping.premap(back, ECHO_BYTES, DmaDirection.FromDevice);
  const shared = { eventIdx, inOrder, byteOrder: 'little' } as const;
  const queue = openVirtqueue(layout, memory, mapping, {
    ...shared,
    index: 0,
    size,
    indirect,
    legacyLayout: false,
    usedLength: 'strict',
  });
  const device = openDeviceQueue(layout, space, { ...shared, addresses: queue.addresses, indirect: indirect > 0 });
  const list = new ScatterList(2);
  const batch = new UsedBatch(1);
  const chain = new DescriptorChain(size);

  for (let request = 0; request < requests; request++) {
    const isPremapped = request % 2 === 1;
    for (let i = 0; i < ECHO_BYTES; i++) memory.u8[out + i] = (i * 3 + request) & 0xff;
    const expected = memory.u8.slice(out, out + ECHO_BYTES).toReversed();
    list.clear();
    if (isPremapped) {
      outRegion.syncForDevice(0, ECHO_BYTES);
      list.addReadableRegion(outRegion, 0, ECHO_BYTES);
      list.addWritableRegion(backRegion, 0, ECHO_BYTES);
    } else {
      list.addReadable(out, ECHO_BYTES);
      list.addWritable(back, ECHO_BYTES);
    }
    const id = queue.add(list);
    assert.ok(id >= 0, `request ${request} is added, not refused with ${id}`);
    queue.publish();
    assert.ok(device.pop(chain), `request ${request} arrives: ${device.broken?.detail}`);
    echo(space, chain);
    device.push(chain.head, chain.writableBytes);
    device.flush();
    assert.equal(queue.takeUsed(batch), 1, `request ${request} comes back: ${queue.broken?.detail}`);
    assert.deepEqual([batch.ids[0], batch.written[0]], [id, ECHO_BYTES]);
    if (isPremapped) backRegion.syncForCpu(0, ECHO_BYTES);
    assert.deepEqual(memory.u8.slice(back, back + ECHO_BYTES), expected, `the answer to request ${request}`);
  }
  // The driver resets the device before it takes the ring back, and the machine tells the address space.
  space.reset?.();
  queue.dispose();
  outRegion.release();
  backRegion.release();
  memory.free(out);
  memory.free(back);
  assert.equal(mapping.statistics.live, live, 'nothing is live after the queue was disposed');
  assert.equal(mapping.statistics.leaked ?? 0, 0, 'nothing leaked: the device was reset and gave everything back');
}

/** What the echo device does with one chain: reads all of it, and writes it back in reverse. */
function echo(space: DeviceAddressSpace, chain: DescriptorChain): void {
  const bytes = new Uint8Array(chain.readableBytes);
  for (let i = 0, at = 0; i < chain.readable; at += chain.length[i]!, i++) {
    space.read(chain.low[i]!, chain.high[i]!, bytes, at, chain.length[i]!);
  }
  bytes.reverse();
  for (let i = chain.readable, at = 0; i < chain.count; at += chain.length[i]!, i++) {
    space.write(chain.low[i]!, chain.high[i]!, bytes, at, chain.length[i]!);
  }
}

import { fileURLToPath } from 'node:url';
import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { DescriptorChain, openDeviceQueue, openVirtqueue, ScatterList, UsedBatch } from '@virtio-platform/core/queue';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { RequestTimes } from '../src/report/request-times.ts';

const SIZE = 16;

function waitMs(time: number): void {
  for (const end = performance.now() + time; performance.now() < end;);
}

describe('RequestTimes', () => {
  it('times a buffer from its batch until it came back', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(64 * PAGE_SIZE));
    const mapping = new DirectDmaMapping(memory, { path: 'identity', capacity: 2 * SIZE });
    const options = { index: 0, size: SIZE, eventIdx: false, indirect: 0, usedLength: 'strict' } as const;
    const times = new RequestTimes();
    const queue = times.watch(openVirtqueue('split', memory, mapping, options));
    const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
    const { addresses } = queue;
    const device = openDeviceQueue('split', space, { addresses, eventIdx: false, indirect: false });
    const list = new ScatterList(1);
    list.addWritable(memory.allocate(PAGE_SIZE), PAGE_SIZE);
    const used = new UsedBatch(SIZE);
    const serve = (most: number): void => {
      const chain = new DescriptorChain(SIZE);
      for (let i = 0; i < most && device.pop(chain); i++) device.push(chain.head, 0);
      device.flush();
      queue.takeUsed(used);
    };
    expect(times.latency).toBe(null);

    // Nine come back at once, and one of the same batch later.
    for (let i = 0; i < 10; i++) queue.add(list);
    queue.publish();
    serve(9);
    waitMs(20);
    serve(1);
    const { count, p50, p90, max } = times.latency!;
    expect(count).toBe(10);
    expect(p50).toBe(p90);
    expect(max).toBeGreaterThanOrEqual(20_000);
    expect(max - p90).toBeGreaterThanOrEqual(19_000);

    // A batch of its own begins with its own first buffer.
    queue.add(list);
    queue.publish();
    serve(1);
    expect(times.latency).toMatchObject({ count: 11, max });

    queue.resize(2 * SIZE);
    for (let i = 0; i < 2 * SIZE; i++) expect(queue.add(list)).toBeGreaterThanOrEqual(0);
    queue.dispose();
  });

  it('is in the report of a run, and not where no buffer came back', async () => {
    const profiles = fileURLToPath(new URL('../../../profiles/', import.meta.url));
    const report = await runProfile(await loadProfile(`${profiles}pseries-plain.yaml`));
    const { count, p50, p90, p99, p999, max } = report.latency!;
    expect(count).toBe(report.workload.requests);
    expect(p50).toBeGreaterThan(0);
    expect([p50, p90, p99, p999, max]).toEqual([p50, p90, p99, p999, max].toSorted((a, b) => a - b));
    expect(report.durationMs * 1000).toBeGreaterThan(p50);
  });
});

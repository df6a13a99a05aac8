import { openPlatform, RingPair, type OpenedPlatform } from '@virtio-platform/conformance/testing';
import { DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { DescriptorChain, ScatterList, UsedBatch, type DeviceQueue, type Virtqueue } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import plugin, { pseriesOptionsSchema } from '../src/index.ts';

const QUEUE_SIZE = 16;
const BLOCK = 5000;
const REQUESTS = 200;

/** Both ends of a ring, the driver's under the platform and the device's behind its TCE tables. */
interface Rig extends OpenedPlatform {
  readonly mapping: DmaMapping;
  readonly driver: Virtqueue;
  readonly device: DeviceQueue;
}

function openRig(window: unknown): Rig {
  const opened = openPlatform(plugin, pseriesOptionsSchema.parse({ window }), { memory: 8 * 2 ** 20 });
  const { memory, space } = opened;
  const mapping = opened.openMapping(0, QUEUE_SIZE * 5);
  const { queue, device } = new RingPair({ memory, mapping, space, size: QUEUE_SIZE, eventIdx: true, indirect: 4 });
  return { ...opened, mapping, driver: queue, device };
}

/** Runs a device that copies each request to its response; returns how many buffers it used. */
function echo({ device, space }: Rig, chain: DescriptorChain): number {
  const bytes = new Uint8Array(2 * BLOCK);
  let used = 0;
  for (; device.pop(chain); used++) {
    let length = 0;
    for (let i = 0; i < chain.readable; i++) {
      space.read(chain.low[i]!, chain.high[i]!, bytes, length, chain.length[i]!);
      length += chain.length[i]!;
    }
    let written = 0;
    for (let i = chain.readable; i < chain.count; i++) {
      space.write(chain.low[i]!, chain.high[i]!, bytes, written, chain.length[i]!);
      written += chain.length[i]!;
    }
    device.push(chain.head, written);
  }
  device.flush();
  return used;
}

/** Sends blocks of changing bytes until all came back, several in flight, in chains of four segments. */
function runEcho(rig: Rig, buffers: 'premapped' | 'streaming'): number {
  const { memory, mapping, driver } = rig;
  const depth = 8;
  const pool = memory.allocate(depth * 2 * BLOCK);
  const region =
    buffers === 'premapped' ? mapping.premap(pool, depth * 2 * BLOCK, DmaDirection.Bidirectional) : undefined;
  const list = new ScatterList(4);
  const batch = new UsedBatch(depth);
  const chain = new DescriptorChain(QUEUE_SIZE);
  let verified = 0;
  for (let first = 0; first < REQUESTS; first += depth) {
    const outOf = Array.from({ length: depth }, (_, i) => pool + i * 2 * BLOCK);
    const byId = new Map<number, number>();
    outOf.forEach((out, i) => {
      memory.u8.fill((first + i) & 0xff, out, out + BLOCK);
      memory.u8[out + BLOCK - 1] = 0xee;
      memory.u8.fill(0, out + BLOCK, out + 2 * BLOCK);
      list.clear();
      for (const [from, length] of [
        [0, 1000],
        [1000, BLOCK - 1000],
      ] as const) {
        if (region === undefined) list.addReadable(out + from, length);
        else list.addReadableRegion(region, out - pool + from, length);
      }
      for (const [from, length] of [
        [BLOCK, 3000],
        [BLOCK + 3000, BLOCK - 3000],
      ] as const) {
        if (region === undefined) list.addWritable(out + from, length);
        else list.addWritableRegion(region, out - pool + from, length);
      }
      const id = driver.add(list);
      expect(id).toBeGreaterThanOrEqual(0);
      byId.set(id, out);
    });
    driver.publish();
    expect(echo(rig, chain)).toBe(depth);
    expect(driver.takeUsed(batch)).toBe(depth);
    for (let i = 0; i < depth; i++) {
      const out = byId.get(batch.ids[i]!)!;
      expect(batch.written[i]).toBe(BLOCK);
      const sent = memory.u8.subarray(out, out + BLOCK);
      expect(Buffer.compare(sent, memory.u8.subarray(out + BLOCK, out + 2 * BLOCK))).toBe(0);
      verified++;
    }
  }
  region?.release();
  memory.free(pool);
  return verified;
}

const WINDOWS = [
  ['identity', { kind: 'default', mapping: 'identity' }, 'identity'],
  ['linear', { kind: 'ddw', mapping: 'linear' }, 'linear'],
  ['linear with pages larger than memory', { kind: 'ddw', mapping: 'linear', pageSize: '16MiB' }, 'linear'],
  ['dynamic in the default window', { kind: 'default', mapping: 'dynamic' }, 'translated'],
  ['dynamic in the 64-bit window', { kind: 'ddw', mapping: 'dynamic' }, 'translated'],
  ['dynamic in the 64-bit window, 4 KiB pages', { kind: 'ddw', mapping: 'dynamic', pageSize: '4KiB' }, 'translated'],
] as const;

describe.each(WINDOWS)('a ring over pseries, %s', (_name, window, path) => {
  it.each(['premapped', 'streaming'] as const)(
    'echoes %s buffers without a fault and leaves nothing mapped',
    (buffers) => {
      const rig = openRig(window);
      expect(rig.mapping.path).toBe(path);
      expect(runEcho(rig, buffers)).toBe(REQUESTS);
      expect(rig.driver.broken).toBeUndefined();
      expect(rig.device.broken).toBeUndefined();
      expect(rig.faults.count).toBe(0);
      expect(rig.mapping.statistics.maps).toBe(buffers === 'premapped' ? 3 : REQUESTS * 4 + 2);
      rig.driver.dispose();
      rig.mapping.dispose();
      expect(rig.mapping.statistics.live).toBe(0);
      expect(rig.memory.allocated).toBe(0);
      rig.platform.dispose();
      expect(rig.space.borrow(rig.driver.addresses.words[0]!, rig.driver.addresses.words[1]!, 1, 'read')).toBe(-1);
    },
  );
});

describe('a device behind pseries that misbehaves', () => {
  it.each([
    ['writes what it may only read', 'write', 'write-not-permitted'],
    ['reads what it may only write', 'read', 'read-not-permitted'],
  ] as const)('faults and changes no byte when it %s', (_what, access, cause) => {
    const { memory, mapping, space, faults } = openRig({ kind: 'default' });
    const words = new Uint32Array(2);
    const direction = access === 'write' ? DmaDirection.ToDevice : DmaDirection.FromDevice;
    const page = memory.allocate(4096);
    memory.u8.fill(0x77, page, page + 4096);
    mapping.map(page, 512, direction, words, 0);
    const before = memory.u8.slice();
    const bytes = new Uint8Array(512).fill(0x11);
    expect(space[access](words[0]!, words[1]!, bytes, 0, 512)).toBe(false);
    expect(faults.entries).toEqual([{ address: BigInt(words[0]!), length: 512, access, cause }]);
    expect(Buffer.compare(memory.u8, before)).toBe(0);
    expect(bytes[511]).toBe(access === 'read' ? 0 : 0x11);
  });

  it('faults when it keeps using a streaming buffer that came back', () => {
    const rig = openRig({ kind: 'default' });
    const { memory, driver, device, space, faults } = rig;
    const list = new ScatterList(1);
    list.addWritable(memory.allocate(4096), 64);
    driver.add(list);
    driver.publish();
    const chain = new DescriptorChain(QUEUE_SIZE);
    device.pop(chain);
    device.push(chain.head, 64);
    device.flush();
    driver.takeUsed(new UsedBatch(1));
    const before = memory.u8.slice();
    expect(space.write(chain.low[0]!, chain.high[0]!, new Uint8Array(64).fill(1), 0, 64)).toBe(false);
    expect(faults.entries[0]?.cause).toBe('unmapped');
    expect(Buffer.compare(memory.u8, before)).toBe(0);
  });

  it('reaches nothing when it takes a physical address for a bus address', () => {
    const { memory, space, faults } = openRig({ kind: 'ddw' });
    expect(space.borrow(memory.allocate(4096), 0, 64, 'read')).toBe(-1);
    expect(faults.entries[0]?.cause).toBe('unmapped');
  });
});

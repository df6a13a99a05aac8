import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { acceptFeatures, deviceDescription, ringOptions, withMachine } from '@virtio-platform/conformance/testing';
import type { BootedMachine } from '@virtio-platform/core';
import { DeviceStatus, resetDevice } from '@virtio-platform/core/device';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { FeatureSet } from '@virtio-platform/core/features';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, UsedBatch, type QueueLayout, type Virtqueue } from '@virtio-platform/core/queue';
import block from '@virtio-platform/device-block';
import { VhostUserMachine } from '@virtio-platform/machine-vhost-user';
import { ringAreaBytes } from '@virtio-platform/vhost-user';
import { describe, expect, it } from 'vitest';
import { numbersOf } from '../seeded-numbers.ts';
import { QEMU_TESTS } from './qemu-installed.ts';

const MEMORY = 8 << 20;
const CAPACITY = 4 << 20;
const SIZE = 256;
const READS = 40;
const WAIT_MS = 5000;
const SECTOR = 512;
/** VERSION_1, EVENT_IDX. */
const SPLIT = (1n << 32n) | (1n << 29n);
const PACKED = SPLIT | (1n << 34n);

const PROGRAM = fileURLToPath(new URL('../served-disk.mjs', import.meta.url));
const ours = (layout: QueueLayout): string[] => {
  const features = String(layout === 'packed' ? PACKED : SPLIT);
  return [process.execPath, PROGRAM, '{socket}', '{image}', String(CAPACITY), layout, features];
};
const STORAGE_DAEMON = [
  'qemu-storage-daemon',
  '--blockdev',
  'driver=file,node-name=file,filename={image}',
  '--blockdev',
  'driver=raw,node-name=raw,file=file',
  '--export',
  'type=vhost-user-blk,id=export,node-name=raw,addr.type=unix,addr.path={socket},writable=on,num-queues=1',
];

function machineOf(command: readonly string[], changes: object = {}): VhostUserMachine {
  return new VhostUserMachine(
    {
      memory: MEMORY,
      device: deviceDescription(block, { capacity: CAPACITY, queues: 1 }),
      needs: [],
      simulate: undefined,
      baseDirectory: tmpdir(),
    },
    {
      command,
      startTimeout: 20_000,
      replyTimeout: 5000,
      iotlb: { fill: 'on-miss', writeImpliesRead: false },
      dirtyLog: true,
      ...changes,
    },
  );
}

function pagesOf(address: number, length: number): number[] {
  const first = address - (address % PAGE_SIZE);
  return Array.from({ length: Math.ceil((address + length - first) / PAGE_SIZE) }, (_, i) => first + i * PAGE_SIZE);
}

function pageAt(memory: Uint8Array, at: number): Uint8Array {
  return memory.subarray(at, at + PAGE_SIZE);
}

function changedPages(before: Uint8Array, after: Uint8Array): number[] {
  const starts = Array.from({ length: before.length / PAGE_SIZE }, (_, i) => i * PAGE_SIZE);
  return starts.filter((at) => Buffer.compare(pageAt(before, at), pageAt(after, at)) !== 0);
}

/** A driver that sends one request at a time, and writes to no memory while the device has it. */
class QuietDriver {
  readonly #machine: BootedMachine;
  readonly #list = new ScatterList(4);
  readonly #batch = new UsedBatch(4);
  readonly queue: Virtqueue;
  /** Pages of the ring that a device writes to: of a packed ring the descriptors too. */
  readonly ringPages: ReadonlySet<number>;

  constructor(machine: BootedMachine, layout: QueueLayout) {
    this.#machine = machine;
    const { transport, memory } = machine;
    const features = new FeatureSet(layout === 'packed' ? PACKED : SPLIT);
    acceptFeatures(transport, transport.readDeviceFeatures().and(features));
    const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 1024 });
    this.queue = openVirtqueue(layout, memory, mapping, ringOptions({ size: SIZE, eventIdx: true }));
    const { words } = this.queue.addresses;
    const [descriptorBytes, , deviceBytes] = ringAreaBytes(layout, SIZE);
    const written = layout === 'packed' ? pagesOf(words[0]!, descriptorBytes) : [];
    this.ringPages = new Set([...written, ...pagesOf(words[4]!, deviceBytes)]);
    transport.enableQueue(0, this.queue.addresses);
    transport.writeStatus(transport.readStatus() | DeviceStatus.DriverOk);
  }

  /** Reads `sectors` of the disk to `data`. Gives the pages that changed from the notification to the answer. */
  read(header: number, data: number, status: number, sectors: number): number[] {
    const { memory, transport } = this.#machine;
    memory.u32.set([0, 0, 0, 0], header / 4);
    memory.u8[status] = 0xff;
    memory.u8.fill(0xaa, data, data + SECTOR * sectors);
    this.#list.clear();
    this.#list.addReadable(header, 16);
    this.#list.addWritable(data, SECTOR * sectors);
    this.#list.addWritable(status, 1);
    expect(this.queue.add(this.#list)).toBeGreaterThanOrEqual(0);
    this.queue.enableNotifications();
    this.queue.publish();
    const before = memory.u8.slice();
    transport.notify(0, 0);
    for (const end = performance.now() + WAIT_MS; !this.queue.inspect().hasUsed;) {
      expect(transport.wait(10)).not.toBe('lost');
      expect(performance.now()).toBeLessThan(end);
    }
    const changed = changedPages(before, memory.u8.slice());
    expect(this.queue.takeUsed(this.#batch)).toBe(1);
    expect(memory.u8[status]).toBe(0);
    return changed;
  }
}

/** Reads at random places, and compares after each read what changed with what was marked. Gives how often. */
async function compareLog(command: readonly string[], layout: QueueLayout): Promise<number> {
  const random = numbersOf(17);
  let compared = 0;
  await withMachine(machineOf(command), (machine) => {
    const driver = new QuietDriver(machine, layout);
    const { memory } = machine;
    const start = memory.allocate(2 << 20, PAGE_SIZE);
    machine.takeDirtyPages!();
    const [changedRing, everMarked] = [new Set<number>(), new Set<number>()];
    for (let i = 0; i < READS; i++) {
      const sectors = 1 + random(40);
      const data = start + SECTOR * random(2000);
      const [header, status] = [start + (1 << 20) + 0x1_0000, start + (1 << 20) + 0x2_0000 + random(0x4_0000)];
      const changed = driver.read(header, data, status, sectors);
      const marked = machine.takeDirtyPages!();
      const expected = new Set([...pagesOf(data, SECTOR * sectors), ...pagesOf(status, 1)]);
      const isRing = (page: number): boolean => driver.ringPages.has(page);
      expect(changed.filter((page) => !isRing(page) && !marked.includes(page))).toEqual([]);
      // A page of the ring is marked behind the write that returns the buffer.
      for (const page of changed.filter(isRing)) changedRing.add(page);
      for (const page of marked) everMarked.add(page);
      compared++;
      expect(marked.filter((page) => !expected.has(page) && !isRing(page))).toEqual([]);
      expect([...expected].filter((page) => !marked.includes(page))).toEqual([]);
    }
    resetDevice(machine.transport);
    for (const page of machine.takeDirtyPages!()) everMarked.add(page);
    expect(changedRing.size).toBeGreaterThan(0);
    expect([...changedRing].filter((page) => !everMarked.has(page))).toEqual([]);
    expect(machine.statistics?.()['dirty log']?.['pages']).toBe(everMarked.size);
  });
  return compared;
}

describe('a log of dirty pages', () => {
  for (const layout of ['split', 'packed'] as const) {
    it(`of our device has exactly what it wrote to, on a ${layout} ring of ${SIZE} entries`, async () => {
      expect(await compareLog(ours(layout), layout)).toBe(READS);
    });
  }

  it.skipIf(!QEMU_TESTS.mayRun)('of the storage daemon has exactly what it wrote to', async () => {
    expect(await compareLog(STORAGE_DAEMON, 'split')).toBe(READS);
  });
});

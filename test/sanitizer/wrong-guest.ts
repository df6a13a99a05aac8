import { openPlatform, RingPair, type OpenedPlatform } from '@virtio-platform/conformance/testing';
import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DirectDmaMapping, DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { DescriptorChain, ScatterList, UsedBatch } from '@virtio-platform/core/queue';
import type { DeviceQueue, QueueLayout, Virtqueue } from '@virtio-platform/core/queue';
import { DmaSanitizer, FINDING_KINDS } from '@virtio-platform/dma-sanitizer';
import type { DmaFinding, FindingCode, SanitizerOptions } from '@virtio-platform/dma-sanitizer';
import pseries, { pseriesOptionsSchema } from '@virtio-platform/platform-pseries';
import sev, { sevOptionsSchema } from '@virtio-platform/platform-sev';
import vfio, { vfioOptionsSchema } from '@virtio-platform/platform-vfio';
import { expect } from 'vitest';

/** One of each kind of path: physical, translated per page, bounced, translated by the process. */
export const PLATFORMS = ['legacy', 'pseries', 'sev', 'vfio'] as const;
export type PlatformName = (typeof PLATFORMS)[number];

type Hardware = Pick<OpenedPlatform, 'openMapping' | 'space' | 'dispose'>;

const CAPACITY = 256;
const QUEUE_SIZE = 16;

function bootPlatform(name: PlatformName, memory: GuestMemory): Hardware {
  if (name === 'pseries') {
    const window = { kind: 'default', mapping: 'dynamic' };
    return openPlatform(pseries, pseriesOptionsSchema.parse({ window }), { memory });
  }
  if (name === 'sev') return openPlatform(sev, sevOptionsSchema.parse({ pool: '256KiB' }), { memory });
  if (name === 'vfio') return openPlatform(vfio, vfioOptionsSchema.parse({}), { memory });
  const openMapping = (): DmaMapping => new DirectDmaMapping(memory, { path: 'physical', capacity: CAPACITY });
  return { openMapping, space: PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined), dispose: () => {} };
}

/** A guest under the sanitizer, for drivers that do it wrong on purpose. */
export class WrongGuest {
  readonly sanitizer: DmaSanitizer;
  /** As the driver gets it. */
  readonly memory: GuestMemory;
  /** The same memory, without the sanitizer. */
  readonly raw: GuestMemory;
  readonly space: DeviceAddressSpace;
  readonly words: Uint32Array = new Uint32Array(2);
  readonly #hardware: Hardware;

  constructor(platform: PlatformName, options: Partial<SanitizerOptions> = {}) {
    this.raw = new GuestMemory(new SharedArrayBuffer(4 * 2 ** 20));
    this.#hardware = bootPlatform(platform, this.raw);
    this.sanitizer = new DmaSanitizer(this.raw, { name: platform, ...options });
    this.memory = this.sanitizer.memory();
    this.space = this.sanitizer.addressSpace(this.#hardware.space, 'block');
  }

  /** The mapping of a queue; `between` stands between the platform and the sanitizer. */
  mapping(
    queue = 0,
    device = 'block',
    between: (mapping: DmaMapping) => DmaMapping = (mapping) => mapping,
  ): DmaMapping {
    return this.sanitizer.mapping(between(this.#hardware.openMapping(queue, CAPACITY)), device, queue);
  }

  /** A queue over a mapping of its own, with both its ends. */
  queue(index = 0, layout: QueueLayout = 'split', mapping: DmaMapping = this.mapping(index)): WrongQueue {
    return new WrongQueue(this, index, layout, mapping);
  }

  /** Memory that the driver wrote, at the start of a page. */
  written(length: number): number {
    const address = this.memory.allocate(length);
    for (let i = 0; i < length; i++) this.memory.u8[address + i] = i + 1;
    return address;
  }

  /** Gives back what the platform holds. After every mapping was disposed. */
  dispose(): void {
    this.#hardware.dispose();
  }

  codes(): FindingCode[] {
    return this.sanitizer.findings.entries.map(({ code }) => code);
  }
}

/** Maps a new buffer that the device writes, through a mapping of queue 0. */
export function mapWritable(guest: WrongGuest, length: number): { mapping: DmaMapping; address: number; id: number } {
  const mapping = guest.mapping();
  const address = guest.memory.allocate(length);
  return { mapping, address, id: mapping.map(address, length, DmaDirection.FromDevice, guest.words, 0) };
}

/** Expects one finding, of this code, about a driver in `file`, and gives it. */
export function expectFinding(
  guest: WrongGuest,
  code: FindingCode,
  fields: Partial<DmaFinding>,
  file: string,
): DmaFinding {
  expect(guest.codes()).toEqual([code]);
  const finding = guest.sanitizer.findings.entries[0]!;
  expect(finding).toMatchObject({ ...FINDING_KINDS[code], device: 'block', ...fields });
  expect(finding.misusedAt[0]).toContain(file);
  return finding;
}

/** Both ends of a queue: the driver's under the sanitizer, and a device that does what a test tells it. */
export class WrongQueue {
  readonly guest: WrongGuest;
  readonly mapping: DmaMapping;
  readonly queue: Virtqueue;
  readonly list: ScatterList = new ScatterList(4);
  readonly chain: DescriptorChain = new DescriptorChain(QUEUE_SIZE);
  readonly batch: UsedBatch = new UsedBatch(QUEUE_SIZE);
  readonly #device: DeviceQueue;

  constructor(guest: WrongGuest, index: number, layout: QueueLayout, mapping: DmaMapping) {
    this.guest = guest;
    this.mapping = mapping;
    const { raw, space, sanitizer } = guest;
    const pair = new RingPair({ memory: raw, mapping, space, layout, index, size: QUEUE_SIZE, eventIdx: true });
    this.queue = sanitizer.queue(pair.queue, mapping, 'block');
    this.#device = pair.device;
  }

  /** Adds what is in the list, and shows it to the device. Returns the id. */
  send(): number {
    const id = this.queue.add(this.list);
    this.queue.publish();
    this.list.clear();
    return id;
  }

  /** The device takes a buffer. */
  pop(): void {
    expect(this.#device.pop(this.chain)).toBe(true);
  }

  /** The device writes to segment `i` of the buffer that it took. */
  write(i: number, length: number, value = 0xdd): void {
    const { low, high } = this.chain;
    this.guest.space.write(low[i]!, high[i]!, new Uint8Array(length).fill(value), 0, length);
  }

  /** The device returns the buffer, and the driver takes it. */
  complete(written: number): void {
    this.#device.push(this.chain.head, written);
    this.#device.flush();
    expect(this.queue.takeUsed(this.batch)).toBe(1);
  }
}

import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DirectDmaMapping, DmaDirection, type DmaRegion } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  openDeviceQueue,
  openVirtqueue,
  packedLayout,
  ScatterList,
  splitLayout,
  UsedBatch,
  type DeviceQueue,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import type {
  RingOperation,
  RingOutcome,
  RingVectorAreas,
  RingVectorConfiguration,
  RingVectorSegment,
  RingVectorStep,
} from './ring-vector.ts';
/** Large enough for the areas of a queue of 256 entries, in any layout. */
const MEMORY_BYTES = 0x10_0000;

/** The extent of one area in guest memory. */
interface Extent {
  readonly address: number;
  readonly length: number;
}

/** Both ends of a queue, on which the operations of a {@link RingVector} are performed one by one. */
export class RingVectorReplay {
  readonly addresses: RingVectorAreas;
  readonly #memory = new GuestMemory(new SharedArrayBuffer(MEMORY_BYTES));
  readonly #queue: Virtqueue;
  readonly #device: DeviceQueue;
  readonly #areas: { readonly [Area in keyof RingVectorAreas]: Extent };
  readonly #list: ScatterList;
  readonly #chain: DescriptorChain;

  constructor(configuration: RingVectorConfiguration) {
    const { layout, size, eventIdx, inOrder, indirect, byteOrder } = configuration;
    const allocated: number[] = [];
    const mapping = new DirectDmaMapping(this.#memory, {
      path: 'physical',
      capacity: 1,
      coherent: {
        allocate: (length, alignment) => {
          const address = this.#memory.allocate(length, alignment);
          allocated.push(address);
          return address;
        },
        free: (address) => this.#memory.free(address),
      },
    });
    this.#queue = openVirtqueue(layout, this.#memory, mapping, { ...configuration, index: 0, usedLength: 'strict' });
    const space = PHYSICAL_ADDRESS_SPACE.open(this.#memory, new FaultLog(), undefined);
    const { addresses } = this.#queue;
    this.#device = openDeviceQueue(layout, space, {
      addresses,
      eventIdx,
      inOrder,
      indirect: indirect > 0,
      byteOrder,
    });
    this.#list = new ScatterList(size);
    this.#chain = new DescriptorChain(size);
    const [descriptor, driver, device] = areaBytes(configuration);
    const { words } = addresses;
    const tables = allocated[1];
    this.#areas = {
      descriptor: { address: words[0]!, length: descriptor },
      driver: { address: words[2]!, length: driver },
      device: { address: words[4]!, length: device },
      ...(tables !== undefined && { tables: { address: tables, length: size * Math.min(indirect, size) * 16 } }),
    };
    this.addresses = this.#forEachArea(({ address }) => toHex(BigInt(address)));
  }

  /** Performs one operation and tells what came of it. */
  perform(operation: RingOperation): RingVectorStep {
    const outcome = this.#perform(operation);
    const areas = this.#forEachArea(({ address, length }) =>
      Buffer.from(this.#memory.u8.subarray(address, address + length)).toString('hex'),
    );
    return { operation, outcome, areas };
  }

  #perform(operation: RingOperation): RingOutcome {
    switch (operation.name) {
      case 'add':
        return { id: this.#add(operation.segments) };
      case 'publish':
        return { notify: this.#queue.publish() };
      case 'takeUsed':
        return { used: this.#take(operation.max) };
      case 'pop':
        return this.#device.pop(this.#chain) ? { id: this.#chain.head, segments: this.#segments() } : {};
      case 'push':
        this.#device.push(operation.id, operation.written);
        break;
      case 'flush':
        return { notify: this.#device.flush() };
      case 'enableNotifications': {
        const end = operation.end === 'driver' ? this.#queue : this.#device;
        return { empty: end.enableNotifications() };
      }
      case 'disableNotifications':
        (operation.end === 'driver' ? this.#queue : this.#device).disableNotifications();
        break;
      case 'roundTrips':
        for (let i = 0; i < operation.count; i++) this.#roundTrip(operation.segments, operation.written);
    }
    return {};
  }

  #roundTrip(segments: readonly RingVectorSegment[], written: number): void {
    this.#add(segments);
    this.#queue.publish();
    this.#device.pop(this.#chain);
    this.#device.push(this.#chain.head, written);
    this.#device.flush();
    this.#take(1);
  }

  #add(segments: readonly RingVectorSegment[]): number {
    this.#list.clear();
    for (const { address, length, writable } of segments) {
      const region = new DeviceRange(BigInt(address), length);
      if (writable) this.#list.addWritableRegion(region, 0, length);
      else this.#list.addReadableRegion(region, 0, length);
    }
    return this.#queue.add(this.#list);
  }

  #take(max: number): { id: number; written: number }[] {
    const batch = new UsedBatch(max);
    const taken = this.#queue.takeUsed(batch);
    return Array.from({ length: taken }, (_, i) => ({ id: batch.ids[i]!, written: batch.written[i]! }));
  }

  #segments(): RingVectorSegment[] {
    const { count, readable, low, high, length } = this.#chain;
    return Array.from({ length: count }, (_, i) => ({
      address: toHex((BigInt(high[i]!) << 32n) | BigInt(low[i]!)),
      length: length[i]!,
      writable: i >= readable,
    }));
  }

  #forEachArea(describe: (area: Extent) => string): RingVectorAreas {
    const { descriptor, driver, device, tables } = this.#areas;
    return {
      descriptor: describe(descriptor),
      driver: describe(driver),
      device: describe(device),
      ...(tables !== undefined && { tables: describe(tables) }),
    };
  }
}

/** Bytes of the descriptor, driver and device area. */
function areaBytes({ layout, size }: RingVectorConfiguration): [number, number, number] {
  if (layout === 'split') {
    const { descriptorBytes, driverBytes, deviceBytes } = splitLayout(size, 4);
    return [descriptorBytes, driverBytes, deviceBytes];
  }
  const { driverOffset, deviceOffset, totalBytes } = packedLayout(size);
  return [driverOffset, deviceOffset - driverOffset, totalBytes - deviceOffset];
}

function toHex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** A region without memory: only its device address goes into the ring. */
class DeviceRange implements DmaRegion {
  readonly address = 0;
  readonly length: number;
  readonly direction: DmaDirection = DmaDirection.Bidirectional;
  readonly #device: bigint;

  constructor(device: bigint, length: number) {
    this.#device = device;
    this.length = length;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    const address = this.#device + BigInt(offset);
    words[at] = Number(address & 0xffff_ffffn);
    words[at + 1] = Number(address >> 32n);
  }

  syncForDevice(): void {}

  syncForCpu(): void {}

  release(): void {}
}

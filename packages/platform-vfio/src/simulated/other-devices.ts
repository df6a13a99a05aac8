import type { GuestMemory } from '@virtio-platform/core/memory';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { ENOMEM } from '../container/errno.ts';
import type { IovaRange, OtherDeviceState } from '../container/vfio-container.ts';

/** Another device of the same process, whose driver maps memory at once. */
export interface OtherDevice {
  /** As reports name it. */
  readonly name: string;
  /** Bytes that its driver maps. */
  readonly maps: number;
  /** Whether it is in the same container, or in one of its own. */
  readonly container: 'shared' | 'own';
  /** How many mappings the driver of the profile's device makes before. */
  readonly afterMappings: number;
}

/** What a simulated container lets other devices do with it. */
export interface SharedContainer {
  readonly iovaRanges: readonly IovaRange[];
  /** Attaches a device. Returns 0 or a negated errno. */
  attach(): number;
  /** Maps memory for reading and writing, for all devices of the container. Returns 0 or a negated errno. */
  mapShared(address: number, iova: number, size: number): number;
  /** Counts pages of 4 KiB that the process, or the user, locks through another container. False over the limit. */
  lockElsewhere(pages: number): boolean;
}

/**
 * The drivers of the other devices of a process. Each maps a piece of memory: in the shared container at the highest
 * addresses that are left, since the driver under test takes the lowest, or in a container of its own. Memory that
 * cannot be locked is refused to the device that maps at that moment, whichever it is.
 */
export class OtherDevices {
  readonly #memory: GuestMemory;
  readonly #devices: readonly OtherDevice[];
  readonly #states: OtherDeviceState[];
  #container: SharedContainer | undefined;
  /** The lowest address that another device has. */
  #lowest = 0;
  #mappings = 0;
  #next = 0;

  constructor(memory: GuestMemory, devices: readonly OtherDevice[]) {
    this.#memory = memory;
    this.#devices = devices.toSorted((a, b) => a.afterMappings - b.afterMappings);
    this.#states = this.#devices.map(({ name }) => ({ name, mappedBytes: 0, errno: 0 }));
  }

  get states(): readonly OtherDeviceState[] {
    return this.#states;
  }

  /** Attaches to a container, and maps what is to be mapped first. Throws {@link DmaError} without memory. */
  open(container: SharedContainer): void {
    this.#container = container;
    const last = container.iovaRanges.at(-1);
    this.#lowest = last === undefined ? 0 : last.end + 1;
    this.#mapDue();
  }

  /** Called after each mapping of the driver under test. */
  mapped(): void {
    this.#mappings++;
    this.#mapDue();
  }

  #mapDue(): void {
    for (let next = this.#devices[this.#next]; next !== undefined; next = this.#devices[this.#next]) {
      if (next.afterMappings > this.#mappings) return;
      const errno = this.#map(next, this.#container!);
      this.#states[this.#next] = { name: next.name, mappedBytes: errno === 0 ? next.maps : 0, errno };
      this.#next++;
    }
  }

  #map({ maps, container }: OtherDevice, shared: SharedContainer): number {
    if (container === 'own') return shared.lockElsewhere(maps / PAGE_SIZE) ? 0 : ENOMEM;
    const attached = shared.attach();
    if (attached !== 0) return attached;
    // Any kernel page, so that the IOMMU can map it whatever its own is.
    const alignment = 2 ** 16;
    const address = this.#memory.allocate(Math.ceil(maps / alignment) * alignment, alignment);
    const iova = this.#lowest - Math.ceil(maps / alignment) * alignment;
    const result = shared.mapShared(address, iova, maps);
    if (result === 0) this.#lowest = iova;
    else this.#memory.free(address);
    return result;
  }
}

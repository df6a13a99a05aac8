import type { DeviceAddressSpace } from '../../address-space/device-address-space.ts';
import type { DeviceAccess } from '../../address-space/fault-log.ts';
import { watchGeneration, type WatchedGeneration } from '../../address-space/watched-generation.ts';
import { RING_REACH } from '../../memory/memory-size.ts';
import { DESCRIPTOR_SIZE } from '../ring/descriptor-table.ts';
import type { QueueAddresses } from '../ring/ring-format.ts';

/**
 * Where a device's end finds its ring: at the same place as before, elsewhere (or for the first time), or partly
 * unreachable.
 */
export type BorrowResult = 'same' | 'moved' | 'unreachable';

/**
 * The three areas of a ring as a device reaches them, as offsets into its memory. Whenever a translation was taken
 * away, they are translated again through the address space, so that a ring that is no longer mapped is a fault. Hot:
 * no allocation.
 */
export class BorrowedRing {
  descriptor = -1;
  driver = -1;
  device = -1;
  readonly #space: DeviceAddressSpace;
  readonly #watched: WatchedGeneration;
  readonly #addresses: QueueAddresses;
  readonly #descriptorAccess: DeviceAccess;
  readonly #driverBytes: number;
  readonly #deviceBytes: number;
  #generation = -1;

  /** Whether no translation was taken away since {@link reach} found the areas. */
  get isCurrent(): boolean {
    return this.#watched.seenGeneration === this.#generation;
  }

  /**
   * Split devices only read descriptors; packed ones write them. `driverBytes` and `deviceBytes` are the lengths of the
   * driver and the device area. The addresses are copied, so that the addresses that were checked are the ones in use.
   */
  constructor(
    space: DeviceAddressSpace,
    addresses: QueueAddresses,
    descriptorAccess: DeviceAccess,
    driverBytes: number,
    deviceBytes: number,
  ) {
    this.#space = space;
    this.#watched = watchGeneration(space);
    this.#addresses = { size: addresses.size, words: addresses.words.slice() };
    this.#descriptorAccess = descriptorAccess;
    this.#driverBytes = driverBytes;
    this.#deviceBytes = deviceBytes;
  }

  /** Finds the areas, by translation only where the address space changed since the last call. */
  reach(): BorrowResult {
    const generation = this.#space.generation;
    if (generation === this.#generation) return 'same';
    const { words, size } = this.#addresses;
    const descriptor = this.#borrow(words[0]!, words[1]!, size * DESCRIPTOR_SIZE, this.#descriptorAccess);
    const driver = this.#borrow(words[2]!, words[3]!, this.#driverBytes, 'read');
    const device = this.#borrow(words[4]!, words[5]!, this.#deviceBytes, 'write');
    if (descriptor < 0 || driver < 0 || device < 0) return 'unreachable';
    // The 16-bit fields of guest memory end there: no ring beyond can be polled.
    if (Math.max(descriptor, driver, device) >= RING_REACH) return 'unreachable';
    this.#generation = generation;
    if (descriptor === this.descriptor && driver === this.driver && device === this.device) return 'same';
    this.descriptor = descriptor;
    this.driver = driver;
    this.device = device;
    return 'moved';
  }

  /**
   * Borrows an area. A translation computes with floating point numbers, and the JavaScript engine goes on with them in
   * each access to the ring, so an offset that fits becomes an integer.
   */
  #borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    const offset = this.#space.borrow(low, high, length, access);
    return (offset | 0) === offset ? offset | 0 : offset;
  }
}

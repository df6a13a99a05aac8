import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { MemoryFile } from '@virtio-platform/host';
import { encodeMemoryTable, encodeRegion, type RegionDescription } from '@virtio-platform/vhost-user';
import type { VhostUserConnection } from '../vhost-user-connection.ts';
import type { PageRange, SharedPages } from './shared-pages.ts';
/** Pages of guest memory to be made reachable at a device address. */
export interface RegionRequest extends PageRange {
  readonly guestAddress: bigint;
}

/** A region that the back-end has. */
export type MemoryRegion = RegionDescription;

/**
 * A ring that the back-end remembers in a region. libvhost-user remembers the addresses of a ring also after the ring
 * was stopped: it keeps pointers into a region that was removed, and each ADD_MEM_REG looks up all remembered rings in
 * the previous regions; it closes the connection when it does not find one. So each remembered ring must always be in
 * some region.
 */
export interface PlacedRing {
  /** Whether the back-end remembers the ring, running or stopped, in this region. */
  isIn(region: MemoryRegion): boolean;
  /** Stops the ring, and makes the back-end remember it at the start of `region`. Throws {@link DeviceError}. */
  move(region: MemoryRegion): void;
}

/** First user address: some back-ends take 0 for "unset". */
const FIRST_USER_ADDRESS = 0x1_0000_0000n;
/** The device address of the placeholder, which no platform uses. No ring runs while it is the only region. */
const PLACEHOLDER_ADDRESS = 0xffff_ffff_0000_0000n;

/**
 * The regions of guest memory that the back-end has, by device address. They enforce a platform's rules here, as an
 * IOMMU does elsewhere. To bind a malicious back-end too, a page is in the file that comes with a region only while a
 * region covers it: from before the back-end gets the region until after the region was removed. A region has no
 * permissions: the back-end maps all of it readable and writable. A back-end that is gone reaches nothing, so a region
 * is then removed without its answer.
 */
export class MemoryRegions {
  readonly #connection: VhostUserConnection;
  readonly #pages: SharedPages;
  readonly #slots: number;
  readonly #isTable: boolean;
  readonly #regions: MemoryRegion[] = [];
  #nextUserAddress = FIRST_USER_ADDRESS;
  readonly #rings: readonly PlacedRing[];
  /** A page outside guest memory that holds the rings while there is no other region. */
  #placeholder: MemoryRegion | undefined;

  /**
   * `slots` is how many regions the back-end takes one by one. With 0 it takes a table, which here has one region that
   * stays. The regions are the only user of `pages`. `rings` are all rings of the device: they move before the region
   * around them goes.
   */
  constructor(connection: VhostUserConnection, pages: SharedPages, slots: number, rings: readonly PlacedRing[]) {
    this.#rings = rings;
    this.#connection = connection;
    this.#pages = pages;
    this.#slots = Math.max(1, slots);
    this.#isTable = slots === 0;
  }

  /** How many more regions the back-end takes. */
  get available(): number {
    return this.#slots - this.#regions.length;
  }

  /** The regions with bytes in `[start, end)`, by address. */
  overlapping(start: bigint, end: bigint): MemoryRegion[] {
    const found = this.#regions.filter((region) => region.guestAddress < end && endOf(region) > start);
    return found.toSorted((a, b) => (a.guestAddress < b.guestAddress ? -1 : 1));
  }

  /** The region that holds all of `[address, address + length)`. */
  find(address: bigint, length: number): MemoryRegion | undefined {
    const end = address + BigInt(length);
    return this.#regions.find((region) => region.guestAddress <= address && end <= endOf(region));
  }

  /** Where a part of a ring is, if it is all in one region. */
  locate(low: number, high: number, length: number): RingArea | undefined {
    const address = (BigInt(high) << 32n) | BigInt(low);
    const region = this.find(address, length);
    if (region === undefined) return undefined;
    const into = address - region.guestAddress;
    return { address: region.userAddress + into, offset: region.offset + Number(into), region };
  }

  /**
   * Gives the back-end a region. Returns false when it takes no more. Throws {@link DeviceError} and {@link HostError}.
   */
  add(request: RegionRequest): boolean {
    const { guestAddress, offset, size } = request;
    if (size % PAGE_SIZE !== 0 || offset % PAGE_SIZE !== 0 || guestAddress % BigInt(PAGE_SIZE) !== 0n || size <= 0) {
      throw new RangeError(`a memory region is whole pages, not ${size} bytes at 0x${guestAddress.toString(16)}`);
    }
    if (this.available === 0) return false;
    this.#connection.check();
    this.#pages.hold(request);
    let region: MemoryRegion;
    try {
      region = this.#send(request, this.#pages.descriptor);
    } catch (error) {
      this.#pages.release(request);
      throw error;
    }
    this.#regions.push(region);
    this.#removePlaceholder(region);
    return true;
  }

  /** Takes a region back. Throws {@link DeviceError} `ERR_DEVICE_REFUSED`, and then the back-end still has it. */
  remove(region: MemoryRegion): void {
    if (!this.#connection.isLost) {
      try {
        this.#moveRings(region);
        this.#connection.command('REM_MEM_REG', encodeRegion(region));
      } catch (error) {
        if (!this.#connection.isLost) throw error;
      }
    }
    this.#regions.splice(this.#regions.indexOf(region), 1);
    this.#pages.release(region);
  }

  /**
   * Takes back what is in `[start, end)`, keeps the parts of regions that stick out of it, and gives `additions`.
   * Returns false, and has done nothing, where this would take more regions than the back-end has. Between taking and
   * giving back, the parts that stick out are unreachable: nothing may be in flight there. Throws {@link DeviceError},
   * and {@link HostError} before anything changed.
   */
  replace(start: bigint, end: bigint, additions: readonly RegionRequest[]): boolean {
    const taken = this.overlapping(start, end);
    const kept = taken.flatMap((region) => outside(region, start, end));
    const given = [...kept, ...additions];
    if (given.length > this.available + taken.length) return false;
    this.#whileHeld(given, () => {
      for (const region of taken) this.remove(region);
      if (additions.length === 0 && this.#connection.isLost) return;
      for (const request of given) this.add(request);
    });
    return true;
  }

  /**
   * Gives all regions to another process that is there in the place of the back-end. It remembers no ring, so there is
   * nothing that a placeholder is for. Throws {@link DeviceError}.
   */
  replay(): void {
    this.#placeholder = undefined;
    for (const region of this.#regions) this.#give(region, this.#pages.descriptor);
  }

  /** Removes all regions. */
  clear(): void {
    for (let last = this.#regions.at(-1); last !== undefined; last = this.#regions.at(-1)) this.remove(last);
  }

  /** Pages that are in a region before and after an exchange stay where they are. */
  #whileHeld(ranges: readonly PageRange[], exchange: () => void): void {
    let held = 0;
    try {
      for (; held < ranges.length; held++) this.#pages.hold(ranges[held]!);
      exchange();
    } finally {
      while (held > 0) this.#pages.release(ranges[--held]!);
    }
  }

  #send(request: RegionRequest, descriptor: number): MemoryRegion {
    const region = { ...request, userAddress: this.#nextUserAddress };
    this.#nextUserAddress += BigInt(request.size + PAGE_SIZE);
    this.#give(region, descriptor);
    return region;
  }

  #give(region: MemoryRegion, descriptor: number): void {
    if (this.#isTable) this.#connection.command('SET_MEM_TABLE', encodeMemoryTable(region), [descriptor]);
    else this.#connection.command('ADD_MEM_REG', encodeRegion(region), [descriptor]);
  }

  /**
   * Moves the rings out of a region before it is removed: to another region, or to the placeholder where there is no
   * other.
   */
  #moveRings(region: MemoryRegion): void {
    if (!this.#rings.some((ring) => ring.isIn(region))) return;
    const other = this.#regions.find((candidate) => candidate !== region);
    this.#moveTo(region, other ?? this.#addPlaceholder());
  }

  #moveTo(region: MemoryRegion, other: MemoryRegion): void {
    for (const ring of this.#rings) if (ring.isIn(region)) ring.move(other);
  }

  #addPlaceholder(): MemoryRegion {
    const page = MemoryFile.create('placeholder', PAGE_SIZE);
    try {
      const request = { guestAddress: PLACEHOLDER_ADDRESS, offset: 0, size: PAGE_SIZE };
      return (this.#placeholder = this.#send(request, page.descriptor));
    } finally {
      page.dispose();
    }
  }

  #removePlaceholder(successor: MemoryRegion): void {
    const placeholder = this.#placeholder;
    if (placeholder === undefined) return;
    this.#moveTo(placeholder, successor);
    this.#connection.command('REM_MEM_REG', encodeRegion(placeholder));
    this.#placeholder = undefined;
  }
}

function endOf(region: RegionRequest): bigint {
  return region.guestAddress + BigInt(region.size);
}

/** The parts of a region before `start` and from `end` on. */
function outside(region: MemoryRegion, start: bigint, end: bigint): RegionRequest[] {
  const { guestAddress, offset, size } = region;
  const parts: RegionRequest[] = [];
  const before = Number(start - guestAddress);
  if (before > 0) parts.push({ guestAddress, offset, size: before });
  const cut = Number(end - guestAddress);
  if (cut < size) parts.push({ guestAddress: end, offset: offset + cut, size: size - cut });
  return parts;
}

/** Where one area of a ring is. */
export interface RingArea {
  /** What the back-end is told: what it calls the place in the region, or the device address where it translates. */
  readonly address: bigint;
  /** Offset in guest memory. */
  readonly offset: number;
  /** The region that holds it; `undefined` where the back-end translates. */
  readonly region: MemoryRegion | undefined;
}

import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { MemoryFile } from '@virtio-platform/host';
import { encodeMemoryTable, encodeRegion, type RegionDescription } from '../protocol.ts';
import type { VhostUserConnection } from '../vhost-user-connection.ts';
import type { RingArea } from './ring-area.ts';
import type { PageRange, SharedPages } from './shared-pages.ts';

/** Pages of guest memory to be made reachable at a device address. */
export interface RegionRequest extends PageRange {
  readonly guestAddress: bigint;
}

/** A region that the back-end has. */
export type MemoryRegion = RegionDescription;

/**
 * The rings that lie in regions. libvhost-user remembers where a ring was even when it is stopped: it keeps pointers into a
 * region that is gone, and each ADD_MEM_REG looks all remembered rings up, in the regions from before; one it does not find
 * ends the connection. So a ring has to lie somewhere always.
 */
export interface RingPlacement {
  areIn(region: MemoryRegion): boolean;
  /** Stops the rings in `region`, and tells the back-end that they are in `other`. Throws {@link DeviceError}. */
  move(region: MemoryRegion, other: MemoryRegion): void;
}

/** Tokens stay clear of 0, which means "none" to some back-ends. */
const FIRST_USER_ADDRESS = 0x1_0000_0000n;
/** Where no platform puts anything. Not that it matters: there is no other region then, so no ring runs. */
const PLACEHOLDER_ADDRESS = 0xffff_ffff_0000_0000n;

/**
 * What the back-end can reach: the regions of guest memory it was given, by device address. They are what enforces a
 * platform's rules here, as an IOMMU does elsewhere; and so that they bind a back-end that is not honest too, a page is in the
 * file that comes with a region only as long as a region covers it: from before the back-end gets the region until after it
 * lost it. A region has no permissions: the back-end maps all of it readable and writable. Once the back-end is gone it
 * reaches nothing, so taking a region back then needs no answer of it.
 */
export class MemoryRegions {
  readonly #connection: VhostUserConnection;
  readonly #pages: SharedPages;
  readonly #slots: number;
  readonly #isTable: boolean;
  readonly #regions: MemoryRegion[] = [];
  #nextUserAddress = FIRST_USER_ADDRESS;
  #rings: RingPlacement | undefined;
  /** A page that is no guest memory, for rings to lie in while there is no region. */
  #placeholder: MemoryRegion | undefined;

  /**
   * `slots` is how many regions the back-end takes one by one. With 0 it takes a table, which here has one region that stays. Nobody
   * else holds `pages`.
   */
  constructor(connection: VhostUserConnection, pages: SharedPages, slots: number) {
    this.#connection = connection;
    this.#pages = pages;
    this.#slots = Math.max(1, slots);
    this.#isTable = slots === 0;
  }

  /** How many more regions the back-end takes. */
  get available(): number {
    return this.#slots - this.#regions.length;
  }

  /** Tells whose rings lie in the regions. */
  serve(rings: RingPlacement): void {
    this.#rings = rings;
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

  /** Gives the back-end a region. Returns false when it takes no more. Throws {@link DeviceError} and {@link HostError}. */
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
   * Takes back what is in `[start, end)`, keeps the parts of regions that stick out of it, and gives `additions`. Returns
   * false, and has done nothing, where this would take more regions than the back-end has. Between taking and giving back,
   * the parts that stick out are unreachable: nothing may be in flight there. Throws {@link DeviceError}, and
   * {@link HostError} before anything changed.
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

  /** Takes everything back. */
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
    if (this.#isTable) this.#connection.command('SET_MEM_TABLE', encodeMemoryTable(region), [descriptor]);
    else this.#connection.command('ADD_MEM_REG', encodeRegion(region), [descriptor]);
    return region;
  }

  /** Moves rings out of a region that is about to go: into another one, or where there is none into a page made for it. */
  #moveRings(region: MemoryRegion): void {
    if (this.#rings?.areIn(region) !== true) return;
    const other = this.#regions.find((candidate) => candidate !== region);
    this.#rings.move(region, other ?? this.#addPlaceholder());
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
    this.#rings?.move(placeholder, successor);
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

import type { AddressTranslation, FaultCause } from '@virtio-platform/core/address-space';
import { GuestMemory, MOST_MEMORY, PAGE_SIZE, RangeAllocator } from '@virtio-platform/core/memory';
import {
  closeDescriptor,
  inspectDescriptor,
  inspectFile,
  MemoryMapping,
  sealAgainstShrinking,
  type PeerFile,
} from '@virtio-platform/host';
import type { ReceivedRegion } from '@virtio-platform/vhost-user';
import { FrontEndViolation } from '../front-end-violation.ts';

/** The most memory of a front-end: addresses are reserved for it, and no memory is taken. */
const MOST_BYTES = Math.min(MOST_MEMORY, 64 * 2 ** 30);
/** The largest page that a file of memory consists of. */
const LARGEST_PAGE = 2 ** 30;
const WORD = 2 ** 32;
/** Guest addresses below this are exact in a double. */
const ADDRESS_END = 2n ** 53n;

/** A part of the front-end's memory that is mapped here. */
interface ServedRegion {
  /** The guest-physical address of its first byte. */
  readonly guest: number;
  readonly size: number;
  readonly user: bigint;
  /** The offset of its first byte in {@link ServedMemory.memory}. */
  readonly at: number;
  /** What was reserved for it. */
  readonly reserved: number;
  readonly reservedBytes: number;
  /** The same for the same part of the same file. */
  readonly identity: string;
}

/**
 * The memory that a front-end gave, in regions: one array of this process in which each region is mapped somewhere.
 * Translates guest-physical addresses, which descriptors have where no IOMMU is in between, and the front-end's own
 * addresses, in which it names rings.
 */
export class ServedMemory implements AddressTranslation {
  /** How many regions it takes. */
  static readonly SLOTS = 64;
  readonly memory: GuestMemory;
  readonly cause: FaultCause = 'unmapped';
  run = 0;
  readonly #mapping: MemoryMapping;
  readonly #places: RangeAllocator;
  /** The address of the array, as far as it matters for alignment. */
  readonly #bias: number;
  #regions: readonly ServedRegion[] = [];
  #generation = 0;
  /** The region that was found last. */
  #last: ServedRegion | undefined;

  /** Throws {@link HostError}. */
  constructor() {
    this.#mapping = MemoryMapping.anonymous(MOST_BYTES);
    this.memory = new GuestMemory(this.#mapping.buffer);
    this.#bias = Number(this.#mapping.address % BigInt(LARGEST_PAGE));
    this.#places = new RangeAllocator('memory of the front-end', this.#bias, MOST_BYTES);
  }

  /** Changes when a region goes. */
  get generation(): number {
    return this.#generation;
  }

  /** Regions that there are. */
  get count(): number {
    return this.#regions.length;
  }

  /** Bytes in all regions. */
  get bytes(): number {
    return this.#regions.reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Replaces all regions; one that stays as it was is not touched. Takes the descriptors over. Throws
   * {@link FrontEndViolation} and {@link HostError}; then there is no region.
   */
  replace(wanted: readonly ReceivedRegion[], descriptors: readonly number[]): void {
    try {
      if (wanted.length !== descriptors.length)
        throw new FrontEndViolation(`sent ${descriptors.length} descriptors for ${wanted.length} memory regions`);
      const keys = wanted.map((region, i) => keyOf(region, lookAt(descriptors[i]!)));
      for (const region of this.#regions) if (!keys.includes(region.identity)) this.#unmap(region);
      for (const [i, region] of wanted.entries()) {
        if (!this.#regions.some(({ identity }) => identity === keys[i])) this.#map(region, descriptors[i]!);
      }
    } catch (error) {
      this.clear();
      throw error;
    } finally {
      for (const descriptor of descriptors) closeDescriptor(descriptor);
    }
  }

  /** Adds a region. Takes the descriptor over. Throws {@link FrontEndViolation} and {@link HostError}. */
  add(region: ReceivedRegion, descriptor: number): void {
    try {
      this.#map(region, descriptor);
    } finally {
      closeDescriptor(descriptor);
    }
  }

  /** Removes a region, named by its addresses and size. Throws {@link FrontEndViolation}. */
  remove({ guestAddress, size, userAddress }: ReceivedRegion): void {
    const found = this.#regions.find(
      (region) => BigInt(region.guest) === guestAddress && region.user === userAddress && BigInt(region.size) === size,
    );
    if (found === undefined)
      throw new FrontEndViolation(`takes back memory at ${hex(guestAddress)} that it never gave`);
    this.#unmap(found);
  }

  /** Removes all regions. */
  clear(): void {
    for (const region of this.#regions) this.#unmap(region);
  }

  /** Hot: no allocation. */
  translate(low: number, high: number): number {
    const address = high * WORD + low;
    const last = this.#last;
    if (last !== undefined && address >= last.guest && address < last.guest + last.size) {
      this.run = last.guest + last.size - address;
      return last.at + (address - last.guest);
    }
    return this.#search(address);
  }

  /** Where `length` bytes from an address of the front-end on are in {@link memory}; -1 where they are in no region. */
  offsetOfUser(user: bigint, length: number): number {
    const region = this.#ofUser(user, length);
    return region === undefined ? -1 : region.at + Number(user - region.user);
  }

  /** Where a guest-physical address is in {@link memory}; -1 where it is in no region. */
  offsetOfGuest(address: bigint): number {
    return address < ADDRESS_END ? this.translate(Number(address & 0xffff_ffffn), Number(address >> 32n)) : -1;
  }

  /** The guest-physical address of `length` bytes from an address of the front-end on; `undefined` for no region. */
  guestOfUser(user: bigint, length: number): bigint | undefined {
    const region = this.#ofUser(user, length);
    return region === undefined ? undefined : BigInt(region.guest) + (user - region.user);
  }

  /** The guest-physical address of a byte of {@link memory}; -1 where it is in no region. */
  guestOf(offset: number): number {
    for (const { at, size, guest } of this.#regions) if (offset >= at && offset < at + size) return guest + offset - at;
    return -1;
  }

  dispose(): void {
    this.#regions = [];
    this.#last = undefined;
    this.#mapping.dispose();
  }

  #search(address: number): number {
    for (const region of this.#regions) {
      if (address < region.guest || address >= region.guest + region.size) continue;
      this.#last = region;
      this.run = region.guest + region.size - address;
      return region.at + (address - region.guest);
    }
    this.run = 1;
    return -1;
  }

  #ofUser(user: bigint, length: number): ServedRegion | undefined {
    return this.#regions.find((region) => {
      const into = user - region.user;
      return into >= 0n && into + BigInt(length) <= BigInt(region.size);
    });
  }

  #map(region: ReceivedRegion, descriptor: number): void {
    const file = lookAt(descriptor);
    this.#check(region, file);
    const [size, offset] = [Number(region.size), Number(region.offset)];
    const alignment = Math.max(PAGE_SIZE, file.alignment);
    const lead = offset % alignment;
    const reservedBytes = Math.ceil((lead + size) / alignment) * alignment;
    const place = this.#places.tryAllocate(reservedBytes, alignment);
    if (place < 0) {
      const most = `this Node serves at most ${MOST_BYTES} bytes of memory`;
      throw new FrontEndViolation(`gives ${size} bytes of memory beside ${this.bytes} others: ${most}`);
    }
    const reserved = place - this.#bias;
    try {
      this.#mapping.mapFilePages(descriptor, reserved, reservedBytes, offset - lead);
    } catch (error) {
      this.#places.free(place);
      throw error;
    }
    sealAgainstShrinking(descriptor);
    const [guest, user, identity] = [Number(region.guestAddress), region.userAddress, keyOf(region, file)];
    const mapped = { guest, size, user, at: reserved + lead, reserved, reservedBytes, identity };
    this.#regions = [...this.#regions, mapped];
  }

  #unmap(region: ServedRegion): void {
    this.#regions = this.#regions.filter((other) => other !== region);
    this.#last = undefined;
    this.#generation++;
    this.#mapping.mapAnonymousPages(region.reserved, region.reservedBytes);
    this.#places.free(region.reserved + this.#bias);
  }

  #check({ guestAddress, size, userAddress, offset }: ReceivedRegion, file: PeerFile): void {
    const what = `gives ${size} bytes of memory at ${hex(guestAddress)}`;
    if (this.#regions.length >= ServedMemory.SLOTS)
      throw new FrontEndViolation(`${what}: the back-end takes ${ServedMemory.SLOTS} regions`);
    if (size === 0n) throw new FrontEndViolation(what);
    if (guestAddress + size > ADDRESS_END || userAddress + size > 2n ** 64n)
      throw new FrontEndViolation(`${what}, which ends behind all addresses`);
    if (offset + size > BigInt(file.size))
      throw new FrontEndViolation(`${what}, from byte ${offset} of a file of ${file.size} bytes`);
    const isTaken = this.#regions.some(
      (region) =>
        overlaps(guestAddress, size, BigInt(region.guest), region.size) ||
        overlaps(userAddress, size, region.user, region.size),
    );
    if (isTaken) throw new FrontEndViolation(`${what}, which overlap another region`);
  }
}

/** Looks at the file of a region. Throws {@link FrontEndViolation} for what is no file of memory. */
function lookAt(descriptor: number): PeerFile {
  const { kind, isReadable, isWritable } = inspectDescriptor(descriptor);
  if (kind !== 'file') throw new FrontEndViolation('gives memory by a descriptor that is no file');
  if (!isReadable || !isWritable) throw new FrontEndViolation('gives memory by a file that cannot be written to');
  const file = inspectFile(descriptor);
  const { alignment } = file;
  const isPage = alignment >= 1 && alignment <= LARGEST_PAGE && (alignment & (alignment - 1)) === 0;
  return isPage ? file : { ...file, alignment: PAGE_SIZE };
}

function keyOf({ guestAddress, size, userAddress, offset }: ReceivedRegion, { identity }: PeerFile): string {
  return [identity, offset, size, guestAddress, userAddress].join(' ');
}

function overlaps(start: bigint, size: bigint, otherStart: bigint, otherSize: number): boolean {
  return start < otherStart + BigInt(otherSize) && otherStart < start + size;
}

function hex(address: bigint): string {
  return `0x${address.toString(16)}`;
}

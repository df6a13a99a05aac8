import {
  advance,
  isAvailable,
  PackedRing,
  RING_EVENT_FLAGS_DESC,
  slotOf,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
} from '@virtio-platform/core/queue';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { ChainScan } from './chain-scan.ts';
import type { DescriptorCopy, OwnedDescriptor, OwnedTable } from './owned-buffer.ts';
import { RingScan, type ScanOptions } from './ring-scan.ts';

/** Looks at a packed ring (specification 1.4 section 2.8). */
export class PackedScan extends RingScan {
  #ring: PackedRing | undefined;
  /** The next slot to look at, and the next one to be used. */
  #next: number;
  #used: number;
  /** Slots of the buffers that are the device's. */
  #taken = 0;

  constructor(space: DeviceAddressSpace, options: ScanOptions) {
    super(space, options);
    this.#next = this.#used = options.setup.position;
  }

  protected openAt(descriptor: number, driver: number, device: number): void {
    this.#ring = new PackedRing(this.space.memory, descriptor, driver, device);
  }

  protected scanRing(): void {
    const ring = this.#ring!;
    this.#checkEvent(ring);
    while (!this.isBroken && this.#taken < this.options.setup.size) {
      const flags = ring.flags(slotOf(this.#next));
      if (!isAvailable(flags, this.#next)) return;
      const slots = this.#scanList(ring);
      this.#next = advance(this.#next, slots, this.options.setup.size);
      this.#taken += slots;
    }
  }

  protected descriptorAt(index: number): DescriptorCopy {
    const ring = this.#ring!;
    const flags = ring.flags(index);
    return {
      low: ring.low(index),
      high: ring.high(index),
      length: ring.length(index),
      flags,
      next: ring.id(index),
    };
  }

  /** The device wrote the first of these slots, and the driver may write all of them. */
  protected passed(slots: number): void {
    for (let i = 0; i < slots; i++) this.owners[slotOf(advance(this.#used, i, this.options.setup.size))] = 0;
    this.#used = advance(this.#used, slots, this.options.setup.size);
    this.#taken -= slots;
  }

  #checkEvent(ring: PackedRing): void {
    const { size, eventIdx } = this.options.setup;
    const event = ring.driverEvent();
    const flags = event >>> 16;
    const offset = event & 0x7fff;
    if (flags > (eventIdx ? RING_EVENT_FLAGS_DESC : 1))
      this.tell(
        'DRV-EVENT-FLAGS',
        `the flags of event suppression are ${flags}${eventIdx ? '' : ' without EVENT_IDX'}`,
      );
    else if (flags === RING_EVENT_FLAGS_DESC && offset >= size)
      this.tell('DRV-EVENT-FLAGS', `the offset of event suppression is ${offset} in a ring of ${size}`);
  }

  /** Looks at one list. Returns its slots, or 0 where it breaks a rule. */
  #scanList(ring: PackedRing): number {
    const { size } = this.options.setup;
    const chain = this.openChain(undefined);
    const descriptors: OwnedDescriptor[] = [];
    let table: OwnedTable | undefined;
    for (let slots = 1, position = this.#next; ; slots++) {
      const slot = slotOf(position);
      const place = { descriptor: slot };
      const copy = this.descriptorAt(slot);
      const { low, high, length, flags } = copy;
      descriptors.push({ index: slot, ...copy });
      const hasNext = (flags & VIRTQ_DESC_F_NEXT) !== 0;
      if (slots > 1 && !isAvailable(flags, position)) {
        const what = `slot ${slot} of a list has flags 0x${flags.toString(16)}, and the first one is available`;
        return this.#broken(this.break('DRV-LIST-UNAVAILABLE', what, place));
      }
      if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) {
        if (hasNext || slots > 1)
          return this.#broken(
            this.break('DRV-INDIRECT-NEXT', `slot ${slot} has INDIRECT in a list of descriptors`, place),
          );
        table = this.readTable(undefined, slot, copy);
        if (table === undefined || !this.#walkTable(chain, slot, table)) return 0;
      } else if (!chain.add(slot, false, low, high, length, flags)) return 0;
      if (!hasNext) return this.#take(ring.id(slot), slots, chain, descriptors, table);
      if (slots === size)
        return this.#broken(this.break('DRV-CHAIN-LOOP', `a list of more than ${size} descriptors`, place));
      position = advance(position, 1, size);
    }
  }

  #take(
    id: number,
    slots: number,
    chain: ChainScan,
    descriptors: readonly OwnedDescriptor[],
    table: OwnedTable | undefined,
  ): number {
    const { size } = this.options.setup;
    const place = { buffer: id, descriptor: descriptors.at(-1)!.index };
    if (id >= size) return this.#broken(this.break('DRV-ID-RANGE', `buffer id ${id} in a ring of ${size}`, place));
    if (this.owned(id) !== undefined) {
      const what = `buffer id ${id} was made available again before its buffer was used`;
      return this.#broken(this.break('DRV-HEAD-IN-FLIGHT', what, place));
    }
    if (this.#taken + slots > size) {
      const what = `a list of ${slots} descriptors beside ${this.#taken} in flight, in a ring of ${size}`;
      return this.#broken(this.break('DRV-LIST-SPACE', what, place));
    }
    this.own(id, slots, chain, descriptors, table);
    return slots;
  }

  /** Of the flags of a table WRITE alone counts (section 2.8.7). */
  #walkTable(chain: ChainScan, slot: number, owned: OwnedTable): boolean {
    const table = this.entriesOf(owned);
    for (let index = 0; index < owned.bytes.length / 16; index++) {
      // Where a split descriptor has next, a packed one has its flags.
      const flags = table.next(index);
      if ((flags & ~VIRTQ_DESC_F_WRITE) !== 0) {
        const what = `entry ${index} of the table of slot ${slot} has flags 0x${flags.toString(16)}`;
        this.tell('DRV-TABLE-FLAGS', what, { descriptor: index, isInTable: true });
      }
      if (!chain.add(index, true, table.low(index), table.high(index), table.length(index), flags)) return false;
    }
    return true;
  }

  #broken(_result: false): 0 {
    return 0;
  }
}

import {
  openDescriptorTable,
  openSplitRing,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  type DescriptorTable,
  type SplitRing,
} from '@virtio-platform/core/queue';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { ChainScan } from './chain-scan.ts';
import type { DescriptorCopy, OwnedDescriptor, OwnedTable } from './owned-buffer.ts';
import { RingScan, type ScanOptions } from './ring-scan.ts';

/** Looks at a split ring (specification 1.4 section 2.7). */
export class SplitScan extends RingScan {
  #ring: SplitRing | undefined;
  #descriptors: DescriptorTable | undefined;
  /** The available index of the next entry to look at. */
  #next: number;

  constructor(space: DeviceAddressSpace, options: ScanOptions) {
    super(space, options);
    this.#next = options.setup.position;
  }

  /** Buffers that the driver made available so far, in 16 bits; -1 where the ring cannot be read. */
  get availableIndex(): number {
    return this.#ring?.availIdx() ?? -1;
  }

  protected openAt(descriptor: number, driver: number, device: number): void {
    this.#descriptors = openDescriptorTable('little', this.space.memory, descriptor);
    this.#ring = openSplitRing('little', this.space.memory, driver, device, this.options.setup.size);
  }

  protected scanRing(): void {
    const ring = this.#ring!;
    const { size, eventIdx } = this.options.setup;
    const idx = ring.availIdx();
    const flags = ring.availFlags();
    if (flags > (eventIdx ? 0 : 1)) {
      const when = eventIdx ? ' with EVENT_IDX' : '';
      this.tell('DRV-AVAIL-FLAGS', `avail.flags is 0x${flags.toString(16)}${when}`);
    }
    const arrived = (idx - this.#next) & 0xffff;
    if (arrived === 0) return;
    if (arrived + this.ownedCount > size) {
      const back = 0x1_0000 - arrived;
      const moved = back <= size ? `went back by ${back} to ${idx}` : `jumped by ${arrived} to ${idx}`;
      const owned = `${this.ownedCount} buffers in flight, of ${size} entries`;
      this.break('DRV-AVAIL-INDEX', `idx of the available ring ${moved}, with ${owned}`);
      return;
    }
    for (; this.#next !== idx && !this.isBroken; this.#next = (this.#next + 1) & 0xffff) {
      this.#scanEntry(ring.availEntry(this.#next & (size - 1)));
    }
  }

  protected descriptorAt(index: number): DescriptorCopy {
    const table = this.#descriptors!;
    return {
      low: table.low(index),
      high: table.high(index),
      length: table.length(index),
      flags: table.flags(index),
      next: table.next(index),
    };
  }

  /** Entries of a split ring are written by one end only. */
  protected passed(_slots: number): void {}

  #scanEntry(head: number): void {
    const { size } = this.options.setup;
    if (head >= size) {
      this.break('DRV-HEAD-RANGE', `available entry ${this.#next & (size - 1)} is ${head} in a table of ${size}`);
      return;
    }
    if (this.owned(head) !== undefined) {
      const what = `descriptor ${head} was made available again before its buffer was used`;
      this.break('DRV-HEAD-IN-FLIGHT', what, { buffer: head, descriptor: head });
      return;
    }
    const chain = this.openChain(head);
    const descriptors: OwnedDescriptor[] = [];
    const walked = this.#walk(head, chain, descriptors);
    if (walked !== undefined) this.own(head, 1, chain, descriptors, walked.table);
  }

  /** Walks a chain. `undefined` where it breaks a rule. */
  #walk(
    head: number,
    chain: ChainScan,
    descriptors: OwnedDescriptor[],
  ): { readonly table: OwnedTable | undefined } | undefined {
    const { size, inOrder } = this.options.setup;
    const seen = new Set<number>();
    for (let index = head; ;) {
      const place = { buffer: head, descriptor: index };
      if (seen.has(index)) {
        this.break('DRV-CHAIN-LOOP', `the chain of ${head} comes back to descriptor ${index}`, place);
        return undefined;
      }
      seen.add(index);
      if (this.owners[index] !== 0) {
        this.break('DRV-DESCRIPTOR-SHARED', `descriptor ${index} is in the chain of ${head} and in another`, place);
        return undefined;
      }
      const copy = this.descriptorAt(index);
      const { low, high, length, flags, next } = copy;
      descriptors.push({ index, ...copy });
      const hasNext = (flags & VIRTQ_DESC_F_NEXT) !== 0;
      if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) {
        if (hasNext) {
          this.break('DRV-INDIRECT-NEXT', `descriptor ${index} has both INDIRECT and NEXT`, place);
          return undefined;
        }
        const table = this.readTable(head, index, copy);
        return table !== undefined && this.#walkTable(head, chain, table) ? { table } : undefined;
      }
      if (!chain.add(index, false, low, high, length, flags)) return undefined;
      if (!hasNext) return { table: undefined };
      if (next >= size) {
        this.break('DRV-NEXT-RANGE', `descriptor ${index} has next ${next} in a table of ${size}`, place);
        return undefined;
      }
      if (inOrder && next !== (index + 1) % size)
        this.tell('DRV-IN-ORDER-NEXT', `descriptor ${index} has next ${next} with IN_ORDER`, place);
      index = next;
    }
  }

  #walkTable(head: number, chain: ChainScan, owned: OwnedTable): boolean {
    const table = this.entriesOf(owned);
    const entries = owned.bytes.length / 16;
    const seen = new Set<number>();
    for (let index = 0; ;) {
      const place = { buffer: head, descriptor: index, isInTable: true };
      if (seen.has(index))
        return this.break('DRV-CHAIN-LOOP', `the table of ${head} comes back to entry ${index}`, place);
      seen.add(index);
      const flags = table.flags(index);
      if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0)
        return this.break('DRV-INDIRECT-NESTED', `entry ${index} of the table of ${head} has INDIRECT`, place);
      if (!chain.add(index, true, table.low(index), table.high(index), table.length(index), flags)) return false;
      if ((flags & VIRTQ_DESC_F_NEXT) === 0) return true;
      const next = table.next(index);
      if (next >= entries)
        return this.break(
          'DRV-NEXT-RANGE',
          `entry ${index} of the table of ${head} has next ${next} of ${entries}`,
          place,
        );
      if (this.options.setup.inOrder && next !== index + 1)
        this.tell('DRV-IN-ORDER-NEXT', `entry ${index} of the table of ${head} has next ${next} with IN_ORDER`, place);
      index = next;
    }
  }
}

import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  DESCRIPTOR_SIZE,
  openDescriptorTable,
  openSplitRing,
  PackedRing,
  VIRTQ_DESC_F_NEXT,
  type DescriptorTable,
  type SplitRing,
} from '@virtio-platform/core/queue';
import type { RingPlace } from '../record/recording.ts';
import type { BufferState, QueueState } from './run-state.ts';

/** A descriptor as it lies in memory. `link` is `next` of a split ring, and the buffer id of a packed one. */
export interface Descriptor {
  readonly slot: number;
  readonly address: bigint;
  readonly length: number;
  readonly flags: number;
  readonly link: number;
}

/** The recorded memory of one ring, read with the core's own readers. */
export class RingView {
  readonly place: RingPlace;
  /** Of a split ring. */
  readonly split: SplitRing | undefined;
  /** Of a packed ring. */
  readonly packed: PackedRing | undefined;
  readonly #descriptors: DescriptorTable;
  /** The memory of the indirect tables. */
  readonly tables: Uint32Array;

  constructor(place: RingPlace, ring: Uint32Array, tables: Uint32Array) {
    const { layout, size, byteOrder, driverOffset, deviceOffset } = place;
    const bytes = Math.ceil((ring.length * 4) / PAGE_SIZE) * PAGE_SIZE;
    const memory = new GuestMemory(new ArrayBuffer(bytes), 0);
    memory.u32.set(ring);
    this.place = place;
    this.tables = tables;
    this.#descriptors = openDescriptorTable(byteOrder, memory, 0);
    if (layout === 'packed') this.packed = new PackedRing(memory, 0, driverOffset, deviceOffset);
    else this.split = openSplitRing(byteOrder, memory, driverOffset, deviceOffset, size);
  }

  /** What lies in a slot of the descriptor area. */
  descriptor(slot: number): Descriptor {
    return this.#read(this.#descriptors, slot);
  }

  /** The entries of an indirect table that a descriptor refers to; empty where the table was not recorded. */
  table({ address, length }: Pick<Descriptor, 'address' | 'length'>): Descriptor[] {
    const { tables, byteOrder } = this.place;
    if (tables === null) return [];
    const offset = Number(address - tables.deviceAddress);
    if (!(offset >= 0 && offset + length <= tables.length) || offset % DESCRIPTOR_SIZE !== 0) return [];
    const words = this.tables.slice(offset / 4, (offset + length) / 4);
    const table = openDescriptorTable(byteOrder, { u16: new Uint16Array(words.buffer), u32: words }, 0);
    return Array.from({ length: Math.floor(length / DESCRIPTOR_SIZE) }, (_, i) => this.#read(table, i));
  }

  /** Whether an address is that of one of the indirect tables of this ring. */
  isTable(address: bigint): boolean {
    const { tables } = this.place;
    if (tables === null) return false;
    return address >= tables.deviceAddress && address < tables.deviceAddress + BigInt(tables.length);
  }

  /** The slots of a chain of a split ring, its head first. */
  chain(head: number): number[] {
    const slots = [head];
    for (let at = this.descriptor(head); (at.flags & VIRTQ_DESC_F_NEXT) !== 0; at = this.descriptor(at.link)) {
      if (slots.length === this.place.size || at.link >= this.place.size) break;
      slots.push(at.link);
    }
    return slots;
  }

  #read(table: DescriptorTable, slot: number): Descriptor {
    const address = (BigInt(table.high(slot)) << 32n) | BigInt(table.low(slot));
    const [third, fourth] = [table.flags(slot), table.next(slot)];
    // Where a split descriptor has flags and next, a packed one has id and flags (section 2.8.13).
    const [flags, link] = this.packed === undefined ? [third, fourth] : [fourth, third];
    return { slot, address, length: table.length(slot), flags, link };
  }
}

/** Views of memory that was seen before: most events change nothing in a ring. */
const VIEWS = new WeakMap<Uint32Array, RingView>();

/** The ring of a queue as its memory was; `undefined` where that was not recorded. */
export function ringView({ place, ring, tables }: QueueState): RingView | undefined {
  if (place === null || ring === null || tables === null) return undefined;
  const known = VIEWS.get(ring);
  if (known?.place === place && known.tables === tables) return known;
  const view = new RingView(place, ring, tables);
  VIEWS.set(ring, view);
  return view;
}

/** The descriptors of the segments of a buffer that is outstanding, as its memory has them. */
export function segmentsOf(view: RingView, { slots, isIndirect }: BufferState): Descriptor[] {
  return slots.map((slot) => view.descriptor(slot)).flatMap((one) => (isIndirect ? view.table(one) : [one]));
}

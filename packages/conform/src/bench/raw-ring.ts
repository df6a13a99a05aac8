import type {
  BenchBuffer,
  BenchSegment,
  ConformRing,
  DescribeOptions,
  RawDescriptor,
  ReturnedBuffer,
} from '@virtio-platform/core';
import {
  DESCRIPTOR_SIZE,
  VIRTQ_DESC_F_WRITE,
  type QueueAddresses,
  type QueueLayout,
} from '@virtio-platform/core/queue';
import { CaseEnd } from './case-end.ts';
import type { WatchedMemory } from './watched-memory.ts';

/** What a ring needs of the bench, and what was negotiated. */
export interface RingSetting {
  readonly index: number;
  readonly size: number;
  readonly eventIdx: boolean;
  readonly inOrder: boolean;
  /** Where a ring goes on that was stopped; its beginning unless given. An index, or a slot with its wrap counter. */
  readonly start?: number;
  /** `Transport.wholeUsedElements`. */
  readonly wholeUsedElements: boolean;
  /** `Transport.unmarkedLengths`: one case says so of the device, and no other one fails for it. */
  readonly unmarkedLengths?: boolean;
  /** Whether the device may write no more to a buffer that it returned: not where a driver lends memory twice. */
  readonly takesBack?: boolean;
  readonly notify: (queue: number, next: number) => void;
  readonly until: (what: string, isDone: () => boolean, milliseconds?: number) => Promise<void>;
}

/** Bytes of the three areas. */
export interface AreaBytes {
  readonly descriptor: number;
  readonly driver: number;
  readonly device: number;
}

/** A buffer that the device has. */
interface Outstanding {
  readonly id: number;
  /** Descriptors of a split ring; as many slots of a packed one. */
  readonly descriptors: readonly number[];
  readonly writableBytes: number;
  /** Where the runs of them begin. */
  readonly writable: readonly number[];
}

/** What both layouts have in common: areas, raw access, buffers that the device has. */
export abstract class RawRing implements ConformRing {
  abstract readonly layout: QueueLayout;
  readonly index: number;
  readonly size: number;
  readonly addresses: QueueAddresses;
  readonly descriptorArea: BenchBuffer;
  readonly driverArea: BenchBuffer;
  readonly deviceArea: BenchBuffer;
  protected readonly memory: WatchedMemory;
  protected readonly setting: RingSetting;
  /** In the order in which they were made available. */
  readonly #outstanding: Outstanding[] = [];
  /** Buffers of a batch (IN_ORDER) that were returned by one used entry. */
  readonly #batch: ReturnedBuffer[] = [];
  readonly #free: number[];

  protected constructor(memory: WatchedMemory, setting: RingSetting, bytes: AreaBytes) {
    this.memory = memory;
    this.setting = setting;
    this.index = setting.index;
    this.size = setting.size;
    const name = (area: string): string => `the ${area} of queue ${setting.index}`;
    const isWhole = setting.wholeUsedElements;
    this.descriptorArea = memory.allocate(name('descriptor area'), bytes.descriptor, 16);
    this.driverArea = memory.allocate(name('driver area'), bytes.driver, 4);
    this.deviceArea = memory.allocate(name('device area'), bytes.device, isWhole ? 8 : 4, isWhole ? 4 : 0);
    for (const area of [this.descriptorArea, this.driverArea, this.deviceArea]) area.write(new Uint8Array(area.length));
    memory.mayWrite(this.deviceArea.address, this.deviceArea.length);
    const areas = [this.descriptorArea, this.driverArea, this.deviceArea];
    const words = Uint32Array.from(areas.flatMap(({ low, high }) => [low, high]));
    this.addresses = { size: setting.size, words };
    this.#free = Array.from({ length: setting.size }, (_, i) => i);
  }

  get outstanding(): number {
    return this.#outstanding.length;
  }

  abstract readonly nextAvailable: number;
  abstract readonly nextUsed: number;
  abstract add(segments: readonly BenchSegment[], options?: DescribeOptions): number;
  abstract publish(): void;
  abstract wantNotifications(isWanted: boolean): void;
  abstract wantNotificationAt(position: number): void;
  abstract wantsKick(): boolean;
  abstract pushHead(head: number): void;
  abstract pushSlot(descriptor: RawDescriptor): void;
  abstract inspect(): readonly string[];
  /** The next used entry, past which the ring goes on by what {@link batchOf} says of its id. */
  protected abstract takeEntry(): ReturnedBuffer | undefined;

  kick(): void {
    this.setting.notify(this.index, this.nextAvailable);
  }

  give(segments: readonly BenchSegment[], options?: DescribeOptions): number {
    const id = this.add(segments, options);
    this.publish();
    this.kick();
    return id;
  }

  take(): ReturnedBuffer | undefined {
    const batched = this.#batch.shift();
    if (batched !== undefined) return batched;
    const entry = this.takeEntry();
    if (entry === undefined) return undefined;
    const at = this.#outstanding.findIndex(({ id }) => id === entry.id);
    if (at < 0) return entry;
    // A used entry of a batch stands for all before it, which were filled (2.7.9, 2.8.8).
    const first = this.setting.inOrder ? 0 : at;
    const returned = this.#outstanding.splice(first, at - first + 1);
    for (const { descriptors, writable } of returned) {
      this.#free.push(...descriptors);
      if (this.setting.takesBack === true) for (const address of writable) this.memory.takeBack(address);
    }
    const whole = returned.slice(0, -1).map(({ id, writableBytes }) => ({ id, length: writableBytes, flags: 0 }));
    this.#batch.push(...whole, entry);
    return this.#batch.shift();
  }

  async takeNext(milliseconds?: number): Promise<ReturnedBuffer> {
    let returned: ReturnedBuffer | undefined;
    const what = `return a buffer of queue ${this.index}`;
    await this.setting.until(what, () => (returned = this.take()) !== undefined, milliseconds);
    return returned!;
  }

  /** The device was reset, or this queue: it may write no more to the ring, and to no buffer that it had. */
  end(): void {
    if (this.setting.takesBack !== true) return;
    for (const { writable } of this.#outstanding) for (const address of writable) this.memory.takeBack(address);
    this.memory.takeBack(this.deviceArea.address);
    if (this.layout === 'packed') this.memory.takeBack(this.descriptorArea.address);
  }

  describe(index: number, descriptor: RawDescriptor): void {
    this.describeIn(this.descriptorArea, index, descriptor);
  }

  describeIn(buffer: BenchBuffer, index: number, { low, high, length, flags, next }: RawDescriptor): void {
    if ((flags & VIRTQ_DESC_F_WRITE) !== 0) this.memory.grant(low, high, length);
    this.memory.write(buffer.address + index * DESCRIPTOR_SIZE, encode(low, high, length, ...this.tail(flags, next)));
  }

  poke(area: 'descriptor' | 'driver' | 'device', offset: number, value: number): void {
    this.memory.write16(this.#areaOf(area).address + offset, value);
  }

  peek(area: 'descriptor' | 'driver' | 'device', offset: number): number {
    return this.memory.read16(this.#areaOf(area).address + offset);
  }

  /** The last two 16-bit fields of a descriptor, in the order of the layout. */
  protected abstract tail(flags: number, next: number): readonly [number, number];

  /** Descriptors, or ids, that no buffer has: `count`, or those of `at`. Ends the case where there are too few. */
  protected reserve(count: number, at?: readonly number[]): readonly number[] {
    if (at !== undefined) {
      for (const descriptor of at) this.#free.splice(this.#free.indexOf(descriptor), 1);
      return at;
    }
    const free = this.#free.length;
    if (count > free) throw new CaseEnd('skip', `its ring has ${free} free descriptors where the case needs ${count}`);
    return this.#free.splice(0, count);
  }

  /** A buffer was described. */
  protected given(id: number, descriptors: readonly number[], segments: readonly BenchSegment[]): void {
    let writableBytes = 0;
    const writable: number[] = [];
    for (const { buffer, offset = 0, length = buffer.length - offset, isWritable } of segments) {
      if (isWritable !== true) continue;
      writableBytes += length;
      if (length === 0) continue;
      this.memory.lend(buffer.address + offset, length);
      writable.push(buffer.address + offset);
    }
    this.#outstanding.push({ id, descriptors, writableBytes, writable });
  }

  /** Writes an indirect table for segments, and returns it. */
  protected writeTable(segments: readonly BenchSegment[], isChained: boolean): BenchBuffer {
    const table = this.memory.allocate('an indirect table', segments.length * DESCRIPTOR_SIZE, 16);
    for (const [i, segment] of segments.entries()) {
      const isLast = i === segments.length - 1;
      const chained = isChained && !isLast ? { flags: 1, next: i + 1 } : { flags: 0, next: 0 };
      this.describeIn(table, i, descriptorOf(segment, chained.flags, chained.next));
    }
    return table;
  }

  /** Bytes that the device may write to a buffer that it has; 0 for one that it has not. */
  protected writableOf(id: number): number {
    return this.#outstanding.find((buffer) => buffer.id === id)?.writableBytes ?? 0;
  }

  /** Buffers, and descriptors of them in all, that a used entry with this id returns. */
  protected batchOf(id: number): { readonly buffers: number; readonly slots: number } {
    const at = this.#outstanding.findIndex((buffer) => buffer.id === id);
    if (at < 0) return { buffers: 1, slots: 1 };
    const first = this.setting.inOrder ? 0 : at;
    const returned = this.#outstanding.slice(first, at + 1);
    return { buffers: returned.length, slots: returned.reduce((sum, { descriptors }) => sum + descriptors.length, 0) };
  }

  #areaOf(area: 'descriptor' | 'driver' | 'device'): BenchBuffer {
    return area === 'descriptor' ? this.descriptorArea : area === 'driver' ? this.driverArea : this.deviceArea;
  }
}

/** A segment as a descriptor; WRITE is added where it is writable. */
export function descriptorOf(segment: BenchSegment, flags: number, next: number): RawDescriptor {
  const { buffer, offset = 0, length = buffer.length - offset, isWritable = false } = segment;
  const low = (buffer.low + offset) >>> 0;
  // A buffer of the arena crosses no multiple of 4 GiB but where its device address does.
  const high = low < buffer.low ? buffer.high + 1 : buffer.high;
  return { low, high, length, flags: flags | (isWritable ? VIRTQ_DESC_F_WRITE : 0), next };
}

/** The bytes of a descriptor whose last two fields are `third` and `fourth`. */
export function encode(low: number, high: number, length: number, third: number, fourth: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(DESCRIPTOR_SIZE));
  bytes.setUint32(0, low, true);
  bytes.setUint32(4, high, true);
  bytes.setUint32(8, length, true);
  bytes.setUint16(12, third, true);
  bytes.setUint16(14, fourth, true);
  return new Uint8Array(bytes.buffer);
}

import type { QueueAddresses, QueueLayout } from '../../queue/ring/ring-format.ts';
import type { BenchBuffer, BenchSegment } from './bench-memory.ts';

/** A used entry, as the device wrote it. */
export interface ReturnedBuffer {
  readonly id: number;
  readonly length: number;
  /** Of a packed ring: the flags of the used descriptor. */
  readonly flags: number;
}

/** How {@link ConformRing.add} describes a buffer. */
export interface DescribeOptions {
  /**
   * Descriptors of a split ring to use, in this order; the id of a packed one. Without it those that are free, from
   * the first on.
   */
  readonly at?: readonly number[];
  /** Puts the segments into an indirect table; with a number, those from that one on, behind the others. */
  readonly indirect?: boolean | number;
  /** Flags to add to the descriptor that refers to the table. */
  readonly tableFlags?: number;
}

/** One field of a descriptor, whatever it holds. `next` is the id of a packed descriptor. */
export interface RawDescriptor {
  readonly low: number;
  readonly high: number;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/**
 * A ring that a case writes. `add`, `publish`, `kick` and `take` are those of a driver that follows the rules; the
 * others write and read any field. Nothing is checked here: that is the case's part.
 */
export interface ConformRing {
  readonly layout: QueueLayout;
  readonly index: number;
  readonly size: number;
  readonly addresses: QueueAddresses;
  /** The three areas, to name them in messages and to point descriptors at them. */
  readonly descriptorArea: BenchBuffer;
  readonly driverArea: BenchBuffer;
  readonly deviceArea: BenchBuffer;
  /** Buffers that were added and did not come back. */
  readonly outstanding: number;
  /** The position of the next buffer to be made available: an index, or a slot with its wrap counter in bit 15. */
  readonly nextAvailable: number;
  /** The position of the next used entry. */
  readonly nextUsed: number;

  /** Describes a buffer behind those that are available, and returns its id. The device does not see it yet. */
  add(segments: readonly BenchSegment[], options?: DescribeOptions): number;
  /** Shows what was added. */
  publish(): void;
  /** Notifies the device. */
  kick(): void;
  /** Adds, publishes and kicks. */
  give(segments: readonly BenchSegment[], options?: DescribeOptions): number;
  /** The next used entry, or `undefined` where there is none yet. Its descriptors are free again. */
  take(): ReturnedBuffer | undefined;
  /** Waits for a used entry, and takes it; a device that never returns one hangs. */
  takeNext(milliseconds?: number): Promise<ReturnedBuffer>;

  /** Asks for a notification with every used buffer, or for none. */
  wantNotifications(isWanted: boolean): void;
  /** With EVENT_IDX: asks for a notification when the used entry at this position is written. */
  wantNotificationAt(position: number): void;
  /** Whether the device wants to be told of what was published last. */
  wantsKick(): boolean;

  /** Writes a descriptor of the ring. */
  describe(index: number, descriptor: RawDescriptor): void;
  /** Writes an entry of a table in `buffer`. */
  describeIn(buffer: BenchBuffer, index: number, descriptor: RawDescriptor): void;
  /** Writes 16 bits of an area at a byte offset, in one access. */
  poke(area: 'descriptor' | 'driver' | 'device', offset: number, value: number): void;
  /** Reads 16 bits of an area at a byte offset, in one access. */
  peek(area: 'descriptor' | 'driver' | 'device', offset: number): number;
  /** Split: writes an entry of the available ring, and counts it as added. */
  pushHead(head: number): void;
  /** Packed: writes a descriptor at the next position, available, and goes on by one slot. */
  pushSlot(descriptor: RawDescriptor): void;
  /** The ring in a few lines, as both ends left it. */
  inspect(): readonly string[];
}

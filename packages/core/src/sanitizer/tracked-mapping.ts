import { DmaDirection as Direction, type DmaDirection } from '../dma/dma-region.ts';
import type { Canary } from './canary.ts';
import type { CallStack } from './call-stack.ts';
const WORD = 0x1_0000_0000;
export const NO_CHECKSUM = -1;

/** Whose mapping it is. */
export interface QueueOwner {
  readonly device: string;
  readonly queue: number;
}

/** A buffer mapped for one request, a premapped region, or coherent memory such as a ring. */
export type MappingKind = 'buffer' | 'region' | 'coherent';

export interface TrackedMappingOptions {
  readonly owner: QueueOwner;
  readonly kind: MappingKind;
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  /** Device address: low and high word. */
  readonly low: number;
  readonly high: number;
  /** Whether the device sees a copy. */
  readonly isBounced: boolean;
  readonly mappedAt: CallStack;
  readonly bornMs: number;
  /** Number of the request of which the queue mapped it; 0 where the driver did. */
  readonly request: number;
}

/** All that the sanitizer knows of one mapping, live or given back. */
export class TrackedMapping {
  readonly owner: QueueOwner;
  readonly kind: MappingKind;
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly low: number;
  readonly high: number;
  readonly isBounced: boolean;
  readonly mappedAt: CallStack;
  readonly bornMs: number;
  readonly request: number;
  syncedAt: CallStack | undefined;
  unmappedAt: CallStack | undefined;
  /** Of the bytes of a buffer that the device only reads, since they are its; {@link NO_CHECKSUM} where nothing is to be compared. */
  checksum: number = NO_CHECKSUM;
  /** Bytes from the start that the device wrote, as far as that was seen or said. */
  written = 0;
  /** Of the buffer it is, or was, part of: the descriptor, and the request. -1 for none. */
  descriptor = -1;
  lastRequest = -1;
  /** Whether a reset of the queue took its buffer back. */
  isReset = false;
  /** Whether it was already said that its device address does not lead to its buffer. */
  isAstray = false;
  /** Whether it was already said that it lives too long. */
  isReported = false;

  constructor(options: TrackedMappingOptions) {
    this.owner = options.owner;
    this.kind = options.kind;
    this.address = options.address;
    this.length = options.length;
    this.direction = options.direction;
    this.low = options.low;
    this.high = options.high;
    this.isBounced = options.isBounced;
    this.mappedAt = options.mappedAt;
    this.bornMs = options.bornMs;
    this.request = options.request;
  }

  get deviceReads(): boolean {
    return this.direction !== Direction.FromDevice;
  }

  get deviceWrites(): boolean {
    return this.direction !== Direction.ToDevice;
  }

  get deviceAddress(): bigint {
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }

  /** How far a device address is behind the start. Exact wherever it is near: 2^53 and more is far enough to be wrong by some bytes. */
  offsetOf(low: number, high: number): number {
    return (high - this.high) * WORD + (low - this.low);
  }

  /** Whether it shares a byte of guest memory with a range. */
  overlaps(address: number, length: number): boolean {
    return address < this.address + this.length && this.address < address + length;
  }
}

/** Part of a mapping in one request: what a descriptor says of it. */
export interface TrackedSegment {
  readonly mapping: TrackedMapping;
  readonly owner: QueueOwner;
  readonly address: number;
  readonly length: number;
  /** As its descriptor has it. */
  readonly deviceAddress: bigint;
  readonly isWritable: boolean;
  readonly descriptor: number;
  readonly request: number;
  readonly addedAt: CallStack;
  /** Where the device is to write it, as far as that is known: guest-physical; -1 otherwise. */
  place: number;
  /** What the device is to overwrite there. */
  canary: Canary | undefined;
  /** Of its bytes when it was added, where the device only reads them; {@link NO_CHECKSUM} where nothing is to be compared. */
  checksum: number;
}

import { DmaDirection as Direction, type DmaDirection } from '@virtio-platform/core/dma';
import type { Canary } from './canary.ts';
import type { CallStack } from './call-stack.ts';

const WORD = 0x1_0000_0000;
/** The checksum of a buffer that is not compared. */
export const NO_CHECKSUM = -1;

/** The queue that a mapping belongs to. */
export interface QueueOwner {
  readonly device: string;
  readonly queue: number;
}

/** The kinds of mapping: a buffer for one request, a premapped region, or coherent memory such as a ring. */
export type MappingKind = 'buffer' | 'region' | 'coherent';

/** The facts of a mapping when it is made. */
export type TrackedMappingOptions = Pick<
  TrackedMapping,
  | 'owner'
  | 'kind'
  | 'address'
  | 'length'
  | 'direction'
  | 'low'
  | 'high'
  | 'isBounced'
  | 'mappedAt'
  | 'bornMs'
  | 'request'
>;

/** All that the sanitizer knows of one mapping, live or ended. */
export class TrackedMapping {
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
  /** The number of the request for which the queue mapped it; 0 for a mapping of the driver's own. */
  readonly request: number;
  syncedAt: CallStack | undefined;
  unmappedAt: CallStack | undefined;
  /** The checksum of a buffer that the device only reads, since it was given to the device; or {@link NO_CHECKSUM}. */
  checksum: number = NO_CHECKSUM;
  /** The number of bytes from the start that the device wrote, as far as that was seen or reported. */
  written = 0;
  /** The descriptor and the number of the last request that used it; -1 for none. */
  descriptor = -1;
  lastRequest = -1;
  /** Whether a reset of the queue returned its buffer. */
  isReset = false;
  /** Whether a wrong translation of its device address was reported. */
  isAstray = false;
  /** Whether its age, or its life beyond a reset, was reported. */
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

  /** The distance of a device address from the start, in bytes. Exact below 2^53. */
  offsetOf(low: number, high: number): number {
    return (high - this.high) * WORD + (low - this.low);
  }

  /** Whether it shares a byte of guest memory with a range. */
  overlaps(address: number, length: number): boolean {
    return address < this.address + this.length && this.address < address + length;
  }
}

/** One segment of a request, as its descriptor describes it. */
export interface TrackedSegment {
  readonly mapping: TrackedMapping;
  readonly owner: QueueOwner;
  readonly address: number;
  readonly length: number;
  /** The address in its descriptor. */
  readonly deviceAddress: bigint;
  readonly isWritable: boolean;
  readonly descriptor: number;
  readonly request: number;
  readonly addedAt: CallStack;
  /** The guest-physical address where the device writes it, or -1 where that is unknown. */
  place: number;
  /** The canary that the device is to overwrite there. */
  canary: Canary | undefined;
  /** The checksum of a readable segment when it was added, or {@link NO_CHECKSUM}. */
  checksum: number;
}

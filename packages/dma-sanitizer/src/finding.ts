/**
 * Every kind of finding by its stable code. `check` is the check of the reference: `DD-01` to `DD-23` are those of
 * Linux dma-debug, `DS-a` to `DS-q` those that dma-debug cannot make. `hint` says what to do. `findings.md` has a
 * heading for each.
 */
export const FINDING_KINDS = {
  'DMA-OVERLAP': {
    check: 'DD-01',
    hint: 'give each buffer that the device writes its own cache lines (64 bytes), or unmap one before mapping another',
  },
  'DMA-OVERLAP-COUNT': {
    check: 'DD-02',
    hint: 'unmap buffers when they come back; so many mappings of one cache line are mostly one buffer mapped again',
  },
  'DMA-LEAK': { check: 'DD-03', hint: 'unmap every buffer and release every region before the mapping is disposed' },
  'DMA-UNMAP-INVALID': {
    check: 'DD-04',
    hint: 'unmap only what `map` returned as an id; a negative result is a reason, and nothing is mapped',
  },
  'DMA-UNMAP-UNKNOWN': {
    check: 'DD-05',
    hint: 'unmap each id once, through the mapping that gave it, and release each region once',
  },
  'DMA-UNMAP-LENGTH': {
    check: 'DD-06',
    hint: 'pass to `unmap` how many bytes the device wrote, at most what was mapped',
  },
  'DMA-UNMAP-FUNCTION': {
    check: 'DD-07',
    hint: 'give coherent memory back with `release` of its region, and not with `free` of guest memory',
  },
  'DMA-FREE-ADDRESS': { check: 'DD-08', hint: 'free exactly the address that was allocated' },
  'DMA-UNMAP-COUNT': { check: 'DD-09', hint: 'unmap every segment of a request, not only the first ones' },
  'DMA-UNMAP-DIRECTION': {
    check: 'DD-10',
    hint: 'pass 0 written bytes for a buffer that the device only reads, or map it with the direction it really has',
  },
  'DMA-MAP-UNCHECKED': {
    check: 'DD-11',
    hint: 'test what `map` returns: a negative result means that nothing is mapped',
  },
  'DMA-MAP-UNALLOCATED': {
    check: 'DD-12',
    hint: 'allocate a buffer before it is mapped, and free it after it was unmapped',
  },
  'DMA-MAP-RING': {
    check: 'DD-13',
    hint: 'map buffers only; a ring and its tables are mapped already, and are not data',
  },
  'DMA-SYNC-UNKNOWN': { check: 'DD-14', hint: 'sync only while the buffer is mapped' },
  'DMA-SYNC-RANGE': { check: 'DD-15', hint: 'sync bytes inside the mapping: offsets count from its start' },
  'DMA-SYNC-FOR-CPU': {
    check: 'DD-17',
    hint: 'a buffer that the device only reads has nothing to bring back; map it with the direction it really has',
  },
  'DMA-SYNC-FOR-DEVICE': {
    check: 'DD-18',
    hint: 'what the driver writes to a buffer that the device only writes never arrives; map it in both directions',
  },
  'DMA-SEGMENT-LENGTH': { check: 'DD-20', hint: 'split the buffer into segments that the device takes' },
  'DMA-SEGMENT-BOUNDARY': {
    check: 'DD-21',
    hint: 'split the buffer where the boundary is, or align it so that it crosses none',
  },
  'DMA-MAP-INVALID': {
    check: 'DD-22',
    hint: 'map addresses of guest memory: what `allocate` returned, and no address of another kind',
  },
  'DMA-MAP-SPAN': {
    check: 'DD-23',
    hint: 'map no more than was allocated; the memory behind it is in another allocation',
  },
  'DMA-STALE-READ': {
    check: 'DS-a',
    hint: 'unmap the buffer, or `syncForCpu` what the device wrote, before reading it',
  },
  'DMA-WRITE-WHILE-MAPPED': {
    check: 'DS-b',
    hint: 'write before the buffer is added or after it came back; in between: `syncForCpu`, write, `syncForDevice`',
  },
  'DMA-UNSYNCED-WRITE': {
    check: 'DS-b',
    hint: 'call `syncForDevice` after the last write and before the buffer is added',
  },
  'DMA-CHANGED-WHILE-MAPPED': {
    check: 'DS-b',
    hint: 'look for writes through a view of the raw buffer, and for a device that writes what it should only read',
  },
  'DMA-DEVICE-UNMAPPED': {
    check: 'DS-c',
    hint: 'map before the device is told of the buffer, and unmap after it is done',
  },
  'DMA-DEVICE-BOUNDS': {
    check: 'DS-c',
    hint: 'an IOMMU lets a whole page through; put the right length in the descriptor, and nothing else in the page',
  },
  'DMA-DEVICE-DIRECTION': { check: 'DS-c', hint: 'map the buffer with the direction in which the device uses it' },
  'DMA-DEVICE-WROTE-NOTHING': {
    check: 'DS-p',
    hint: 'look at the faults and for DMA-NOT-TRANSLATED: the write was dropped, or the request failed silently',
  },
  'DMA-OUTSIDE-WRITTEN': {
    check: 'DS-q',
    hint: 'look for a device that writes what was never mapped, and for a driver that writes beside its buffers',
  },
  'DMA-FOREIGN-MAPPING': { check: 'DS-d', hint: 'map a buffer through the mapping of the queue that it is added to' },
  'DMA-RAW-ADDRESS': {
    check: 'DS-d',
    hint: 'describe only what `map` or `writeDeviceAddress` wrote: a physical address works on the identity path alone',
  },
  'DMA-OVERLAP-LINE': {
    check: 'DS-e',
    hint: 'give each buffer that the device writes cache lines of its own (64 bytes), also at its end',
  },
  'DMA-UNMAP-IN-FLIGHT': {
    check: 'DS-f',
    hint: 'unmap a buffer when `takeUsed` returned it, or after a confirmed reset',
  },
  'DMA-DESCRIBED-UNMAPPED': {
    check: 'DS-f',
    hint: 'map before the buffer is added, and release no region that a request uses',
  },
  'DMA-NOT-TRANSLATED': {
    check: 'DS-o',
    hint: 'map before the buffer is added, and describe what `map` wrote; a device may drop the data silently',
  },
  'DMA-FREED-WHILE-MAPPED': { check: 'DS-f', hint: 'unmap first, then free' },
  'DMA-RING-IN-USE': {
    check: 'DS-f',
    hint: 'reset the device (or the queue) and wait until it confirms, before the ring is reset or given back',
  },
  'DMA-FAILED-MAP-USED': {
    check: 'DS-g',
    hint: 'test what `map` returns before the address is used: a failed `map` writes no address',
  },
  'DMA-UNMAP-UNSYNCED': {
    check: 'DS-h',
    hint: 'pass to `unmap` how much the device wrote; where buffers are copied, the rest is lost',
  },
  'DMA-UNINITIALISED': {
    check: 'DS-i',
    hint: 'write all of what is given to the device, or map only what was written',
  },
  'DMA-OLD-CONTENT': {
    check: 'DS-i',
    hint: 'clear a buffer that held something private before the device may write it: bouncing shows it the old bytes',
  },
  'DMA-DOUBLE-FETCH': {
    check: 'DS-j',
    hint: 'copy what the device wrote once, check the copy, and use the copy: the device may change it in between',
  },
  'DMA-LIMIT': { check: 'DS-k', hint: 'ask `limits` of the mapping, and split or align the buffer' },
  'DMA-RESET-LEAK': { check: 'DS-l', hint: 'unmap what was mapped for a buffer when `reset` returns its id' },
  'DMA-TIME-TO-LIVE': { check: 'DS-l', hint: 'unmap the buffer, or `premap` what is used again and again' },
  'DMA-DESCRIPTOR-DIRECTION': {
    check: 'DS-n',
    hint: 'add as writable only what is mapped for the device to write, and as readable only what it may read',
  },
  'DMA-DESCRIPTOR-LENGTH': { check: 'DS-n', hint: 'describe no more bytes than are mapped' },
} as const;

/** The code of a finding. */
export type FindingCode = keyof typeof FINDING_KINDS;

/** A mistake of a driver, as data. */
export interface DmaFinding {
  readonly code: FindingCode;
  /** As in {@link FINDING_KINDS}. */
  readonly check: string;
  /** One sentence: what is wrong. */
  readonly what: string;
  readonly device: string;
  readonly queue: number | undefined;
  /**
   * Id of the buffer in the queue: the index of its first descriptor on a split ring, the buffer id on a packed one.
   */
  readonly descriptor: number | undefined;
  /**
   * The number of the request that the buffer was added for, in the order in which the drivers added them to all their
   * queues, from 1; `undefined` where it is of none, or of several.
   */
  readonly request: number | undefined;
  /** The memory concerned: guest-physical address, bytes, and for whom it is mapped. */
  readonly buffer:
    | {
        readonly address: number;
        readonly length: number;
        readonly direction: 'to-device' | 'from-device' | 'bidirectional' | undefined;
      }
    | undefined;
  readonly deviceAddress: bigint | undefined;
  /**
   * The stacks where the buffer was mapped, added to its queue, last synced, unmapped, and misused: the innermost frame
   * outside of the core and the sanitizer first. Empty where it did not happen.
   */
  readonly mappedAt: readonly string[];
  readonly addedAt: readonly string[];
  readonly syncedAt: readonly string[];
  readonly unmappedAt: readonly string[];
  readonly misusedAt: readonly string[];
  /** What to do. */
  readonly hint: string;
}

/** A buffer that a driver has added, by its id in its queue. */
export interface AddedBuffer {
  readonly queue: number;
  readonly id: number;
}

/** A finding whose buffer the driver may not know yet. */
interface UnsettledFinding {
  readonly finding: DmaFinding;
  readonly bufferOf: () => AddedBuffer | undefined;
}

/** The findings of a run, in order. Keeps the first {@link FindingLog.LIMIT} and counts all. */
export class FindingLog {
  static readonly LIMIT = 256;
  readonly entries: DmaFinding[] = [];
  #count = 0;
  #listener: ((finding: DmaFinding) => void) | undefined;
  #settled: ((finding: DmaFinding, buffer: AddedBuffer | undefined) => void) | undefined;
  #unsettled: UnsettledFinding[] = [];

  get count(): number {
    return this.#count;
  }

  /** Has `listener` told of each finding from here on, in place of an earlier one. */
  watch(listener: (finding: DmaFinding) => void): void {
    this.#listener = listener;
  }

  /**
   * Has `listener` told of each finding from here on, in place of an earlier one, once the driver knows what its buffer
   * is for: a finding while a buffer is being added waits until the driver calls a queue again. `buffer` is that of the
   * finding while its id means no other one.
   */
  watchSettled(listener: (finding: DmaFinding, buffer: AddedBuffer | undefined) => void): void {
    this.#settled = listener;
  }

  /**
   * Takes a finding. `bufferOf` finds its buffer, at once or, where `isAdding`, with the next {@link settle}.
   */
  record(finding: DmaFinding, bufferOf: () => AddedBuffer | undefined, isAdding: boolean): void {
    this.#count++;
    if (this.entries.length < FindingLog.LIMIT) this.entries.push(finding);
    this.#listener?.(finding);
    this.#unsettled.push({ finding, bufferOf });
    if (!isAdding) this.settle();
  }

  /** No buffer is being added: tells of the findings that waited for that. */
  settle(): void {
    if (this.#unsettled.length === 0) return;
    for (const { finding, bufferOf } of this.#unsettled.splice(0)) this.#settled?.(finding, bufferOf());
  }
}

import type { AddressRange } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ByteFlag, ByteShadow } from './byte-shadow.ts';
import { CallStack } from './call-stack.ts';
import { FINDING_KINDS, FindingLog, type AddedBuffer, type FindingCode, type DmaFinding } from './finding.ts';
import { MappingRegistry } from './mapping-registry.ts';
import { NO_CHECKSUM, type QueueOwner, type TrackedMapping, type TrackedSegment } from './tracked-mapping.ts';

/** Options of a {@link DmaSanitizer}. */
export interface SanitizerOptions {
  /** The name of what runs, such as the profile, for findings about limits. */
  readonly name: string;
  /** The time that a buffer may stay mapped without being in a queue, in milliseconds. Default: 10,000. */
  readonly timeToLiveMs?: number;
  /** A monotonic clock in milliseconds. Default: `performance.now`. */
  readonly now?: () => number;
  /** The seed of canaries and of the pattern in unused memory: 32 bits. Default: random. */
  readonly seed?: number;
}

/** The facts of a finding beside its sentence. */
export interface FindingDetails {
  readonly owner?: QueueOwner | undefined;
  readonly device?: string;
  readonly mapping?: TrackedMapping | undefined;
  readonly segment?: TrackedSegment | undefined;
  /** The memory concerned, in place of that of the segment or the mapping. */
  readonly address?: number;
  readonly length?: number;
  readonly deviceAddress?: bigint;
  readonly descriptor?: number;
  readonly mappedAt?: CallStack | undefined;
  /** The mistake was made long before, so the current stack says nothing. */
  readonly isHindsight?: boolean;
}

/** The request that a finding is about. Its descriptor is not known while it is being added. */
interface RequestOfFinding {
  readonly owner: QueueOwner;
  readonly request: number;
  readonly descriptor: number | undefined;
}

const DIRECTIONS = ['bidirectional', 'to-device', 'from-device'] as const;

/**
 * What all parts of a sanitizer share: the shadow of memory, the mappings, the findings, and the current call of the
 * driver.
 */
export class SanitizerState {
  /** The guest's memory itself, whose accesses are not reported. */
  readonly memory: GuestMemory;
  readonly options: Required<SanitizerOptions>;
  readonly findings: FindingLog = new FindingLog();
  readonly shadow: ByteShadow;
  readonly mappings: MappingRegistry = new MappingRegistry();
  /** Whether all accesses of the driver are reported. */
  seesDriver = false;
  /** Whether all accesses of the device are reported. */
  seesDevice = false;
  /**
   * The number of the request that a queue is adding, 0 outside of `add`, and the mappings that it made for it so far.
   */
  request = 0;
  requestMappings: TrackedMapping[] = [];
  /** Whether a queue is taking buffers back. It may then unmap buffers that were in flight. */
  isTakingBack = false;
  readonly #owners = new Map<string, QueueOwner>();
  readonly #enabled = new Set<QueueOwner>();
  /** By queue: the newest request of each descriptor. */
  readonly #newest = new Map<QueueOwner, Map<number, number>>();
  /** By device: the addresses at which its writes are interrupts. */
  readonly #interrupts = new Map<string, readonly AddressRange[]>();
  #lastAdded = { id: -1, request: 0 };
  #requests = 0;
  #ids = 0;
  #lastSearch = 0;

  constructor(memory: GuestMemory, options: SanitizerOptions) {
    this.memory = memory;
    this.options = { timeToLiveMs: 10_000, now: () => performance.now(), seed: randomWord(), ...options };
    this.shadow = new ByteShadow(memory.size);
  }

  /** The one object that stands for a queue. */
  owner(device: string, queue: number): QueueOwner {
    const key = `${queue} ${device}`;
    const owner = this.#owners.get(key) ?? { device, queue };
    this.#owners.set(key, owner);
    return owner;
  }

  isEnabled(owner: QueueOwner): boolean {
    return this.#enabled.has(owner);
  }

  enable(owner: QueueOwner): void {
    this.#enabled.add(owner);
  }

  /** Records that a device stopped using one queue, or all its queues. */
  disable(device: string, queue?: number): void {
    for (const owner of this.#enabled) {
      if (owner.device === device && (queue === undefined || owner.queue === queue)) this.#enabled.delete(owner);
    }
  }

  setInterrupts(device: string, ranges: readonly AddressRange[]): void {
    this.#interrupts.set(device, ranges);
  }

  interruptsOf(device: string): readonly AddressRange[] {
    return this.#interrupts.get(device) ?? [];
  }

  nextId(): number {
    this.#ids = (this.#ids + 1) % 0x7fff_ffff;
    return this.#ids;
  }

  nextRequest(): number {
    return ++this.#requests;
  }

  /** Records the descriptor of the current request. */
  noteAdded(owner: QueueOwner, descriptor: number): void {
    const { request } = this;
    const newest = this.#newest.get(owner) ?? new Map<number, number>();
    this.#newest.set(owner, newest.set(descriptor, request));
    this.#lastAdded = { id: descriptor, request };
  }

  /** Records the end of a mapping. Its bytes return to the driver, but for those that another mapping contains too. */
  release(mapping: TrackedMapping, at: CallStack): void {
    const { address, length, written } = mapping;
    this.mappings.release(mapping, at);
    const { Owned, Stale, Unsynced, Shared, Fetched, DeviceOnly, Written } = ByteFlag;
    this.shadow.clear(address, length, Owned | Stale | Unsynced | Shared | Fetched | DeviceOnly);
    if (mapping.deviceWrites) this.shadow.set(address, Math.min(written, length), Written);
    for (const other of this.mappings.overlapping(address, length)) {
      if (other.kind === 'buffer') this.shadow.set(other.address, other.length, Owned);
    }
  }

  /** Reports a buffer that the device only reads and that changed since it was given to the device. */
  compareChecksum(part: TrackedMapping | TrackedSegment): void {
    const { address, length, checksum } = part;
    if (checksum === NO_CHECKSUM || checksum === this.checksum(address, length)) return;
    part.checksum = NO_CHECKSUM;
    const what = 'a buffer that the device only reads changed while the device had it';
    this.report('DMA-CHANGED-WHILE-MAPPED', what, 'mapping' in part ? { segment: part } : { mapping: part });
  }

  /** FNV-1a over a range of guest memory. */
  checksum(address: number, length: number): number {
    const { u8 } = this.memory;
    let hash = 0x811c_9dc5;
    for (let at = address, end = address + length; at < end; at++) hash = Math.imul(hash ^ u8[at]!, 0x0100_0193);
    return hash >>> 0;
  }

  /** Reports buffers that are mapped too long. It searches at most four times in the time that a buffer may live. */
  reportOldMappings(): void {
    const now = this.options.now();
    const { timeToLiveMs } = this.options;
    if (now - this.#lastSearch < timeToLiveMs / 4) return;
    this.#lastSearch = now;
    for (const mapping of this.mappings.live) {
      const age = now - mapping.bornMs;
      if (mapping.kind !== 'buffer' || mapping.isReported || age < timeToLiveMs) continue;
      if (this.mappings.inFlight(mapping) !== undefined) continue;
      mapping.isReported = true;
      const what = `a buffer that is in no queue is mapped for ${Math.round(age)} ms, longer than ${timeToLiveMs}`;
      this.report('DMA-TIME-TO-LIVE', what, { mapping });
    }
  }

  /** Records a finding. The caller's stack is where the mistake was made. */
  report(code: FindingCode, what: string, details: FindingDetails): void {
    const { segment, mapping = segment?.mapping } = details;
    const owner = details.owner ?? segment?.owner ?? mapping?.owner;
    const { check, hint } = FINDING_KINDS[code];
    const descriptor = details.descriptor ?? segment?.descriptor ?? mapping?.descriptor ?? -1;
    const of = this.#requestOf(details);
    const finding = {
      code,
      check,
      what,
      device: details.device ?? owner?.device ?? '',
      queue: owner?.queue,
      descriptor: descriptor < 0 ? undefined : descriptor,
      request: of?.request,
      buffer: bufferOf(details, mapping),
      deviceAddress: details.deviceAddress ?? deviceAddressOf(segment, mapping),
      mappedAt: (details.mappedAt ?? mapping?.mappedAt)?.frames ?? [],
      addedAt: segment?.addedAt.frames ?? [],
      syncedAt: mapping?.syncedAt?.frames ?? [],
      unmappedAt: mapping?.unmappedAt?.frames ?? [],
      misusedAt: details.isHindsight === true ? [] : new CallStack().frames,
      hint,
    };
    this.findings.record(finding, () => of && this.#bufferOf(of), this.request > 0);
  }

  /** The request that is being added, or that the memory belongs to. A region serves many: there the bytes tell. */
  #requestOf(details: FindingDetails): RequestOfFinding | undefined {
    const { segment, mapping = segment?.mapping, address } = details;
    const owner = details.owner ?? segment?.owner ?? mapping?.owner;
    if (segment !== undefined) return segment;
    if (this.request > 0) return owner && { owner, request: this.request, descriptor: undefined };
    if (mapping?.kind === 'buffer' && mapping.lastRequest > 0)
      return { owner: mapping.owner, request: mapping.lastRequest, descriptor: mapping.descriptor };
    if (mapping === undefined || address === undefined) return undefined;
    const user = this.mappings.segmentAt(address);
    return user?.mapping === mapping ? user : undefined;
  }

  /** The buffer of a request, while its descriptor is that of no later one. */
  #bufferOf({ owner, request, descriptor }: RequestOfFinding): AddedBuffer | undefined {
    const { request: last, id: lastId } = this.#lastAdded;
    const id = descriptor ?? (last === request ? lastId : undefined);
    if (id === undefined || this.#newest.get(owner)?.get(id) !== request) return undefined;
    return { queue: owner.queue, id };
  }
}

function randomWord(): number {
  return Math.floor(Math.random() * 0x1_0000_0000);
}

function bufferOf(details: FindingDetails, mapping: TrackedMapping | undefined): DmaFinding['buffer'] {
  const part = details.segment ?? mapping;
  const address = details.address ?? part?.address;
  const length = details.length ?? part?.length;
  if (address === undefined || length === undefined) return undefined;
  return { address, length, direction: mapping === undefined ? undefined : DIRECTIONS[mapping.direction] };
}

function deviceAddressOf(segment: TrackedSegment | undefined, mapping: TrackedMapping | undefined): bigint | undefined {
  if (mapping === undefined) return undefined;
  return mapping.deviceAddress + BigInt(segment === undefined ? 0 : segment.address - mapping.address);
}

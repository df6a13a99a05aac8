import type { TraceEvent } from '@virtio-platform/trace';
import type { ReportedRun } from '../reported-run.ts';

/** The most mappings that the map shows beside regions. */
const MOST_MAPPED = 64;
/** Mappings that are not further apart are one block, where both their addresses are. */
const PAGE = 4096n;

/** Memory that the device reaches: a mapping or a region, or several that lie side by side. */
export interface MappedBlock {
  /** `premapped`: buffers that are mapped once; `coherent`: rings and tables; `streaming`: buffers of requests. */
  readonly kind: 'premapped' | 'coherent' | 'streaming';
  readonly queue: number;
  readonly deviceAddress: bigint;
  /** Guest-physical. */
  readonly address: bigint;
  /** Bytes. */
  readonly length: bigint;
  /** The mappings that it consists of. */
  readonly mappings: number;
}

/** An access of the device that was refused. */
export interface RefusedAccess {
  readonly deviceAddress: bigint;
  readonly length: number;
  readonly access: string;
  readonly cause: string;
}

/** Device addresses against guest memory, at one moment of a run. */
export interface AddressMap {
  readonly blocks: readonly MappedBlock[];
  /** Streaming mappings at that moment; `blocks` have the first of them where they are many. */
  readonly streaming: number;
  readonly moment: string;
  readonly refused: readonly RefusedAccess[];
}

/** The live mappings while events are read. */
class LiveMappings {
  readonly #live = new Map<string, MappedBlock>();
  #most: readonly MappedBlock[] = [];

  get now(): readonly MappedBlock[] {
    return [...this.#live.values()];
  }

  /** When most were live. */
  get most(): readonly MappedBlock[] {
    return this.#most.length > this.#live.size ? this.#most : this.now;
  }

  /** What is mapped is not known any more. */
  forget(): void {
    if (this.#live.size > this.#most.length) this.#most = this.now;
    this.#live.clear();
  }

  map(event: TraceEvent): void {
    this.#live.set(keyOf(event), blockOf(event, 'streaming'));
  }

  unmap(event: TraceEvent): void {
    if (this.#live.size > this.#most.length) this.#most = this.now;
    this.#live.delete(keyOf(event));
  }
}

/** The map of a run: as it was at the first fault, at the end of a run that failed, or when most was mapped. */
export function addressMap({ recording, report }: ReportedRun): AddressMap {
  const events = recording?.events ?? [];
  const faultAt = events.find(({ kind }) => kind === 'fault')?.index;
  const regions = new Map<string, MappedBlock>();
  const live = new LiveMappings();
  let atFault: readonly MappedBlock[] | undefined;
  let next = events[0]?.index ?? 0;
  for (const event of events) {
    const { index, kind, id } = event;
    // What was unmapped between events that are apart is not known.
    if (index !== next) live.forget();
    next = index + 1;
    if (index === faultAt) atFault = live.now;
    if (kind === 'premap') regions.set(regionKey(event), blockOf(event, 'premapped'));
    else if (kind === 'coherent') regions.set(regionKey(event), blockOf(event, 'coherent'));
    else if (kind === 'map' && id >= 0) live.map(event);
    else if (kind === 'unmap') live.unmap(event);
  }
  const isFailed = report.outcome === 'failed' && live.now.length > 0;
  const streaming = atFault ?? (isFailed ? live.now : live.most);
  const moment =
    atFault !== undefined ? 'at the first fault' : isFailed ? 'when the run failed' : 'when most was mapped';
  const merged = mergeBlocks(streaming);
  return {
    blocks: [...regions.values(), ...merged.slice(0, MOST_MAPPED)],
    streaming: streaming.length,
    moment,
    refused: refusedAccesses(report),
  };
}

function refusedAccesses({ faults, recorded }: ReportedRun['report']): RefusedAccess[] {
  const seen = new Map<string, RefusedAccess>();
  for (const { address, length, access, cause } of [...faults, ...recorded]) {
    const deviceAddress = BigInt(address);
    if (!seen.has(address)) seen.set(address, { deviceAddress, length, access, cause });
  }
  return [...seen.values()].slice(0, 8);
}

function keyOf({ queue, id }: TraceEvent): string {
  return `${queue}:${id}`;
}

function regionKey({ queue, deviceAddress, address }: TraceEvent): string {
  return `${queue}:${deviceAddress}:${address}`;
}

function blockOf(event: TraceEvent, kind: MappedBlock['kind']): MappedBlock {
  const { queue, deviceAddress, address, length } = event;
  return { kind, queue, deviceAddress, address: BigInt(address ?? 0), length: BigInt(length), mappings: 1 };
}

/** Makes one block of those that lie side by side in both address spaces. */
function mergeBlocks(blocks: readonly MappedBlock[]): MappedBlock[] {
  const merged: MappedBlock[] = [];
  for (const block of blocks.toSorted((a, b) => (a.deviceAddress < b.deviceAddress ? -1 : 1))) {
    const last = merged.at(-1);
    const offset = block.deviceAddress - block.address;
    const isBeside =
      last !== undefined &&
      last.queue === block.queue &&
      last.deviceAddress - last.address === offset &&
      block.deviceAddress <= last.deviceAddress + last.length + PAGE;
    if (!isBeside) merged.push(block);
    else {
      const end = block.deviceAddress + block.length - last.deviceAddress;
      const length = end > last.length ? end : last.length;
      merged[merged.length - 1] = { ...last, length, mappings: last.mappings + 1 };
    }
  }
  return merged;
}

import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { RequestMistake } from '@virtio-platform/core';
import {
  BorrowedRing,
  DescriptorChain,
  DESCRIPTOR_SIZE,
  openDescriptorTable,
  type DescriptorTable,
} from '@virtio-platform/core/queue';
import { ringAreaBytes } from '@virtio-platform/vhost-user';
import type { RingSetup } from '../device/served-queue.ts';
import { ChainScan, hexOf } from './chain-scan.ts';
import type { FindingPlace } from './driver-finding.ts';
import type { DriverFindings } from './driver-findings.ts';
import type { DriverRuleCode } from './driver-rules.ts';
import {
  changedEntry,
  changedPart,
  copyParts,
  followWrite,
  type DescriptorCopy,
  type OwnedBuffer,
  type OwnedDescriptor,
  type OwnedTable,
} from './owned-buffer.ts';

/** What a ring is scanned for. */
export interface ScanOptions {
  readonly findings: DriverFindings;
  readonly queue: number;
  readonly setup: RingSetup;
  /** Entries of the longest indirect table that the device takes. */
  readonly longestTable: number;
  /** Whether addresses are I/O virtual: then the bytes of buffers are not copied, which would ask for translations. */
  readonly isTranslated: boolean;
  /** What is wrong with the request in a buffer. */
  readonly checkRequest: (chain: DescriptorChain) => RequestMistake | undefined;
}

const REQUEST_KIND = {
  header: 'HEADER',
  status: 'STATUS',
  length: 'LENGTH',
  range: 'RANGE',
  feature: 'FEATURE',
  value: 'VALUE',
  direction: 'DIRECTION',
} as const;

/** Bytes of buffers and tables of a queue that are copied at once. */
const MOST_COPIED = 2 ** 24;

/**
 * Looks at a ring beside the device's end of it, as soon as something became available: which rules the driver broke,
 * and what it changes afterwards. Each buffer is the device's from then on until the device shows it as used. Slow, and
 * for nothing but to find mistakes: the device's end checks all that could harm the device.
 */
export abstract class RingScan {
  protected readonly options: ScanOptions;
  protected readonly space: DeviceAddressSpace;
  /** By descriptor: {@link OwnedBuffer.serial} of the buffer that has it, or 0. */
  protected readonly owners: Uint32Array;
  /** Whether the ring broke a rule behind which nothing of it is understood. */
  protected isBroken = false;
  readonly #ring: BorrowedRing;
  readonly #owned = new Map<number, OwnedBuffer>();
  /** Buffers that were returned and not shown. */
  readonly #returned: number[] = [];
  #place: FindingPlace;
  #copied = 0;
  #serial = 0;

  constructor(space: DeviceAddressSpace, options: ScanOptions) {
    const { layout, size, words } = options.setup;
    this.options = options;
    this.space = space;
    this.owners = new Uint32Array(size);
    this.#place = { queue: options.queue };
    const [, driverBytes, deviceBytes] = ringAreaBytes(layout, size);
    const access = layout === 'packed' ? 'write' : 'read';
    const addresses = { size, words: Uint32Array.from(words) };
    this.#ring = new BorrowedRing(space, addresses, access, driverBytes, deviceBytes);
  }

  /** The part of the ring that is looked at right now: where an access that is refused comes from. */
  get place(): FindingPlace {
    return this.#place;
  }

  /** Whether the driver broke a rule of the ring behind which nothing is understood. */
  get hasBroken(): boolean {
    return this.isBroken;
  }

  /** Buffers that are the device's. */
  get ownedCount(): number {
    return this.#owned.size;
  }

  /** Looks at all that became available since the last call. */
  scan(): void {
    if (this.isBroken || this.options.findings.failedBy !== undefined || !this.#reach()) return;
    this.scanRing();
    this.#place = { queue: this.options.queue };
  }

  /** The buffer that the device took; `undefined` where it was not understood. */
  owned(id: number): OwnedBuffer | undefined {
    return this.#owned.get(id);
  }

  /** Where an address is described: by buffer `first`, or by any other that is the device's. */
  placeOf(address: number, first: number): FindingPlace | undefined {
    const buffers = [this.#owned.get(first), ...this.#owned.values()];
    for (const buffer of buffers) {
      const part = buffer?.parts.find((each) => address >= each.address && address < each.address + each.length);
      if (buffer === undefined || part === undefined) continue;
      return { queue: this.options.queue, buffer: buffer.id, descriptor: part.index, isInTable: part.isInTable };
    }
    return undefined;
  }

  /** Has what is refused from here on counted for a part of a buffer. */
  lookAt(place: FindingPlace): void {
    this.#place = { queue: this.options.queue, ...place };
  }

  /** The device returns a buffer: it is compared, and stays the device's until {@link shown}. */
  returned(id: number): void {
    const buffer = this.#owned.get(id);
    if (buffer === undefined) return;
    this.#compare(buffer);
    this.#returned.push(id);
    this.passed(buffer.slots);
  }

  /** The device shows all that it returned: the driver may use it again. */
  shown(): void {
    for (const id of this.#returned) {
      const buffer = this.#owned.get(id);
      if (buffer === undefined) continue;
      this.#owned.delete(id);
      this.#copied -= copiedBytes(buffer);
      for (const { index } of buffer.descriptors) if (this.owners[index] === buffer.serial) this.owners[index] = 0;
    }
    this.#returned.length = 0;
  }

  /** Compares all buffers that the device has with what they were. */
  compareAll(): void {
    if (this.isBroken || !this.#reach()) return;
    for (const buffer of this.#owned.values()) this.#compare(buffer);
  }

  /** The device wrote to memory. */
  follow(address: number, source: Uint8Array, at: number, length: number, isWhole: boolean): void {
    for (const buffer of this.#owned.values()) followWrite(buffer, address, source, at, length, isWhole);
  }

  /** The ring's areas are at these offsets of the memory of {@link space}. */
  protected abstract openAt(descriptor: number, driver: number, device: number): void;

  /** Takes what became available as {@link own}. */
  protected abstract scanRing(): void;

  /** A descriptor of the ring as it is. */
  protected abstract descriptorAt(index: number): DescriptorCopy;

  /** The device's end goes on behind so many entries: of a packed ring they are the driver's to write. */
  protected abstract passed(slots: number): void;

  /** Records that the driver broke a rule, and that the ring is not understood any more. Returns false. */
  protected break(code: DriverRuleCode, what: string, place: FindingPlace = {}): false {
    this.tell(code, what, place);
    this.isBroken = true;
    return false;
  }

  /** Records that the driver broke a rule. */
  protected tell(code: DriverRuleCode, what: string, place: FindingPlace = {}): void {
    this.options.findings.record(code, `queue ${this.options.queue}: ${what}`, { queue: this.options.queue, ...place });
  }

  /** A chain whose mistakes are those of buffer `id`. */
  protected openChain(id: number | undefined): ChainScan {
    return new ChainScan((code, what, place) => this.break(code, what, { buffer: id, ...place }));
  }

  /** Takes a buffer for the device's. */
  protected own(
    id: number,
    slots: number,
    chain: ChainScan,
    descriptors: readonly OwnedDescriptor[],
    table: OwnedTable | undefined,
  ): void {
    const serial = ++this.#serial;
    const { generation } = this.space;
    const budget = this.options.isTranslated ? -1 : MOST_COPIED - this.#copied;
    const parts =
      budget < 0
        ? chain.parts.map((part) => ({ ...part, bytes: new Uint8Array(0), isKnown: false }))
        : copyParts(chain.parts, this.space, budget, ({ index, isInTable }) =>
            this.lookAt({ buffer: id, descriptor: index, isInTable }),
          );
    const buffer = { id, serial, slots, descriptors, table, parts, generation, isChanged: false };
    for (const { index } of descriptors) this.owners[index] = serial;
    this.#owned.set(id, buffer);
    this.#copied += copiedBytes(buffer);
    this.lookAt({ buffer: id });
    this.#check(buffer);
  }

  /** Reads an indirect table whose length is right so far. `undefined` where it breaks a rule or is not reachable. */
  protected readTable(
    id: number | undefined,
    index: number,
    { low, high, length }: DescriptorCopy,
  ): OwnedTable | undefined {
    const place = { buffer: id, descriptor: index };
    const entries = length / DESCRIPTOR_SIZE;
    const { setup, longestTable } = this.options;
    if (!setup.indirect) {
      this.break('DRV-INDIRECT-FEATURE', `descriptor ${index} has VIRTQ_DESC_F_INDIRECT`, place);
      return undefined;
    }
    if (!Number.isInteger(entries) || entries === 0) {
      this.break('DRV-INDIRECT-LENGTH', `descriptor ${index} has a table of ${length} bytes`, place);
      return undefined;
    }
    const long = `descriptor ${index} has a table of ${entries} entries in a queue of ${setup.size}`;
    if (entries > longestTable) {
      this.break('DRV-CHAIN-LONG', `${long}; the device takes ${longestTable}`, place);
      return undefined;
    }
    if (entries > setup.size) this.tell('DRV-TABLE-LONG', long, place);
    const bytes = new Uint8Array(length);
    this.lookAt(place);
    if (this.space.read(low, high, bytes, 0, length)) return { low, high, bytes };
    this.break('DRV-RING-UNREACHABLE', `the indirect table at ${hexOf(low, high)} is not reachable`, place);
    return undefined;
  }

  /** The entries of a table that was read. */
  protected entriesOf({ bytes }: OwnedTable): DescriptorTable {
    return openDescriptorTable('little', { u16: new Uint16Array(bytes.buffer), u32: new Uint32Array(bytes.buffer) }, 0);
  }

  #reach(): boolean {
    const result = this.#ring.reach();
    if (result === 'moved') this.openAt(this.#ring.descriptor, this.#ring.driver, this.#ring.device);
    return result !== 'unreachable';
  }

  #check({ id, parts }: OwnedBuffer): void {
    const chain = new DescriptorChain(Math.max(1, parts.length));
    chain.clear(id);
    for (const { low, high, length, isWritable } of parts) chain.append(low, high, length, isWritable, parts.length);
    const mistake = this.options.checkRequest(chain);
    if (mistake === undefined) return;
    const { kind, clause, what, segment = 0 } = mistake;
    const { index: descriptor, isInTable = false } = parts[segment] ?? {};
    this.tell(`DRV-REQUEST-${REQUEST_KIND[kind]}`, `a request ${what}`, { buffer: id, descriptor, isInTable, clause });
  }

  #compare(buffer: OwnedBuffer): void {
    if (buffer.isChanged || !this.#reach()) return;
    const { id } = buffer;
    const what = `while the device has buffer ${id}`;
    const descriptor = buffer.descriptors.find(
      (copy) => this.owners[copy.index] === buffer.serial && !isSame(copy, this.descriptorAt(copy.index)),
    );
    if (descriptor !== undefined) {
      buffer.isChanged = true;
      const { index } = descriptor;
      const now = this.descriptorAt(index);
      const change = `${describe(descriptor)} became ${describe(now)}`;
      return this.tell('DRV-DESCRIPTOR-CHANGED', `descriptor ${index} changed ${what}: ${change}`, {
        buffer: id,
        descriptor: index,
      });
    }
    const entry = changedEntry(buffer, this.space);
    if (entry >= 0) {
      buffer.isChanged = true;
      const place = { buffer: id, descriptor: entry, isInTable: true };
      return this.tell('DRV-TABLE-CHANGED', `entry ${entry} of the indirect table changed ${what}`, place);
    }
    const part = changedPart(buffer, this.space);
    if (part === undefined) return;
    buffer.isChanged = true;
    const { index, isInTable, isWritable, low, high, length } = part;
    const bytes = `${length} bytes at ${hexOf(low, high)}, for the device to ${isWritable ? 'write' : 'read'}`;
    this.tell('DRV-BUFFER-CHANGED', `${bytes}, were changed by another ${what}`, {
      buffer: id,
      descriptor: index,
      isInTable,
    });
  }
}

function isSame(one: DescriptorCopy, other: DescriptorCopy): boolean {
  return (
    one.low === other.low &&
    one.high === other.high &&
    one.length === other.length &&
    one.flags === other.flags &&
    one.next === other.next
  );
}

function describe({ low, high, length, flags }: DescriptorCopy): string {
  return `${length} bytes at ${hexOf(low, high)} with flags 0x${flags.toString(16)}`;
}

function copiedBytes({ parts, table }: OwnedBuffer): number {
  return parts.reduce((sum, { bytes }) => sum + bytes.length, table?.bytes.length ?? 0);
}

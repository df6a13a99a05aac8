import type { DeviceFault } from '../../address-space/fault-log.ts';
import type { AddressRange } from '../address-range.ts';
import type { DmaMapping } from '../dma-mapping.ts';
import type { DomainParts, RunningDomain } from './domain-parts.ts';
import type { TranslationCaches } from './invalidated-domain.ts';
import type { RequesterTables } from './requester-tables.ts';

/** The domain of the device, behind an IOMMU that the driver's kernel has started. */
export interface IommuDomain<Fault extends DeviceFault> {
  /** Opens the mapping of a queue. `capacity` is how many mappings can live at once. */
  openMapping(capacity: number): DmaMapping;
  /** Whether addresses are physical ones: probes the mapping and reads the tables. Cold. */
  isIdentity(): boolean;
  /** Whether it maps all of guest memory, at physical addresses. */
  readonly reachesAllMemory: boolean;
  /** The I/O virtual addresses of the domain; `undefined` where device addresses are physical ones. */
  readonly range?: AddressRange | undefined;
  /** Bytes of I/O virtual addresses that stay unused because the device may still use them. */
  readonly keptBytes: number;
  /** The faults of the device of which the unit told since the last call. */
  takeFaults(): Fault[];
  /** Stops the unit and frees the tables. Keeps them if the unit does not confirm the stop: it may still walk them. */
  close(): void;
}

/** A unit that walks tables in guest memory, as its driver has it. */
export interface TableUnit extends TranslationCaches {
  readonly isTranslating: boolean;
  /** Returns whether the unit confirmed that it stopped. */
  stop(): boolean;
}

/** What {@link TableUnitDomain} is made of. */
export interface TableUnitParts<Fault extends DeviceFault> {
  readonly unit: TableUnit;
  readonly parts: DomainParts;
  /** The tables that lead to the domain. */
  readonly requesters: RequesterTables;
  readonly takeFaults: () => Fault[];
}

/** The domain of a unit that walks tables in guest memory. The unit runs; the domain stops it. */
export class TableUnitDomain<Fault extends DeviceFault> implements IommuDomain<Fault> {
  readonly reachesAllMemory: boolean;
  readonly range: AddressRange | undefined;
  readonly #made: TableUnitParts<Fault>;
  readonly #running: RunningDomain;

  constructor(made: TableUnitParts<Fault>) {
    const { unit, parts, requesters } = made;
    this.#made = made;
    this.#running = parts.open(unit, requesters);
    this.reachesAllMemory = this.#running.reachesAllMemory;
    this.range = parts.range;
  }

  openMapping(capacity: number): DmaMapping {
    return this.#running.openMapping(capacity);
  }

  isIdentity(): boolean {
    return this.#made.unit.isTranslating && this.#running.isIdentity();
  }

  get keptBytes(): number {
    return this.#running.domain?.keptBytes ?? 0;
  }

  takeFaults(): Fault[] {
    return this.#made.takeFaults();
  }

  close(): void {
    if (this.#made.unit.stop()) this.free();
  }

  /** Frees the tables of a unit that does not walk them any more. */
  protected free(): void {
    const { parts, requesters } = this.#made;
    this.#running.domain?.close();
    parts.table?.free();
    requesters.free();
  }
}

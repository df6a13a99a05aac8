import type { DeviceFault } from '../address-space/fault-log.ts';
import type { AddressRange } from '../dma/address-range.ts';
import type { DmaMapping, DmaPath, MappingRequest } from '../dma/dma-mapping.ts';
import type { NegotiationRule } from '../negotiation/negotiation.ts';
import type { PlatformTraits } from '../negotiation/platform-traits.ts';
import type { BouncePoolStatistics } from '../dma/bounce/bounce-pools.ts';
import type { LeakRecord } from '../memory/leak-log.ts';
import type { ByteOrder } from '../queue/ring/ring-format.ts';

export type { AddressRange, MappingRequest };

/**
 * Counters of a platform that its reports show, by the thing that they count and then by name: `{ grants: { used: 12,
 * free: 500, inUse: 1 }, bytes: { pinned: 65536 } }`. Names are words; a value is a finite number.
 */
export type PlatformStatistics = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** The statistics of what failed because a profile says so, by kind: none where nothing is to fail. */
export function failureStatistics(failed: Readonly<Record<string, number>> = {}): PlatformStatistics {
  return Object.keys(failed).length === 0 ? {} : { 'failed on purpose': failed };
}

/**
 * The rules a driver lives under: facts, rules of negotiation, and mappings. Platform code is met at exactly two
 * places, map and unmap on the driver's side; the device's side is the machine's.
 */
export interface Platform {
  /** As reports name it: `pseries`. */
  readonly name: string;
  readonly traits: PlatformTraits;
  readonly rules: readonly NegotiationRule[];
  /** Byte order of a legacy ring: the guest's own. */
  readonly guestByteOrder: ByteOrder;

  /**
   * Opens the mapping of one queue for the path that negotiation chose: the mapped path of {@link traits}, or `bounced`
   * where memory is restricted and the device takes the physical addresses of slots. Never called for `physical`.
   * Throws {@link DmaError}.
   */
  openMapping(path: DmaPath, request: MappingRequest): DmaMapping;

  /** What became of the slots that buffers are copied through; `undefined` while there are none. */
  readonly bouncePool?: BouncePoolStatistics | undefined;

  /**
   * What the platform wants to show of itself. Read at the end of a run: the device was reset, buffers and rings were
   * given back, and the mappings are still open.
   */
  readonly statistics?: PlatformStatistics | undefined;

  /**
   * The ranges of addresses that the device has. Interrupts are there from the start and do not change. Windows and
   * pools are read at the end of a run, as {@link statistics}.
   */
  readonly addressRanges?: readonly AddressRange[] | undefined;

  /**
   * What could not be taken back from the device: a page that does not become private again, a grant that is still in
   * use. The addresses stay reserved and the memory unused, and the run's report shows it as leaked. A leak that the
   * platform takes back later leaves the list; the end of the platform takes nothing back. Read after {@link dispose},
   * which may add some.
   */
  readonly leaks?: LeakRecord | undefined;

  /**
   * What the IOMMU itself recorded of the device since the last call, read out of its fault registers, where it has
   * such; cleared there. Hardware drops what it has no room for, so these need not be all. Throws a coded error where
   * the registers are out of reach.
   */
  recordedFaults?(): readonly DeviceFault[];

  /**
   * Has the process of the driver call exec while the device works: another process goes on with the device, and with
   * all that is mapped for it. Throws a coded error where it cannot; then the device is to be reset. Absent where the
   * driver is no such process.
   */
  exec?(): void;

  /** Gives back what the platform holds from the machine. After every mapping was disposed. */
  dispose(): void;
}

import type { FaultCause } from '@virtio-platform/core/address-space';
import { INTERRUPT_REASONS } from './interrupt-format.ts';
import {
  BEYOND_WIDTH,
  CONTEXT_INVALID,
  CONTEXT_NOT_PRESENT,
  CONTEXT_RESERVED,
  CONTEXT_UNREADABLE,
  ENTRY_RESERVED,
  READ_NOT_PERMITTED,
  REQUEST_BLOCKED,
  ROOT_NOT_PRESENT,
  ROOT_RESERVED,
  ROOT_UNREADABLE,
  TABLE_UNREADABLE,
  WRITE_NOT_PERMITTED,
} from './vtd-registers.ts';

/** The reasons of a translation that fails in the page tables. Legacy and scalable mode have numbers of their own. */
export interface TranslationReasons {
  /** The table of the highest level is outside of memory. */
  readonly topUnreadable: number;
  /** A table below it is. */
  readonly unreadable: number;
  readonly reserved: number;
  readonly beyondWidth: number;
  /** An access where nothing is mapped; `undefined` where the mode has no number for it but those of permissions. */
  readonly absent: number | undefined;
  readonly write: number;
  readonly read: number;
}

/** Those of legacy mode. */
export const LEGACY_REASONS: TranslationReasons = {
  topUnreadable: TABLE_UNREADABLE,
  unreadable: TABLE_UNREADABLE,
  reserved: ENTRY_RESERVED,
  beyondWidth: BEYOND_WIDTH,
  absent: undefined,
  write: WRITE_NOT_PERMITTED,
  read: READ_NOT_PERMITTED,
};

/** Those of scalable mode. */
export const SCALABLE_REASONS: TranslationReasons = {
  topUnreadable: 0x7b,
  unreadable: 0x78,
  reserved: 0x7a,
  beyondWidth: 0x84,
  absent: 0x79,
  write: 0x85,
  read: 0x86,
};

/** The reasons of the tables of scalable mode. */
export const SCALABLE_TABLE_REASONS = {
  mode: 0x30,
  rootUnreadable: 0x38,
  rootNotPresent: 0x39,
  rootReserved: 0x3a,
  contextUnreadable: 0x40,
  contextNotPresent: 0x41,
  contextReserved: 0x42,
  directoryUnreadable: 0x50,
  directoryNotPresent: 0x51,
  directoryReserved: 0x52,
  pasidUnreadable: 0x58,
  pasidNotPresent: 0x59,
  pasidReserved: 0x5a,
  pasidInvalid: 0x5b,
} as const;

const TABLES = SCALABLE_TABLE_REASONS;

/** What a reason means (VT-d specification, fault conditions of legacy and scalable mode, and of interrupts). */
interface FaultReason {
  /** Of an access without permission: where anything is mapped at its address. */
  readonly cause: FaultCause;
  readonly detail: string;
}

const REASONS: ReadonlyMap<number, FaultReason> = new Map<number, FaultReason>([
  [ROOT_NOT_PRESENT, { cause: 'unmapped', detail: 'the root entry of the bus is not present' }],
  [CONTEXT_NOT_PRESENT, { cause: 'unmapped', detail: 'the context entry of the device is not present' }],
  [CONTEXT_INVALID, { cause: 'unmapped', detail: 'the context entry of the device is invalid for this unit' }],
  [BEYOND_WIDTH, { cause: 'outside-window', detail: 'the address is wider than the page tables' }],
  [WRITE_NOT_PERMITTED, { cause: 'write-not-permitted', detail: 'a write, and no entry permits it' }],
  [READ_NOT_PERMITTED, { cause: 'read-not-permitted', detail: 'a read, and no entry permits it' }],
  [TABLE_UNREADABLE, { cause: 'iommu-error', detail: 'a page table is not in memory' }],
  [ROOT_UNREADABLE, { cause: 'iommu-error', detail: 'the root table is not in memory' }],
  [CONTEXT_UNREADABLE, { cause: 'iommu-error', detail: 'the context table is not in memory' }],
  [ROOT_RESERVED, { cause: 'iommu-error', detail: 'reserved bits are set in a root entry' }],
  [CONTEXT_RESERVED, { cause: 'iommu-error', detail: 'reserved bits are set in a context entry' }],
  [ENTRY_RESERVED, { cause: 'iommu-error', detail: 'reserved bits are set in a page-table entry' }],
  [REQUEST_BLOCKED, { cause: 'iommu-error', detail: 'a kind of request that the context entry does not allow' }],
  [TABLES.mode, { cause: 'iommu-error', detail: 'the address of the root table names no kind of tables' }],
  [TABLES.rootUnreadable, { cause: 'iommu-error', detail: 'the root table is not in memory' }],
  [TABLES.rootNotPresent, { cause: 'unmapped', detail: 'the root entry of the bus is not present' }],
  [TABLES.rootReserved, { cause: 'iommu-error', detail: 'reserved bits are set in a root entry' }],
  [TABLES.contextUnreadable, { cause: 'iommu-error', detail: 'the context table is not in memory' }],
  [TABLES.contextNotPresent, { cause: 'unmapped', detail: 'the context entry of the device is not present' }],
  [TABLES.contextReserved, { cause: 'iommu-error', detail: 'reserved bits are set in a context entry' }],
  [TABLES.directoryUnreadable, { cause: 'iommu-error', detail: 'the PASID directory is not in memory' }],
  [TABLES.directoryNotPresent, { cause: 'unmapped', detail: 'the entry of the PASID directory is not present' }],
  [TABLES.directoryReserved, { cause: 'iommu-error', detail: 'reserved bits are set in a PASID directory' }],
  [TABLES.pasidUnreadable, { cause: 'iommu-error', detail: 'the PASID table is not in memory' }],
  [TABLES.pasidNotPresent, { cause: 'unmapped', detail: 'the PASID entry of the device is not present' }],
  [TABLES.pasidReserved, { cause: 'iommu-error', detail: 'reserved bits are set in a PASID entry' }],
  [TABLES.pasidInvalid, { cause: 'unmapped', detail: 'the PASID entry of the device is invalid for this unit' }],
  [SCALABLE_REASONS.topUnreadable, { cause: 'iommu-error', detail: 'the highest page table is not in memory' }],
  [SCALABLE_REASONS.unreadable, { cause: 'iommu-error', detail: 'a page table is not in memory' }],
  [SCALABLE_REASONS.reserved, { cause: 'iommu-error', detail: 'reserved bits are set in a page-table entry' }],
  [SCALABLE_REASONS.beyondWidth, { cause: 'outside-window', detail: 'the address is wider than the page tables' }],
  [0x79, { cause: 'unmapped', detail: 'an access, and an entry on its way permits none' }],
  [SCALABLE_REASONS.write, { cause: 'write-not-permitted', detail: 'a write, and no entry permits it' }],
  [SCALABLE_REASONS.read, { cause: 'read-not-permitted', detail: 'a read, and no entry permits it' }],
  ...interrupts([
    [INTERRUPT_REASONS.requestReserved, 'an interrupt, and reserved bits are set in its data'],
    [INTERRUPT_REASONS.beyondTable, 'an interrupt, and its entry is beyond the interrupt remapping table'],
    [INTERRUPT_REASONS.notPresent, 'an interrupt, and its entry of the interrupt remapping table is not present'],
    [INTERRUPT_REASONS.tableUnreadable, 'an interrupt, and the interrupt remapping table is not in memory'],
    [INTERRUPT_REASONS.entryReserved, 'an interrupt, and reserved bits are set in its entry'],
    [INTERRUPT_REASONS.compatibilityFormat, 'an interrupt in compatibility format, which is blocked'],
    [INTERRUPT_REASONS.otherSource, 'an interrupt, and its entry is of another requester'],
  ]),
]);

function interrupts(reasons: readonly (readonly [number, string])[]): [number, FaultReason][] {
  return reasons.map(([reason, detail]) => [reason, { cause: 'interrupt-blocked', detail }]);
}

/** The meaning of a reason; for an unknown one its number. */
export function faultDetail(reason: number): string {
  return REASONS.get(reason)?.detail ?? `unknown reason 0x${reason.toString(16)}`;
}

/**
 * The {@link FaultCause} of a reason. Legacy mode has one number for "not mapped" and "not permitted"; `isMapped`, read
 * from the tables, tells them apart. Invalid tables and unknown reasons are an `iommu-error`.
 */
export function faultCause(reason: number, isMapped: boolean): FaultCause {
  const cause = REASONS.get(reason)?.cause ?? 'iommu-error';
  const isPermission = cause === 'write-not-permitted' || cause === 'read-not-permitted';
  return isPermission && !isMapped ? 'unmapped' : cause;
}

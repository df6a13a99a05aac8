import type { FaultCause } from '@virtio-platform/core/address-space';

/**
 * Type of an event, like all below (Arm IHI 0070, section 7.3): the stream table has no place for the StreamID.
 */
export const C_BAD_STREAMID = 0x02;
/** The stream table entry could not be read. */
export const F_STE_FETCH = 0x03;
/** The stream table entry is not valid, or asks for what the unit does not have. */
export const C_BAD_STE = 0x04;
/** The context descriptor could not be read. */
export const F_CD_FETCH = 0x09;
/** The context descriptor is not valid, or asks for what the unit does not have. */
export const C_BAD_CD = 0x0a;
/** A translation table could not be read. */
export const F_WALK_EABT = 0x0b;
/** Nothing is mapped at the address. */
export const F_TRANSLATION = 0x10;
/** A table leads beyond the physical addresses of the unit. */
export const F_ADDR_SIZE = 0x11;
/** The access flag of the page is clear. */
export const F_ACCESS = 0x12;
/** The page does not permit the access. */
export const F_PERMISSION = 0x13;

const TYPES: ReadonlyMap<number, { readonly cause: FaultCause; readonly detail: string }> = new Map([
  [C_BAD_STREAMID, { cause: 'unmapped', detail: 'the stream table has no entry for the StreamID' }],
  [F_STE_FETCH, { cause: 'iommu-error', detail: 'the stream table entry is not in memory' }],
  [C_BAD_STE, { cause: 'iommu-error', detail: 'the stream table entry is invalid for this unit' }],
  [F_CD_FETCH, { cause: 'iommu-error', detail: 'the context descriptor is not in memory' }],
  [C_BAD_CD, { cause: 'iommu-error', detail: 'the context descriptor is invalid for this unit' }],
  [F_WALK_EABT, { cause: 'iommu-error', detail: 'a translation table is not in memory' }],
  [F_TRANSLATION, { cause: 'unmapped', detail: 'no valid entry for the address' }],
  [F_ADDR_SIZE, { cause: 'iommu-error', detail: 'an entry leads beyond the physical addresses of the unit' }],
  [F_ACCESS, { cause: 'iommu-error', detail: 'the access flag of the entry is clear' }],
  [F_PERMISSION, { cause: 'write-not-permitted', detail: 'the entry does not permit the access' }],
]);

/** The meaning of a type; for an unknown one its number. */
export function eventDetail(type: number): string {
  return TYPES.get(type)?.detail ?? `unknown event 0x${type.toString(16)}`;
}

/** The {@link FaultCause} of a type. Unknown types are an `iommu-error`. */
export function eventCause(type: number, access: 'read' | 'write'): FaultCause {
  const cause = TYPES.get(type)?.cause ?? 'iommu-error';
  return cause === 'write-not-permitted' && access === 'read' ? 'read-not-permitted' : cause;
}

import type { BufferRecord, DescriptorFields, DescriptorInspection } from '../driver/ring-inspection.ts';
import {
  DESCRIPTOR_SIZE,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  type DescriptorTable,
} from '../ring/descriptor-table.ts';

/**
 * The descriptors of a buffer of a split ring: by the driver's record, and as `table` and `tables` have them. Its
 * indirect table begins at entry `first` of `tables` and has the device address `tableWords`. Cold.
 */
export function splitDescriptors(
  { id, isIndirect, segments }: BufferRecord,
  table: DescriptorTable,
  tables: DescriptorTable | undefined,
  first: number,
  tableWords: Uint32Array,
): DescriptorInspection[] {
  const chain = segments.map(({ entry, address, length, room }, i): DescriptorInspection => {
    const next = segments[i + 1]?.entry;
    const flags = (room > 0 ? VIRTQ_DESC_F_WRITE : 0) | (next === undefined ? 0 : VIRTQ_DESC_F_NEXT);
    const written = { address, length, flags, next: next ?? 0 };
    const found = isIndirect ? readDescriptor(tables!, first + entry) : readDescriptor(table, entry);
    return { isIn: isIndirect ? 'table' : 'ring', index: entry, written, found, isChanged: differs(written, found) };
  });
  if (!isIndirect) return chain;
  const address = (BigInt(tableWords[1]!) << 32n) | BigInt(tableWords[0]!);
  const written = { address, length: segments.length * DESCRIPTOR_SIZE, flags: VIRTQ_DESC_F_INDIRECT, next: 0 };
  const found = readDescriptor(table, id);
  return [{ isIn: 'ring', index: id, written, found, isChanged: differs(written, found) }, ...chain];
}

/** A descriptor as memory has it. */
export function readDescriptor(table: DescriptorTable, index: number): DescriptorFields {
  const address = (BigInt(table.high(index)) << 32n) | BigInt(table.low(index));
  return { address, length: table.length(index), flags: table.flags(index), next: table.next(index) };
}

/** Whether two descriptors differ in a field. */
export function differs(one: DescriptorFields, other: DescriptorFields): boolean {
  return (
    one.address !== other.address || one.length !== other.length || one.flags !== other.flags || one.next !== other.next
  );
}

import type { BufferRecord, DescriptorInspection } from '../driver/ring-inspection.ts';
import {
  DESCRIPTOR_SIZE,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  type DescriptorTable,
} from '../ring/descriptor-table.ts';
import { differs, readDescriptor } from '../split/split-descriptors.ts';
import { advance, availableFlags, isAvailable, slotOf } from './packed-layout.ts';
import type { PackedRing } from './packed-ring.ts';

/** Where the descriptors of a packed queue are. */
interface PackedDescriptorMemory {
  readonly ring: PackedRing;
  readonly tables: DescriptorTable | undefined;
  readonly size: number;
}

/**
 * The descriptors of a buffer of a packed ring that was made available at `position`, since when the driver wrote `age`
 * slots: by the driver's record, and as memory has them. Its indirect table begins at entry `first` of the tables and
 * has the device address `tableWords`. Cold.
 */
export function packedDescriptors(
  { id, isIndirect, isOutstanding, segments }: BufferRecord,
  position: number,
  age: number,
  { ring, tables, size }: PackedDescriptorMemory,
  first: number,
  tableWords: Uint32Array,
): DescriptorInspection[] {
  const inRing = (by: number, address: bigint, length: number, flags: number): DescriptorInspection => {
    const at = advance(position, by, size);
    const slot = slotOf(at);
    const written = { address, length, flags: flags | availableFlags(at), next: id };
    const found = {
      address: (BigInt(ring.high(slot)) << 32n) | BigInt(ring.low(slot)),
      length: ring.length(slot),
      flags: ring.flags(slot),
      next: ring.id(slot),
    };
    // A slot that is not available any more belongs to a used buffer, maybe another one; and the driver may have
    // written another buffer there since, as used buffers free slots in the order of the ring.
    const isOwn = isOutstanding && age <= size + by;
    const isChanged = isOwn && isAvailable(found.flags, at) && differs(written, found);
    return { isIn: 'ring', index: slot, written, found, isChanged };
  };
  if (!isIndirect) {
    return segments.map(({ address, length, room }, i) => {
      const flags = (room > 0 ? VIRTQ_DESC_F_WRITE : 0) | (i === segments.length - 1 ? 0 : VIRTQ_DESC_F_NEXT);
      return inRing(i, address, length, flags);
    });
  }
  const table = (BigInt(tableWords[1]!) << 32n) | BigInt(tableWords[0]!);
  const chain = segments.map(({ entry, address, length, room }): DescriptorInspection => {
    // Where a split descriptor has flags and next, a packed one has id and flags.
    const { next: flags, flags: buffer, ...found } = readDescriptor(tables!, first + entry);
    const written = { address, length, flags: room > 0 ? VIRTQ_DESC_F_WRITE : 0, next: 0 };
    const now = { ...found, flags, next: buffer };
    return { isIn: 'table', index: entry, written, found: now, isChanged: differs(written, now) };
  });
  return [inRing(0, table, segments.length * DESCRIPTOR_SIZE, VIRTQ_DESC_F_INDIRECT), ...chain];
}

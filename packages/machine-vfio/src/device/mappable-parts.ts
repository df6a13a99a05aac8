import { findCapability, readWord } from '../kernel/sized-structure.ts';

/** Offsets in struct vfio_region_info, and flags. */
const INFO_FLAGS = 4;
const INFO_FIRST_CAPABILITY = 12;
const FLAG_MMAP = 4;
const FLAG_CAPABILITIES = 8;
/** Only some of the region can be mapped: a count (32 bits), 32 more, then offset and bytes of each part. */
const CAPABILITY_SPARSE = 1;
const PARTS = 8;
const PART_BYTES = 16;
const MOST_PARTS = 16;

/** Part of a region that can be mapped, in bytes from its start. */
export interface MappablePart {
  readonly offset: number;
  readonly size: number;
}

/** Which parts of a region of `size` bytes can be mapped, by what the kernel says of it. A part that is not inside is left out. */
export function mappableParts(info: DataView, size: number): MappablePart[] {
  const flags = info.getUint32(INFO_FLAGS, true);
  if ((flags & FLAG_MMAP) === 0) return [];
  const first = (flags & FLAG_CAPABILITIES) === 0 ? 0 : info.getUint32(INFO_FIRST_CAPABILITY, true);
  const sparse = findCapability(info, first, CAPABILITY_SPARSE, PARTS);
  // Without it, it is all or nothing.
  if (sparse === undefined) return [{ offset: 0, size }];
  const parts: MappablePart[] = [];
  const count = Math.min(sparse.getUint32(0, true), MOST_PARTS, Math.floor((sparse.byteLength - PARTS) / PART_BYTES));
  for (let i = 0; i < count; i++) {
    const part = {
      offset: readWord(sparse, PARTS + i * PART_BYTES),
      size: readWord(sparse, PARTS + i * PART_BYTES + 8),
    };
    if (part.offset + part.size <= size) parts.push(part);
  }
  return parts;
}

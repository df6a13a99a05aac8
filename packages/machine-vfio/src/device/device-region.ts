import { DeviceError } from '@virtio-platform/core';
import type { DeviceFile } from '@virtio-platform/host';
import type { AccessWidth } from '@virtio-platform/pci';
import { errnoName, findCapability, readStructure, readWord } from '../kernel/sized-structure.ts';
import { VFIO_DEVICE_GET_REGION_INFO } from '../kernel/vfio-requests.ts';

/** Size of struct vfio_region_info, offsets in it, and its flags. */
const INFO = {
  bytes: 32,
  flags: 4,
  index: 8,
  firstCapability: 12,
  size: 16,
  offset: 24,
  canMap: 4,
  hasCapabilities: 8,
} as const;
/** A list of the parts that can be mapped: a count (32 bits), 32 unused bits, then offset and size of each part. */
const CAPABILITY_SPARSE = 1;
const PARTS = 8;
const PART_BYTES = 16;
const MOST_PARTS = 16;

/** A part of a region that can be mapped, in bytes from the start of the region. */
export interface MappablePart {
  readonly offset: number;
  readonly size: number;
}

/** The place of a region in the file of its device, in bytes, and the parts of it that can be mapped. */
export interface RegionLayout {
  /** 0 where the device does not have the region. */
  readonly size: number;
  readonly offset: number;
  readonly mappable: readonly MappablePart[];
}

/** One region of a VFIO device, which the kernel accesses. The caller keeps and closes the device file. */
export class DeviceRegion {
  readonly layout: RegionLayout;
  readonly #file: DeviceFile;
  readonly #name: string;
  readonly #bytes = new DataView(new ArrayBuffer(4));
  /** By width: an array over the first bytes of {@link #bytes}. */
  readonly #parts: readonly Uint8Array[] = [0, 1, 2, 3, 4].map((width) => new Uint8Array(this.#bytes.buffer, 0, width));

  /** `name` is the name of the device in messages. */
  constructor(file: DeviceFile, name: string, layout: RegionLayout) {
    this.#file = file;
    this.#name = name;
    this.layout = layout;
  }

  /** Reads the layout of region `index` from the kernel. Throws {@link CodedError}. */
  static find(file: DeviceFile, name: string, index: number): DeviceRegion {
    const info = readStructure(file, VFIO_DEVICE_GET_REGION_INFO, {
      bytes: INFO.bytes,
      doing: `ask ${name} for region ${index}`,
      fill: (structure) => structure.setUint32(INFO.index, index, true),
    });
    const size = readWord(info, INFO.size);
    const layout = { size, offset: readWord(info, INFO.offset), mappable: mappableParts(info, size) };
    return new DeviceRegion(file, name, layout);
  }

  /** Reads a register. Throws {@link DeviceError} `ERR_DEVICE_LOST`, and `RangeError` outside of the region. */
  read(offset: number, width: AccessWidth): number {
    const bytes = this.#parts[width]!;
    this.#check(this.#file.read(bytes, this.#at(offset, width)), width);
    return width === 1 ? bytes[0]! : width === 2 ? this.#bytes.getUint16(0, true) : this.#bytes.getUint32(0, true);
  }

  /** Writes a register. Throws as {@link read} does. */
  write(offset: number, width: AccessWidth, value: number): void {
    this.#bytes.setUint32(0, value, true);
    this.#check(this.#file.write(this.#parts[width]!, this.#at(offset, width)), width);
  }

  /** Another region follows in the file, so an access outside of this region is refused here. */
  #at(offset: number, width: number): number {
    const { size, offset: start } = this.layout;
    if (offset >= 0 && offset + width <= size) return start + offset;
    throw new RangeError(`bytes ${offset}..${offset + width} of ${size}`);
  }

  #check(result: number, width: number): void {
    if (result === width) return;
    const why = result < 0 ? errnoName(result) : `${result} of ${width} bytes`;
    throw new DeviceError('ERR_DEVICE_LOST', `${this.#name} does not answer: ${why}`, {
      hint: 'it was removed, or its power is off; the kernel log has the reason (dmesg)',
    });
  }
}

/**
 * The parts of a region of `size` bytes that can be mapped, from the region's struct vfio_region_info. Leaves out parts
 * that are not inside the region.
 */
export function mappableParts(info: DataView, size: number): MappablePart[] {
  const flags = info.getUint32(INFO.flags, true);
  if ((flags & INFO.canMap) === 0) return [];
  const first = (flags & INFO.hasCapabilities) === 0 ? 0 : info.getUint32(INFO.firstCapability, true);
  const sparse = findCapability(info, first, CAPABILITY_SPARSE, PARTS);
  // Without a list of parts, all of the region can be mapped.
  if (sparse === undefined) return [{ offset: 0, size }];
  const parts: MappablePart[] = [];
  const count = Math.min(sparse.getUint32(0, true), MOST_PARTS, Math.floor((sparse.byteLength - PARTS) / PART_BYTES));
  for (let i = 0; i < count; i++) {
    const at = PARTS + i * PART_BYTES;
    const part = { offset: readWord(sparse, at), size: readWord(sparse, at + 8) };
    if (part.offset + part.size <= size) parts.push(part);
  }
  return parts;
}

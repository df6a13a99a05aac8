import { DeviceError } from '@virtio-platform/core';
import type { DeviceFile } from '@virtio-platform/host';
import type { AccessWidth } from '@virtio-platform/pci';
import { errnoOf, readStructure, readWord, findCapability } from '../kernel/sized-structure.ts';
import { VFIO_DEVICE_GET_REGION_INFO } from '../kernel/vfio-requests.ts';

/** Offsets in struct vfio_region_info. */
const INFO_BYTES = 32;
const INFO_INDEX = 8;
const INFO_SIZE = 16;
const INFO_OFFSET = 24;

/** Where a region is in the file of its device, in bytes, and which parts of it can be mapped. */
export interface RegionLayout {
  /** 0 where there is none. */
  readonly size: number;
  readonly offset: number;
  readonly mappable: readonly MappablePart[];
}

/** One region of a VFIO device, accessed through the kernel. The file stays its owner's. */
export class DeviceRegion {
  readonly layout: RegionLayout;
  readonly #file: DeviceFile;
  readonly #name: string;
  readonly #bytes = new DataView(new ArrayBuffer(4));
  /** The first bytes of the same memory, by how many. */
  readonly #parts: readonly Uint8Array[] = [0, 1, 2, 3, 4].map((width) => new Uint8Array(this.#bytes.buffer, 0, width));

  /** `name` is that of the device, for messages. */
  constructor(file: DeviceFile, name: string, layout: RegionLayout) {
    this.#file = file;
    this.#name = name;
    this.layout = layout;
  }

  /** Asks the kernel where region `index` is. Throws {@link CodedError}. */
  static find(file: DeviceFile, name: string, index: number): DeviceRegion {
    const info = readStructure(file, VFIO_DEVICE_GET_REGION_INFO, {
      bytes: INFO_BYTES,
      doing: `ask ${name} for region ${index}`,
      fill: (structure) => structure.setUint32(INFO_INDEX, index, true),
    });
    const size = readWord(info, INFO_SIZE);
    const layout = { size, offset: readWord(info, INFO_OFFSET), mappable: mappableParts(info, size) };
    return new DeviceRegion(file, name, layout);
  }

  /** Throws {@link DeviceError} `ERR_DEVICE_LOST`, and `RangeError` outside. */
  read(offset: number, width: AccessWidth): number {
    const bytes = this.#parts[width]!;
    this.#check(this.#file.read(bytes, this.#at(offset, width)), width);
    return width === 1 ? bytes[0]! : width === 2 ? this.#bytes.getUint16(0, true) : this.#bytes.getUint32(0, true);
  }

  /** Throws as {@link read} does. */
  write(offset: number, width: AccessWidth, value: number): void {
    this.#bytes.setUint32(0, value, true);
    this.#check(this.#file.write(this.#parts[width]!, this.#at(offset, width)), width);
  }

  /** Behind one region in the file is another: what is outside must never get that far. */
  #at(offset: number, width: number): number {
    const { size, offset: start } = this.layout;
    if (offset >= 0 && offset + width <= size) return start + offset;
    throw new RangeError(`bytes ${offset}..${offset + width} of ${size}`);
  }

  #check(result: number, width: number): void {
    if (result === width) return;
    const why = result < 0 ? errnoOf(result) : `${result} of ${width} bytes`;
    throw new DeviceError('ERR_DEVICE_LOST', `${this.#name} does not answer: ${why}`, {
      hint: 'it was taken away, or its power is off; the kernel log says more (dmesg)',
    });
  }
}


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

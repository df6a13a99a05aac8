import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { MemoryMapping, type DeviceFile } from '@virtio-platform/host';
import type { AccessWidth, PciBar } from '@virtio-platform/pci';
import type { DeviceRegion, MappablePart, RegionLayout } from './device-region.ts';

/** Bytes of the largest part that is mapped. The registers of a virtio device take a few pages. */
const LARGEST = 2 ** 24;

/**
 * Registers that are mapped into this process: an access is one load or store of the register's width, without a system
 * call. Only on x86, where a store to a device follows the earlier stores to memory. Other processors need a barrier
 * for that, which JavaScript does not have and the kernel's accesses have.
 */
class MappedRegisters {
  readonly offset: number;
  readonly end: number;
  readonly #mapping: MemoryMapping;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;

  private constructor(offset: number, mapping: MemoryMapping) {
    this.offset = offset;
    this.end = offset + mapping.size;
    this.#mapping = mapping;
    this.#u8 = new Uint8Array(mapping.buffer);
    this.#u16 = new Uint16Array(mapping.buffer);
    this.#u32 = new Uint32Array(mapping.buffer);
  }

  /**
   * Maps a part of a region. Returns `undefined` on other processors than x86, and for a part that is not whole pages,
   * empty or larger than {@link LARGEST}. Throws {@link HostError}.
   */
  static map(file: DeviceFile, region: RegionLayout, part: MappablePart): MappedRegisters | undefined {
    const arePages = part.offset % PAGE_SIZE === 0 && part.size % PAGE_SIZE === 0;
    if (process.arch !== 'x64' || !arePages || part.size === 0 || part.size > LARGEST) return undefined;
    return new MappedRegisters(
      part.offset,
      MemoryMapping.ofFile(file.descriptor, part.size, region.offset + part.offset),
    );
  }

  /** Uses Atomics, because a compiler may reuse the result of an earlier ordinary load. */
  read(offset: number, width: AccessWidth): number {
    const at = offset - this.offset;
    if (width === 1) return Atomics.load(this.#u8, at);
    return width === 2 ? Atomics.load(this.#u16, at / 2) : Atomics.load(this.#u32, at / 4);
  }

  /** Uses no Atomics: an atomic store is an exchange, which reads the register too. Hot: no allocation. */
  write(offset: number, width: AccessWidth, value: number): void {
    const at = offset - this.offset;
    if (width === 1) this.#u8[at] = value;
    else if (width === 2) this.#u16[at / 2] = value;
    else this.#u32[at / 4] = value;
  }

  dispose(): void {
    this.#mapping.dispose();
  }
}

/**
 * The registers behind one base address register of a VFIO device. The parts that can be mapped are mapped; the kernel
 * accesses the others, such as the MSI-X table.
 */
export class VfioBar implements PciBar {
  readonly kind: PciBar['kind'];
  readonly size: number;
  readonly #region: DeviceRegion;
  readonly #mapped: readonly MappedRegisters[];

  private constructor(kind: PciBar['kind'], region: DeviceRegion, mapped: readonly MappedRegisters[]) {
    this.kind = kind;
    this.size = region.layout.size;
    this.#region = region;
    this.#mapped = mapped;
  }

  /** Maps the parts that can be mapped. Throws {@link HostError}; all parts are unmapped then. */
  static open(file: DeviceFile, kind: PciBar['kind'], region: DeviceRegion): VfioBar {
    return new VfioBar(kind, region, mapParts(file, region.layout));
  }

  read(offset: number, width: AccessWidth): number {
    return (this.#mappedAt(offset, width) ?? this.#region).read(offset, width);
  }

  /** Hot: no allocation. */
  write(offset: number, width: AccessWidth, value: number): void {
    (this.#mappedAt(offset, width) ?? this.#region).write(offset, width, value);
  }

  dispose(): void {
    for (const registers of this.#mapped) registers.dispose();
  }

  #mappedAt(offset: number, width: number): MappedRegisters | undefined {
    for (let i = 0; i < this.#mapped.length; i++) {
      const registers = this.#mapped[i]!;
      if (offset >= registers.offset && offset + width <= registers.end) return registers;
    }
    return undefined;
  }
}

function mapParts(file: DeviceFile, region: RegionLayout): MappedRegisters[] {
  const mapped: MappedRegisters[] = [];
  try {
    for (const part of region.mappable) {
      const registers = MappedRegisters.map(file, region, part);
      if (registers !== undefined) mapped.push(registers);
    }
    return mapped;
  } catch (error) {
    for (const registers of mapped) registers.dispose();
    throw error;
  }
}

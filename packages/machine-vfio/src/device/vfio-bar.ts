import type { DeviceFile } from '@virtio-platform/host';
import type { AccessWidth, PciBar } from '@virtio-platform/pci';
import type { DeviceRegion, RegionLayout } from './device-region.ts';
import { MappedRegisters } from './mapped-registers.ts';

/** One base address register of a VFIO device: mapped where that can be, through the kernel where not, such as the MSI-X table. */
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

  /** Maps what can be mapped. Throws {@link HostError}, and then nothing is. */
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

import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DeviceAddressing, DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { SimulatedSmmu, Smmuv3Platform, smmuv3OptionsSchema } from '../src/index.ts';
import { openAddressSpace } from '../src/simulated/smmu-translation.ts';

export const PAGE = 4096;
export const MIB = 2 ** 20;

/** A unit that is stuck on request, and counts what it is given. */
export class MoodySmmu extends SimulatedSmmu {
  /** Ignores the driver's position, so that no command is executed. */
  isStuck = false;
  /** Ignores CR0. */
  isDeaf = false;
  /** How often the driver wrote its position. */
  submitted = 0;

  override write32(offset: number, value: number): void {
    if (offset === 0x98) this.submitted++;
    if ((offset === 0x98 && this.isStuck) || (offset === 0x20 && this.isDeaf)) return;
    super.write32(offset, value);
  }
}

/** A guest behind a simulated unit: the kernel's side, and the address space of a device behind the unit. */
export interface SmmuGuest {
  readonly memory: GuestMemory;
  readonly unit: MoodySmmu;
  readonly platform: Smmuv3Platform;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
  readonly words: Uint32Array;
  openMapping(capacity?: number): DmaMapping;
}

export function startGuest(options: object = {}, bytes: number = 16 * MIB, addressing?: DeviceAddressing): SmmuGuest {
  const memory = new GuestMemory(new SharedArrayBuffer(bytes));
  const checked = smmuv3OptionsSchema.parse(options);
  const unit = new MoodySmmu({ ...checked.unit, memory });
  const platform = new Smmuv3Platform(checked, memory, unit, addressing);
  const faults = new FaultLog();
  return {
    memory,
    unit,
    platform,
    faults,
    space: openAddressSpace(memory, faults, structuredClone(unit.state)),
    words: new Uint32Array(2),
    openMapping: (capacity = 64) => platform.openMapping(platform.traits.mappedPath, { queue: 0, capacity }),
  };
}

/** The byte that the device reads at an address, or the cause of the fault. */
export function deviceReads({ space, faults }: Pick<SmmuGuest, 'space' | 'faults'>, low: number): number | string {
  const target = new Uint8Array(1);
  return space.read(low, 0, target, 0, 1) ? target[0]! : faults.entries.at(-1)!.cause;
}

export function deviceWrites({ space, faults }: Pick<SmmuGuest, 'space' | 'faults'>, low: number): string {
  return space.write(low, 0, Uint8Array.of(0x5a), 0, 1) ? 'done' : faults.entries.at(-1)!.cause;
}

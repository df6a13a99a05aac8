import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DmaMapping, InvalidatedDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { IntelIommuPlatform, intelIommuOptionsSchema, SimulatedVtd } from '../src/index.ts';
import { openAddressSpace } from '../src/simulated/vtd-translation.ts';

export const PAGE = 4096;
export const MIB = 2 ** 20;

/** A unit that refuses or ignores invalidations on request. */
export class MoodyVtd extends SimulatedVtd {
  /**
   * What it does with invalidations of pages and domains: `refused` answers that nothing was done, `stuck` never
   * answers.
   */
  invalidation: 'done' | 'refused' | 'stuck' = 'done';
  /** Ignores the command register. */
  isDeaf = false;
  /** Answers to no invalidation of contexts that it did anything. */
  isMute = false;
  /** Writes to the command of the translation cache. */
  readonly commands: number[] = [];

  override write32(offset: number, value: number): void {
    if (offset === 0x18 && this.isDeaf) return;
    const isCommand = offset === 0xfc && value >= 2 ** 31;
    if (isCommand) this.commands.push(value);
    if (isCommand && this.invalidation !== 'done' && ((value >>> 28) & 3) !== 1) return;
    super.write32(offset, value);
  }

  override read64(offset: number, words: Uint32Array): void {
    super.read64(offset, words);
    if (offset === 0x28 && this.isMute) words[1] = 0;
    if (offset !== 0xf8 || this.invalidation === 'done' || this.commands.length === 0) return;
    if (((this.commands.at(-1)! >>> 28) & 3) === 1) return;
    words[1] = this.invalidation === 'stuck' ? 2 ** 31 : 0;
  }
}

/** A guest behind a simulated unit: the kernel's side, and the address space of a device behind the unit. */
export interface RemappedGuest {
  readonly memory: GuestMemory;
  readonly unit: MoodyVtd;
  readonly platform: IntelIommuPlatform;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
  readonly words: Uint32Array;
  /** Of a translated domain. */
  openMapping(capacity?: number): InvalidatedDmaMapping;
  openDirect(): DmaMapping;
}

export function startGuest(options: object = {}, bytes: number = 16 * MIB): RemappedGuest {
  const memory = new GuestMemory(new SharedArrayBuffer(bytes));
  const checked = intelIommuOptionsSchema.parse(options);
  const unit = new MoodyVtd({ ...checked.unit, memory });
  const platform = new IntelIommuPlatform(checked, memory, unit);
  const faults = new FaultLog();
  return {
    memory,
    unit,
    platform,
    faults,
    space: openAddressSpace(memory, faults, structuredClone(unit.state)),
    words: new Uint32Array(2),
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the only class that a translated domain opens
    openMapping: (capacity = 64) => platform.openMapping('translated', { queue: 0, capacity }) as InvalidatedDmaMapping,
    openDirect: () => platform.openMapping('identity', { queue: 0, capacity: 64 }),
  };
}

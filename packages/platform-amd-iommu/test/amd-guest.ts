import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DeviceAddressing, DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { AmdIommuPlatform, amdIommuOptionsSchema, SimulatedAmdIommu } from '../src/index.ts';
import { openAddressSpace } from '../src/simulated/amd-translation.ts';

export const PAGE = 4096;
export const MIB = 2 ** 20;
export const READ = 0x2000_0000;
export const WRITE = 0x4000_0000;
const COMMAND_TAIL = 0x2008;
const CONTROL = 0x18;

/** A unit that does not do all that it is told. */
export class MoodyUnit extends SimulatedAmdIommu {
  /** Does not see that there are new commands. */
  isDeaf = false;
  /** Does not change what control says. */
  isStuck = false;

  override write64(offset: number, low: number, high: number): void {
    if ((offset === COMMAND_TAIL && this.isDeaf) || (offset === CONTROL && this.isStuck)) return;
    super.write64(offset, low, high);
  }

  /** The low word of a register. */
  register(offset: number): number {
    const words = new Uint32Array(2);
    this.read64(offset, words);
    return words[0]!;
  }
}

/** A guest behind a simulated unit: the kernel's side, and the address space of a device behind the unit. */
export interface AmdGuest {
  readonly memory: GuestMemory;
  readonly unit: MoodyUnit;
  readonly platform: AmdIommuPlatform;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
  readonly words: Uint32Array;
  openMapping(capacity?: number): DmaMapping;
  reads(low: number, high?: number): boolean;
  writes(low: number, high?: number): boolean;
}

export function startGuest(options: object = {}, bytes: number = 16 * MIB, addressing?: DeviceAddressing): AmdGuest {
  const memory = new GuestMemory(new SharedArrayBuffer(bytes));
  const checked = amdIommuOptionsSchema.parse(options);
  const unit = new MoodyUnit(memory, checked.unit);
  const platform = new AmdIommuPlatform(checked, memory, unit, addressing);
  const faults = new FaultLog();
  const space = openAddressSpace(memory, faults, structuredClone(unit.state));
  const path = checked.domain === 'translated' ? 'translated' : 'identity';
  return {
    memory,
    unit,
    platform,
    faults,
    space,
    words: new Uint32Array(2),
    openMapping: (capacity = 64) => platform.openMapping(path, { queue: 0, capacity }),
    reads: (low, high = 0) => space.read(low, high, new Uint8Array(4), 0, 4),
    writes: (low, high = 0) => space.write(low, high, new Uint8Array(4), 0, 4),
  };
}

/** A unit whose tables a test writes itself, without a driver. Command buffer and event log have a page each. */
export class BareUnit {
  readonly memory: GuestMemory = new GuestMemory(new SharedArrayBuffer(8 * MIB));
  readonly unit: MoodyUnit;
  readonly faults: FaultLog = new FaultLog();
  readonly space: DeviceAddressSpace;
  readonly #table = this.memory.allocate(2 * PAGE, 2 * PAGE);
  readonly #commands = this.memory.allocate(PAGE, PAGE);
  readonly #events = this.memory.allocate(PAGE, PAGE);
  #tail = 0;

  constructor(unit: object = {}) {
    this.unit = new MoodyUnit(this.memory, amdIommuOptionsSchema.parse({ unit }).unit);
    this.unit.write64(0x00, this.#table + 1, 0);
    this.unit.write64(0x08, this.#commands, 8 << 24);
    this.unit.write64(0x10, this.#events, 8 << 24);
    this.unit.write64(CONTROL, 0x1005, 0);
    this.space = openAddressSpace(this.memory, this.faults, this.unit.state);
  }

  /** Writes the entry of the device, 00:04.0. */
  device(...words: readonly number[]): void {
    this.memory.u32.set(
      words.map((word) => word >>> 0),
      this.#table / 4 + 0x20 * 8,
    );
  }

  /** A page of zeros. */
  page(): number {
    return this.memory.allocate(PAGE, PAGE);
  }

  /** Writes an entry of a page table. */
  entry(table: number, index: number, low: number, high: number): void {
    this.memory.u32.set([low >>> 0, high >>> 0], table / 4 + index * 2);
  }

  /** Has the unit execute commands of four words each. */
  command(...commands: readonly (readonly number[])[]): void {
    for (const words of commands) {
      this.memory.u32.set(
        words.map((word) => word >>> 0),
        (this.#commands + this.#tail) / 4,
      );
      this.#tail = (this.#tail + 16) % PAGE;
    }
    this.unit.write64(COMMAND_TAIL, this.#tail, 0);
  }

  /** Has the unit drop everything. */
  drop(): void {
    this.command([0, 8 << 28, 0, 0]);
  }

  /** The events in the log, as numbers of 32 bits. */
  events(): readonly (readonly number[])[] {
    const tail = this.unit.register(0x2018);
    const words = [...this.memory.u32.subarray(this.#events / 4, (this.#events + tail) / 4)];
    return Array.from({ length: tail / 16 }, (_, i) => words.slice(4 * i, 4 * i + 4));
  }

  reads(low: number, high: number = 0): boolean {
    return this.space.read(low, high, new Uint8Array(4), 0, 4);
  }

  writes(low: number, high: number = 0): boolean {
    return this.space.write(low, high, new Uint8Array(4), 0, 4);
  }
}

import type { SimulatedHardware } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { SimulatedSmmuOptions, Smmuv3Options } from '../smmuv3-options.ts';
import { granuleBits, OUTPUT_BITS } from '../unit/smmu-capabilities.ts';
import { SMMU_FACILITY, type SmmuFacility } from '../unit/smmu-facility.ts';
import {
  CMDQ_BASE,
  CMDQ_CONS,
  CMDQ_ENABLE,
  CMDQ_PROD,
  CR0,
  CR0ACK,
  CR1,
  CR2,
  EVENTQ_BASE,
  EVENTQ_CONS,
  EVENTQ_ENABLE,
  EVENTQ_PROD,
  GERRORN,
  IDR0,
  IDR1,
  IDR5,
  SMMU_ENABLE,
  STRTAB_BASE,
  STRTAB_BASE_CFG,
} from '../unit/smmu-registers.ts';
import { CommandExecutor } from './command-executor.ts';
import { allocateSmmuState, FROZEN, GENERATION, registerWord, type SmmuState } from './smmu-state.ts';
import { ADDRESS_SPACE_MODULE, openAddressSpace } from './smmu-translation.ts';

/**
 * Stage 1, tables of AArch64 that are little-endian, coherent accesses, ASIDs of 16 bits; no stalls, and faulting
 * accesses end in an abort. As QEMU 7.2, but for stream tables of two levels.
 */
const CAPABILITIES = 0x540_101a;
const STREAM_BITS = 16;
const ENABLES = SMMU_ENABLE | EVENTQ_ENABLE | CMDQ_ENABLE;

/** The registers that a driver writes, and what of CR0 must be off for that (Arm IHI 0070, section 6.3). */
const WRITABLE: ReadonlyMap<number, number> = new Map([
  [CR1, ENABLES],
  [CR2, SMMU_ENABLE],
  [STRTAB_BASE, SMMU_ENABLE],
  [STRTAB_BASE + 4, SMMU_ENABLE],
  [STRTAB_BASE_CFG, SMMU_ENABLE],
  [CMDQ_BASE, CMDQ_ENABLE],
  [CMDQ_BASE + 4, CMDQ_ENABLE],
  [CMDQ_CONS, CMDQ_ENABLE],
  [CMDQ_PROD, 0],
  [EVENTQ_BASE, EVENTQ_ENABLE],
  [EVENTQ_BASE + 4, EVENTQ_ENABLE],
  [EVENTQ_PROD, EVENTQ_ENABLE],
  [EVENTQ_CONS, 0],
  [GERRORN, 0],
]);

/** How to set up a {@link SimulatedSmmu}. */
export interface SimulatedSmmuSetup extends SimulatedSmmuOptions {
  /** Guest memory, where the unit finds its tables and queues. */
  readonly memory: GuestMemory;
  /** StreamID of the device; that of 00:04.0 unless given. */
  readonly streamId?: number;
}

/**
 * An SMMUv3 in software, by its registers. A command is done when the write of its position returns. While a device
 * relies on identity addresses the unit is frozen: CR0 keeps its value, and commands wait.
 */
export class SimulatedSmmu implements SmmuFacility {
  readonly streamId: number;
  readonly isolatedMsi: boolean;
  readonly state: SmmuState;
  readonly #registers: Int32Array;
  readonly #control: Int32Array;
  readonly #commands: CommandExecutor;

  constructor({
    memory,
    streamId = 0x20,
    granules,
    outputBits,
    commandBits,
    eventBits,
    isolatedMsi,
  }: SimulatedSmmuSetup) {
    this.streamId = streamId;
    this.isolatedMsi = isolatedMsi;
    this.state = allocateSmmuState(streamId);
    this.#registers = new Int32Array(this.state.registers);
    this.#control = new Int32Array(this.state.control);
    this.#commands = new CommandExecutor(memory, this.state);
    this.#set(IDR0, CAPABILITIES);
    this.#set(IDR1, STREAM_BITS | (eventBits << 16) | (commandBits << 21));
    this.#set(IDR5, OUTPUT_BITS.indexOf(outputBits) | granuleBits(granules));
  }

  /** Offsets without a register read as 0. */
  read32(offset: number): number {
    const word = registerWord(offset);
    return word < 0 ? 0 : Atomics.load(this.#registers, word) >>> 0;
  }

  write64(offset: number, low: number, high: number): void {
    this.write32(offset, low);
    this.write32(offset + 4, high);
  }

  /** Ignores registers that are read-only, and those that must not change while what they are for is enabled. */
  write32(offset: number, value: number): void {
    if (offset === CR0) return this.#enable(value);
    const locks = WRITABLE.get(offset);
    if (locks === undefined || (this.read32(CR0ACK) & locks) !== 0) return;
    this.#set(offset, value);
    if (offset === CMDQ_PROD || offset === GERRORN) this.#commands.run();
  }

  #enable(value: number): void {
    if (Atomics.load(this.#control, FROZEN) !== 0) return;
    this.#set(CR0, value & ENABLES);
    this.#set(CR0ACK, value & ENABLES);
    Atomics.add(this.#control, GENERATION, 1);
    this.#commands.run();
  }

  #set(offset: number, value: number): void {
    Atomics.store(this.#registers, registerWord(offset), value);
  }
}

/**
 * Simulates an SMMU. A device without ACCESS_PLATFORM goes past it, as in QEMU, unless it confines every device.
 */
export function simulateSmmuv3(memory: GuestMemory, options: Smmuv3Options): SimulatedHardware {
  const unit = new SimulatedSmmu({ ...options.unit, memory });
  const translated = { module: ADDRESS_SPACE_MODULE, state: unit.state, open: openAddressSpace };
  return {
    facilities: new Map([[SMMU_FACILITY, unit]]),
    addressSpace: (offersAccessPlatform) =>
      offersAccessPlatform || options.confinesEveryDevice ? translated : PHYSICAL_ADDRESS_SPACE,
  };
}

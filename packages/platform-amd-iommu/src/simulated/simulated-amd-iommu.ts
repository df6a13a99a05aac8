import type { GuestMemory } from '@virtio-platform/core/memory';
import type { SimulatedAmdOptions } from '../amd-iommu-options.ts';
import type { AmdIommuFacility } from '../unit/amd-facility.ts';
import {
  CACHES_ABSENCE,
  CAPABILITY_ID,
  CAPABILITY_TYPE,
  COMMAND_BASE_REG,
  COMMAND_ENABLE,
  COMMAND_HEAD_REG,
  COMMAND_TAIL_REG,
  COMMANDS_RUN,
  CONTROL_REG,
  DEVICE_TABLE_REG,
  EVENT_BASE_REG,
  EVENT_HEAD_REG,
  EVENT_LOG_ENABLE,
  EVENT_LOG_RUNS,
  EVENT_LOGGED,
  EVENT_OVERFLOW,
  EVENT_TAIL_REG,
  FEATURES_REG,
  INVALIDATES_ALL,
  IOMMU_ENABLE,
  LEVELS_SHIFT,
  STATUS_REG,
  WAIT_INTERRUPT,
} from '../unit/amd-registers.ts';
import { allocateAmdState, CONFIG_BYTES, FROZEN, GENERATION, REGISTER_BYTES, type AmdState } from './amd-state.ts';
import { SimulatedCommands } from './simulated-commands.ts';
import { SimulatedEvents } from './simulated-events.ts';

/** Vendor and device of an AMD IOMMU, as QEMU's. */
const IDENTITY = 0x0008_1022;
/** Status: the function has a list of capabilities. */
const HAS_CAPABILITIES = 0x0010_0000;
const FIRST_CAPABILITY = 0x34;
/** Where the capability is. */
const CAPABILITY = 0x40;
/** Its header: extended features (EFRSup). */
const HAS_FEATURES = 0x0800_0000;
const LEAST_LEVELS = 4;
const COMMAND_AND_STATUS = 4;
/** The bits of the status of a PCI function that are cleared by writing 1. */
const CLEARED_BY_ONE = 0xf900_0000;
/** Registers that the driver writes whole. */
const PLAIN: ReadonlySet<number> = new Set([
  DEVICE_TABLE_REG,
  COMMAND_BASE_REG,
  EVENT_BASE_REG,
  EVENT_HEAD_REG,
  EVENT_TAIL_REG,
  COMMAND_HEAD_REG,
]);
/** The bits of the status that are cleared by writing 1. */
const STATUS_CLEARED_BY_ONE = EVENT_OVERFLOW | EVENT_LOGGED | WAIT_INTERRUPT;

/** How to set up a {@link SimulatedAmdIommu}. */
export interface SimulatedAmdIommuOptions extends SimulatedAmdOptions {
  /** Requester id of the device; 00:04.0 unless given. */
  readonly sourceId?: number;
}

/**
 * An AMD IOMMU in software, by its registers and the configuration space of its PCI function. It walks device table and
 * page tables, executes the command buffer and writes the event log, as the specification has it. A command is done
 * when the write of the tail returns. While a device relies on identity addresses the unit is frozen: it executes
 * nothing, and control does not change.
 */
export class SimulatedAmdIommu implements AmdIommuFacility {
  readonly sourceId: number;
  readonly state: AmdState;
  readonly #registers: Int32Array;
  readonly #config: Int32Array;
  readonly #control: Int32Array;
  readonly #commands: SimulatedCommands;

  constructor(memory: GuestMemory, options: SimulatedAmdIommuOptions) {
    const { levels, cachesAbsence, invalidatesAll, eventLog } = options;
    this.sourceId = options.sourceId ?? 0x20;
    this.state = allocateAmdState({ sourceId: this.sourceId, logsEvents: eventLog, levels, cachesAbsence });
    this.#registers = new Int32Array(this.state.registers);
    this.#config = new Int32Array(this.state.config);
    this.#control = new Int32Array(this.state.control);
    this.#commands = new SimulatedCommands(memory, this.state, new SimulatedEvents(memory, this.state), invalidatesAll);
    const features = ((levels - LEAST_LEVELS) << LEVELS_SHIFT) | (invalidatesAll ? INVALIDATES_ALL : 0);
    this.#set(FEATURES_REG, features);
    const header = CAPABILITY_ID | (CAPABILITY_TYPE << 16) | HAS_FEATURES | (cachesAbsence ? CACHES_ABSENCE : 0);
    this.#config[0] = IDENTITY;
    this.#config[COMMAND_AND_STATUS / 4] = HAS_CAPABILITIES;
    this.#config[FIRST_CAPABILITY / 4] = CAPABILITY;
    this.#config[CAPABILITY / 4] = header;
  }

  /** Offsets without a register read as 0. */
  read64(offset: number, words: Uint32Array): void {
    const isRegister = offset >= 0 && offset % 8 === 0 && offset < REGISTER_BYTES;
    words[0] = isRegister ? Atomics.load(this.#registers, offset / 4) : 0;
    words[1] = isRegister ? Atomics.load(this.#registers, offset / 4 + 1) : 0;
  }

  write64(offset: number, low: number, high: number): void {
    if (offset === CONTROL_REG) return this.#switch(low, high);
    if (offset === COMMAND_TAIL_REG) {
      this.#set(offset, low);
      return this.#commands.run();
    }
    if (offset === STATUS_REG) {
      Atomics.and(this.#registers, STATUS_REG / 4, ~(low & STATUS_CLEARED_BY_ONE));
      return;
    }
    if (!PLAIN.has(offset)) return;
    this.#set(offset, low);
    this.#set(offset + 4, high);
  }

  readConfig(offset: number): number {
    return offset >= 0 && offset < CONFIG_BYTES ? Atomics.load(this.#config, offset >>> 2) >>> 0 : 0;
  }

  /** Only the command and the status of the function can be written. */
  writeConfig(offset: number, value: number): void {
    if (offset !== COMMAND_AND_STATUS) return;
    Atomics.and(this.#config, COMMAND_AND_STATUS / 4, ~((value & CLEARED_BY_ONE) | 0xffff));
    Atomics.or(this.#config, COMMAND_AND_STATUS / 4, value & 0xffff);
  }

  /** Commands are fetched and events logged only while the unit translates. */
  #switch(low: number, high: number): void {
    if (Atomics.load(this.#control, FROZEN) !== 0) return;
    const before = Atomics.load(this.#registers, CONTROL_REG / 4);
    this.#set(CONTROL_REG, low);
    this.#set(CONTROL_REG + 4, high);
    for (const [bit, runs] of [
      [COMMAND_ENABLE, COMMANDS_RUN],
      [EVENT_LOG_ENABLE, EVENT_LOG_RUNS],
    ] as const) {
      // What stopped by itself runs again once the driver has cleared its enable bit and set it.
      if (!isEffective(low, bit)) Atomics.and(this.#registers, STATUS_REG / 4, ~runs);
      else if (!isEffective(before, bit)) Atomics.or(this.#registers, STATUS_REG / 4, runs);
    }
    Atomics.add(this.#control, GENERATION, 1);
    this.#commands.run();
  }

  #set(offset: number, value: number): void {
    Atomics.store(this.#registers, offset / 4, value);
  }
}

/** Whether the control register has a bit that takes effect: while the unit translates. */
function isEffective(control: number, bit: number): boolean {
  return (control & bit) !== 0 && (control & IOMMU_ENABLE) !== 0;
}

import { SimulatedIotlb } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import * as command from '../unit/command-format.ts';
import {
  CMDQ_BASE,
  CMDQ_CONS,
  CMDQ_ENABLE,
  CMDQ_PROD,
  COMMAND_ABORT,
  COMMAND_ERROR,
  COMMAND_ERROR_SHIFT,
  COMMAND_ILLEGAL,
  CR0ACK,
  GERROR,
  GERRORN,
} from '../unit/smmu-registers.ts';
import { POWERS_OF_TWO } from './powers-of-two.ts';
import { CONFIG_CACHED, FROZEN, GENERATION, type SmmuState } from './smmu-state.ts';

const WORD = 0x1_0000_0000;
const BITS_MASK = 0x1f;
const ADDRESS_HIGH = 0x000f_ffff;
/** Log2 of the pages by the code of the granule; the code 3 is none. */
const PAGE_SHIFTS = [12, 16, 14];
/** Completion signal of a CMD_SYNC (CS), of which the value 3 is reserved. */
const SIGNAL_SHIFT = 12;
const NO_SIGNAL = 3;
const MOST_RANGE = 31;

/**
 * The command queue of a simulated unit. It executes commands out of guest memory, in the driver's thread, when the
 * driver has written its position. It stops at a command that it cannot execute, with its position on it and an error,
 * until the driver acknowledges the error. While a device relies on identity addresses it executes nothing.
 */
export class CommandExecutor {
  readonly #memory: GuestMemory;
  readonly #registers: Int32Array;
  readonly #control: Int32Array;
  readonly #iotlb: SimulatedIotlb;
  readonly #streamId: number;

  constructor(memory: GuestMemory, state: SmmuState) {
    this.#memory = memory;
    this.#registers = new Int32Array(state.registers);
    this.#control = new Int32Array(state.control);
    this.#iotlb = new SimulatedIotlb(state);
    this.#streamId = state.streamId;
  }

  /** Executes commands up to the driver's position; each of the queue at most once. */
  run(): void {
    const baseLow = this.#read(CMDQ_BASE);
    const size = POWERS_OF_TWO[baseLow & BITS_MASK]!;
    const mask = 2 * size - 1;
    const base = (this.#read(CMDQ_BASE + 4) & ADDRESS_HIGH) * WORD + baseLow - (baseLow & BITS_MASK);
    for (let left = size; left > 0; left--) {
      const cons = this.#read(CMDQ_CONS) & mask;
      if (!this.#mayRun || cons === (this.#read(CMDQ_PROD) & mask)) return;
      const address = base + (cons & (size - 1)) * 4 * command.COMMAND_WORDS;
      if (!this.#memory.contains(address, 4 * command.COMMAND_WORDS)) return this.#stop(cons, COMMAND_ABORT);
      if (!this.#execute(address / 4)) return this.#stop(cons, COMMAND_ILLEGAL);
      Atomics.store(this.#registers, CMDQ_CONS / 4, (cons + 1) & mask);
    }
  }

  get #mayRun(): boolean {
    const isEnabled = (this.#read(CR0ACK) & CMDQ_ENABLE) !== 0;
    const hasStopped = ((this.#read(GERROR) ^ this.#read(GERRORN)) & COMMAND_ERROR) !== 0;
    return isEnabled && !hasStopped && Atomics.load(this.#control, FROZEN) === 0;
  }

  #stop(cons: number, error: number): void {
    Atomics.store(this.#registers, CMDQ_CONS / 4, cons | (error << COMMAND_ERROR_SHIFT));
    Atomics.xor(this.#registers, GERROR / 4, COMMAND_ERROR);
  }

  /** Returns false for a command that this unit does not have. */
  #execute(at: number): boolean {
    const { u32 } = this.#memory;
    const first = Atomics.load(u32, at);
    const [second, third, fourth] = [u32[at + 1]!, u32[at + 2]!, u32[at + 3]!];
    const asid = second >>> command.ASID_SHIFT;
    switch (first & command.OPCODE_MASK) {
      case command.CFGI_ALL:
        // The range is log2 of the StreamIDs, less one, around the one that is named.
        return this.#dropConfig((third & MOST_RANGE) + 1, second);
      case command.CFGI_STE:
      case command.CFGI_CD:
      case command.CFGI_CD_ALL:
        return this.#dropConfig(0, second);
      case command.TLBI_NH_ALL:
      case command.TLBI_NSNH_ALL:
      // A unit may drop more than it is asked for: here the other pages of the ASIDs.
      case command.TLBI_NH_VAA:
        this.#nextGeneration();
        this.#iotlb.dropAll();
        return true;
      case command.TLBI_NH_ASID:
        this.#nextGeneration();
        PAGE_SHIFTS.forEach((_, code) => this.#iotlb.dropDomain(asid * 4 + code));
        return true;
      case command.TLBI_NH_VA:
        this.#dropPage(asid, third, fourth);
        return true;
      case command.CMD_SYNC:
        return ((first >>> SIGNAL_SHIFT) & 3) !== NO_SIGNAL;
      default:
        return false;
    }
  }

  /** Drops the configuration of the StreamIDs that share all but the lowest bits with the one that is named. */
  #dropConfig(rangeBits: number, streamId: number): true {
    const run = 2 ** rangeBits;
    if (Math.floor(streamId / run) === Math.floor(this.#streamId / run)) {
      Atomics.store(this.#control, CONFIG_CACHED, 0);
      this.#nextGeneration();
    }
    return true;
  }

  /** The page of each granule that has the address. Hot: no allocation. */
  #dropPage(asid: number, low: number, high: number): void {
    this.#nextGeneration();
    for (let code = 0; code < PAGE_SHIFTS.length; code++) {
      const shift = PAGE_SHIFTS[code]!;
      this.#iotlb.dropPages(asid * 4 + code, high * POWERS_OF_TWO[32 - shift]! + (low >>> shift), 1);
    }
  }

  /** The generation changes first: a translation that is cached meanwhile sees the change and drops itself. */
  #nextGeneration(): void {
    Atomics.add(this.#control, GENERATION, 1);
  }

  #read(offset: number): number {
    return Atomics.load(this.#registers, offset / 4) >>> 0;
  }
}

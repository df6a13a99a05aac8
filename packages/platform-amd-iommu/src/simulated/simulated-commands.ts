import { SimulatedIotlb } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  COMMAND_BASE_REG,
  COMMAND_HEAD_REG,
  COMMAND_TAIL_REG,
  COMMANDS_RUN,
  LENGTH_SHIFT,
  STATUS_REG,
  WAIT_INTERRUPT,
} from '../unit/amd-registers.ts';
import * as command from '../unit/command-format.ts';
import { COMMAND_ERROR, ILLEGAL_COMMAND } from '../unit/event-format.ts';
import { ENTRY_CACHED, FROZEN, GENERATION, type AmdState } from './amd-state.ts';
import type { SimulatedEvents } from './simulated-events.ts';

const WORD = 0x1_0000_0000;
const PAGE = 4096;
const LENGTH_MASK = 0xf;
const ADDRESS_HIGH = 0x000f_ffff;
/** Reserved bits of the second word of a command, beside the operation; of COMPLETION_WAIT it has an address. */
const WAIT_RESERVED = 0x0ff0_0000;
const ENTRY_RESERVED = 0x0fff_ffff;
const PAGES_RESERVED = 0x0fff_0000;
const DOMAIN_MASK = 0xffff;
/** Reserved bits of the third word of INVALIDATE_PAGES. */
const PAGES_ADDRESS_RESERVED = 0xff8;
const OPERATION_BITS = 0xf000_0000;

/**
 * The command buffer of a simulated unit. When the driver writes the tail, the unit executes the commands between head
 * and tail, out of guest memory, in the driver's thread. At a command that it cannot execute the unit stops: the head
 * register stays at that command, the unit logs an event, and executes nothing more until the driver clears and sets
 * CmdBufEn. While a device relies on identity addresses the unit executes nothing either.
 */
export class SimulatedCommands {
  readonly #memory: GuestMemory;
  readonly #state: AmdState;
  readonly #registers: Int32Array;
  readonly #control: Int32Array;
  readonly #iotlb: SimulatedIotlb;
  readonly #events: SimulatedEvents;
  readonly #invalidatesAll: boolean;

  constructor(memory: GuestMemory, state: AmdState, events: SimulatedEvents, invalidatesAll: boolean) {
    this.#memory = memory;
    this.#state = state;
    this.#registers = new Int32Array(state.registers);
    this.#control = new Int32Array(state.control);
    this.#iotlb = new SimulatedIotlb(state);
    this.#events = events;
    this.#invalidatesAll = invalidatesAll;
  }

  /** Executes commands up to the tail; each of a buffer at most once. */
  run(): void {
    const baseHigh = this.#read(COMMAND_BASE_REG + 4);
    const low = this.#read(COMMAND_BASE_REG);
    const base = (baseHigh & ADDRESS_HIGH) * WORD + low - (low % PAGE);
    const bytes = command.ENTRY_BYTES << ((baseHigh >>> LENGTH_SHIFT) & LENGTH_MASK);
    const tail = this.#read(COMMAND_TAIL_REG) % bytes;
    for (let count = bytes / command.ENTRY_BYTES; count > 0; count--) {
      const head = this.#read(COMMAND_HEAD_REG) % bytes;
      if (head === tail || (this.#read(STATUS_REG) & COMMANDS_RUN) === 0) return;
      if (Atomics.load(this.#control, FROZEN) !== 0) return;
      const address = base + head;
      if (!this.#memory.contains(address, command.ENTRY_BYTES)) return this.#stop(COMMAND_ERROR, address);
      if (!this.#execute(address / 4)) return this.#stop(ILLEGAL_COMMAND, address);
      this.#set(COMMAND_HEAD_REG, (head + command.ENTRY_BYTES) % bytes);
    }
  }

  #stop(code: number, address: number): void {
    Atomics.and(this.#registers, STATUS_REG / 4, ~COMMANDS_RUN);
    this.#events.log(code, 0, 0, address % WORD, Math.floor(address / WORD));
  }

  /** Whether the command is one that this unit knows, with nothing in reserved fields. */
  #execute(at: number): boolean {
    const { u32 } = this.#memory;
    const first = Atomics.load(u32, at);
    const second = u32[at + 1]!;
    const third = u32[at + 2]!;
    const fourth = u32[at + 3]!;
    switch (second >>> command.OPERATION_SHIFT) {
      case command.COMPLETION_WAIT:
        return (second & WAIT_RESERVED) === 0 && this.#complete(first, second & ADDRESS_HIGH, third, fourth);
      case command.INVALIDATE_DEVICE_ENTRY:
        if (first > 0xffff || (second & ENTRY_RESERVED) !== 0 || third !== 0 || fourth !== 0) return false;
        if (first === this.#state.sourceId) this.#dropEntry();
        return true;
      case command.INVALIDATE_PAGES:
        if (first >= 2 ** 20 || (second & PAGES_RESERVED) !== 0) return false;
        if ((third & (PAGES_ADDRESS_RESERVED | command.PAGES_NESTED)) !== 0) return false;
        this.#dropPages(second & DOMAIN_MASK, third, fourth);
        return true;
      case command.INVALIDATE_INTERRUPTS:
        // This unit remaps no interrupts, so there is nothing to drop.
        return first <= 0xffff && (second & ~OPERATION_BITS) === 0;
      case command.INVALIDATE_ALL:
        if (!this.#invalidatesAll || first !== 0 || (second & ~OPERATION_BITS) !== 0) return false;
        this.#dropEntry();
        this.#iotlb.dropAll();
        return true;
      default:
        // This unit has no device caches, prefetching and page requests.
        return false;
    }
  }

  /** All before it is done when it is reached, so flushing the queue changes nothing. */
  #complete(first: number, high: number, third: number, fourth: number): boolean {
    if ((first & command.WAIT_STORES) !== 0) {
      const address = high * WORD + (first - (first % 8));
      if (!this.#memory.contains(address, 8)) return false;
      this.#memory.u32[address / 4 + 1] = fourth;
      Atomics.store(this.#memory.u32, address / 4, third);
    }
    if ((first & command.WAIT_INTERRUPTS) !== 0) Atomics.or(this.#registers, STATUS_REG / 4, WAIT_INTERRUPT);
    return true;
  }

  #dropEntry(): void {
    Atomics.store(this.#control, ENTRY_CACHED, 0);
    this.#nextGeneration();
  }

  #dropPages(domain: number, low: number, high: number): void {
    // The generation changes first: a translation that is cached meanwhile sees the change and drops itself.
    this.#nextGeneration();
    const page = high * 2 ** 20 + (low >>> 12);
    if ((low & command.PAGES_SIZED) === 0) return this.#iotlb.dropPages(domain, page, 1);
    let count = 2;
    while (Math.floor(page % count) === count - 1 && count < 2 ** 51) count *= 2;
    if (count >= 2 ** 51) this.#iotlb.dropDomain(domain);
    else this.#iotlb.dropPages(domain, Math.floor(page / count) * count, count);
  }

  #nextGeneration(): void {
    Atomics.add(this.#control, GENERATION, 1);
  }

  #read(offset: number): number {
    return Atomics.load(this.#registers, offset / 4) >>> 0;
  }

  #set(offset: number, value: number): void {
    Atomics.store(this.#registers, offset / 4, value);
  }
}

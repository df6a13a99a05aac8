import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { SimulatedSmmu, smmuv3OptionsSchema } from '../src/index.ts';
import { openAddressSpace } from '../src/simulated/smmu-translation.ts';

export const STREAMS = 0x10_0000;
export const DESCRIPTOR = 0x11_0000;
export const COMMANDS = 0x12_0000;
export const EVENTS = 0x13_0000;
/** The translation tables, from the first level down. */
export const TABLES: readonly number[] = [0x20_0000, 0x21_0000, 0x22_0000, 0x23_0000];
export const DATA = 0x30_0000;
const STREAM_ID = 0x20;

/** A simulated unit whose tables, queues and registers a test writes by hand, as the specification has them. */
export class HandMadeUnit {
  readonly memory: GuestMemory = new GuestMemory(new SharedArrayBuffer(2 ** 22));
  readonly unit: SimulatedSmmu;
  readonly faults: FaultLog = new FaultLog();
  readonly space: DeviceAddressSpace;
  #commands = 0;
  #events = 0;
  readonly #eventBits: number;

  constructor(options: object = {}, eventBits = 4) {
    this.#eventBits = eventBits;
    this.unit = new SimulatedSmmu({ ...smmuv3OptionsSchema.parse({ unit: options }).unit, memory: this.memory });
    this.space = openAddressSpace(this.memory, this.faults, this.unit.state);
    const { unit } = this;
    unit.write64(0x80, STREAMS, 0);
    unit.write32(0x88, 8);
    unit.write32(0x2c, 2);
    unit.write64(0x90, COMMANDS | 4, 0);
    unit.write64(0xa0, EVENTS | eventBits, 0);
    unit.write32(0x20, 0xd);
    this.stream(0x1n | (5n << 1n) | BigInt(DESCRIPTOR));
    this.descriptor();
  }

  write(address: number, ...values: readonly bigint[]): void {
    values.forEach((value, i) => this.memory.view.setBigUint64(address + 8 * i, value, true));
  }

  /** The stream table entry of the device. */
  stream(...words: readonly bigint[]): void {
    this.write(STREAMS + STREAM_ID * 64, ...words);
    this.command(0x03n | (BigInt(STREAM_ID) << 32n), 1n);
  }

  /** A context descriptor like that of the driver, but for the bits in `changed`, which are inverted. */
  descriptor({ t0sz = 25, tg = 0, changed = 0n } = {}, table = TABLES[0]!): void {
    const usual = (1n << 30n) | (1n << 31n) | (4n << 32n) | (1n << 41n) | (1n << 45n) | (1n << 46n) | (5n << 48n);
    this.write(DESCRIPTOR, (usual | BigInt(t0sz) | (BigInt(tg) << 6n)) ^ changed, BigInt(table));
    this.command(0x05n | (BigInt(STREAM_ID) << 32n), 1n);
    this.command(0x10n);
  }

  /** Gives the unit one command. Returns CMDQ_CONS. */
  command(first: bigint, second = 0n): number {
    this.write(COMMANDS + 16 * (this.#commands & 15), first, second);
    this.#commands = (this.#commands + 1) & 31;
    this.unit.write32(0x98, this.#commands);
    return this.unit.read32(0x9c);
  }

  /** The events since the last call: type, direction, address and StreamID. */
  events(): string[] {
    const size = 2 ** this.#eventBits;
    const prod = this.unit.read32(0x1_00a8);
    const found: string[] = [];
    for (; this.#events !== (prod & (2 * size - 1)); this.#events = (this.#events + 1) & (2 * size - 1)) {
      const at = EVENTS + 32 * (this.#events & (size - 1));
      const [type, access, address] = [0, 8, 16].map((offset) => this.memory.view.getBigUint64(at + offset, true));
      const isRead = (access! & (1n << 35n)) !== 0n;
      found.push(
        `${(type! & 0xffn).toString(16)} ${isRead ? 'read' : 'write'} ${address!.toString(16)} of ${type! >> 32n}`,
      );
    }
    this.unit.write32(0x1_00ac, ((prod & (2 ** 31)) | this.#events) >>> 0);
    return found;
  }

  reads(address: number): number | string {
    const target = new Uint8Array(1);
    const [low, high] = [address % 2 ** 32, Math.floor(address / 2 ** 32)];
    return this.space.read(low, high, target, 0, 1) ? target[0]! : this.faults.entries.at(-1)!.cause;
  }

  writes(address: number): string {
    return this.space.write(address, 0, Uint8Array.of(0x5a), 0, 1) ? 'done' : this.faults.entries.at(-1)!.cause;
  }
}

import type { RingPlace } from '../record/recording.ts';

/**
 * Who has a buffer. `driver`: it is described in the ring, and the device is not to look yet. `available`: the device
 * may take it. `device`: the device took it. `pushed`: its used entry is written, and the driver is not to look yet.
 * `used`: the driver may take it back.
 */
export type Owner = 'driver' | 'available' | 'device' | 'pushed' | 'used';

/** A buffer from `add` until the driver takes it back. */
export interface BufferState {
  /** The number of the buffer in the run, from 1: ids are used again, serials are not. */
  readonly serial: number;
  readonly queue: number;
  /** As the ring has it: head or buffer id. */
  readonly id: number;
  readonly owner: Owner;
  readonly segments: number;
  /** Of the segments, those that the device only reads. */
  readonly readable: number;
  readonly bytes: number;
  /** Guest-physical address of the first segment. */
  readonly address: number | null;
  /** Slots of the ring that its descriptors are in; empty where the memory of the ring was not recorded. */
  readonly slots: readonly number[];
  readonly isIndirect: boolean;
  /** Ids of the mappings that were made for it. */
  readonly mappings: readonly number[];
  /** Bytes that the device says it wrote; `null` before. */
  readonly written: number | null;
}

/** What the device may reach: one buffer, or a region that stays mapped. */
export interface MappingState {
  readonly queue: number;
  /** -1 for a region. */
  readonly id: number;
  readonly kind: 'buffer' | 'pool' | 'coherent';
  /** Guest-physical. */
  readonly address: number;
  readonly deviceAddress: bigint;
  readonly length: number;
  /** A `DmaDirection`. */
  readonly direction: number;
}

/** One queue, as the driver and the memory of its ring have it. */
export interface QueueState {
  readonly index: number;
  /** Entries; 0 before the queue is known. */
  readonly size: number;
  readonly isEnabled: boolean;
  /** How far the driver made buffers available and took used ones back: 16 bits, as `Virtqueue.nextAvailable`. */
  readonly available: number;
  readonly taken: number;
  /** Of a packed ring: the position behind the last buffer that was added, also before it is published. */
  readonly described: number;
  /** Buffers that were pushed and not shown. */
  readonly pushed: number;
  /** `null` where the memory of the ring was not recorded. */
  readonly place: RingPlace | null;
  readonly ring: Uint32Array | null;
  readonly tables: Uint32Array | null;
  /** Mappings that the next `add` is going to use. */
  readonly pending: readonly number[];
}

/** What became of one feature, and the rule that decided it. */
export interface DecisionState {
  readonly feature: string;
  readonly outcome: 'accepted' | 'declined';
  readonly rule: string;
  readonly reason: string;
}

/** All that the events so far say. Never changed: each event makes a new one. */
export interface RunState {
  /** The device status field (section 2.1); -1 before the first access. */
  readonly status: number;
  /** Feature bits; `null` before they were read or written. */
  readonly offered: bigint | null;
  readonly accepted: bigint | null;
  readonly decisions: readonly DecisionState[];
  readonly path: string | null;
  readonly refusal: string | null;
  readonly queues: readonly QueueState[];
  /** Those that the driver has not taken back, the oldest first. */
  readonly buffers: readonly BufferState[];
  readonly mappings: readonly MappingState[];
  /** Buffers added and taken back so far. */
  readonly added: number;
  readonly returned: number;
  /** Available buffer notifications sent, used buffer notifications seen. */
  readonly notified: number;
  readonly interrupts: number;
  readonly faults: number;
  /** Whether any event of the device's own was recorded: otherwise the device is out of sight. */
  readonly seesDevice: boolean;
}

/** Before the first event. */
export const NOTHING_YET: RunState = {
  status: -1,
  offered: null,
  accepted: null,
  decisions: [],
  path: null,
  refusal: null,
  queues: [],
  buffers: [],
  mappings: [],
  added: 0,
  returned: 0,
  notified: 0,
  interrupts: 0,
  faults: 0,
  seesDevice: false,
};

/** Whether a feature bit is among those that the driver wrote. */
export function hasFeature({ accepted }: RunState, feature: number): boolean {
  return accepted !== null && ((accepted >> BigInt(feature)) & 1n) === 1n;
}

/** The queue with this index; `undefined` before any event named it. */
export function queueOf({ queues }: RunState, index: number): QueueState | undefined {
  return queues.find((queue) => queue.index === index);
}

/** The buffer that has this id now; `undefined` where none has. */
export function bufferOf({ buffers }: RunState, queue: number, id: number): BufferState | undefined {
  return buffers.find((buffer) => buffer.queue === queue && buffer.id === id);
}

/** The mapping that contains a device address; `undefined` where nothing recorded does. */
export function mappingAt({ mappings }: RunState, deviceAddress: bigint): MappingState | undefined {
  return mappings.find((mapping) => {
    const offset = deviceAddress - mapping.deviceAddress;
    return offset >= 0n && offset < BigInt(mapping.length);
  });
}

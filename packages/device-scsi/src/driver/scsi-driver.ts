import type { DriverContext, DriverHalf } from '@virtio-platform/core';
import { copyBytes } from '@virtio-platform/core/address-space';
import { FeatureSet } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { Virtqueue } from '@virtio-platform/core/queue';
import { NO_BUFFER } from '@virtio-platform/device-kit';
import * as wire from '../layout.ts';
import { readScsiConfig, writeScsiSizes, type ScsiConfig } from '../scsi-config.ts';
import { VIRTIO_SCSI_F_CHANGE, VIRTIO_SCSI_F_HOTPLUG, VIRTIO_SCSI_F_INOUT } from '../scsi-features.ts';
import { lunOf, targetOf, unitKey } from '../scsi-lun.ts';
import type { SenseCode } from '../scsi-sense.ts';
import { CommandLane } from './command-lane.ts';
import { ControlLane } from './control-lane.ts';
import { EventLane, type ScsiEvent } from './event-lane.ts';

/** What this driver understands of a SCSI host. */
export const SCSI_DRIVER_FEATURES: FeatureSet = FeatureSet.of(
  VIRTIO_SCSI_F_INOUT,
  VIRTIO_SCSI_F_HOTPLUG,
  VIRTIO_SCSI_F_CHANGE,
);

/** What {@link ScsiDriver.submit} returns where a unit has as many commands as `cmd_per_lun` allows. */
export const UNIT_BUSY = -33;

/** What came of a command, in arrays of its own. */
export interface ScsiResult {
  /** `VIRTIO_SCSI_S_OK` and others; `NO_RESPONSE` where the device wrote none. */
  readonly response: number;
  /** The status of the command; counts with response OK. */
  readonly status: number;
  /** 0 for no sense, -1 for sense data that is none. */
  readonly senseCode: SenseCode;
  readonly sense: Uint8Array;
  /** Bytes of data that were not moved. */
  readonly residual: number;
  /** Data-in, without what the residual says was not moved. */
  readonly data: Uint8Array;
  /** What of the answer cannot be, as `FLAW_SENSE_LENGTH` and others; 0 for nothing. */
  readonly flaws: number;
}

/** The indices of the queues of a SCSI host. Throws as {@link readScsiConfig} does. Section 5.6.2. */
export function scsiQueues(config: ScsiConfig): number[] {
  return Array.from({ length: wire.SCSI_REQUEST_QUEUE + config.queues }, (_, index) => index);
}

/**
 * The driver half of a SCSI host (specification 1.4 section 5.6). A command has an id: `command` makes one, or `take`
 * an id, fill its data at `dataAddress`, and `submit` it; `flush`, then `poll` until it comes back, look at its answer
 * by its id, and `give` the id back. The request queues take turns. Hot: no allocation per command.
 */
export class ScsiDriver implements DriverHalf {
  readonly config: ScsiConfig;
  /** Commands in flight at once, of all request queues together. Ids are smaller than it. */
  readonly depth: number;
  /** Most bytes of data of one command. */
  readonly maxBytes: number;
  /** Of the last {@link poll}: the ids of commands that came back. */
  readonly completedIds: Uint16Array;
  readonly #memory: GuestMemory;
  readonly #notify: (queue: Virtqueue) => void;
  readonly #hasBoth: boolean;
  readonly #lanes: readonly CommandLane[];
  readonly #control: ControlLane;
  readonly #events: EventLane;
  /** By id: its lane, and the slot there. */
  readonly #laneOf: Uint8Array;
  readonly #slotOf: Uint16Array;
  /** The first id of each lane. */
  readonly #firstOf: Uint16Array;
  readonly #queues: readonly Virtqueue[];
  /** By place in `#queues`: whether the device wants to be told of what was published. */
  readonly #wanted: Uint8Array;
  #turn = 0;
  #inFlight = 0;

  /**
   * Throws {@link DmaError} when there is no memory, {@link DeviceError} as {@link readScsiConfig} and
   * {@link writeScsiSizes} do, and `ERR_QUEUE_TOO_SMALL`; then nothing stays allocated.
   */
  constructor(context: DriverContext) {
    const { memory, queues, buffers, byteOrder, depth, bytes } = context;
    this.config = readScsiConfig(context);
    writeScsiSizes(context);
    this.#memory = memory;
    this.#notify = context.notify;
    this.#hasBoth = context.accepted.has(VIRTIO_SCSI_F_INOUT);
    const { segMax, maxBytes, eventSize } = this.config;
    const requests = queues.slice(wire.SCSI_REQUEST_QUEUE);
    // With more queues than commands at once, the last queues have nothing to do.
    const count = Math.min(requests.length, depth);
    const parts: { dispose(): void }[] = [];
    const opened = <T extends { dispose(): void }>(part: T): T => {
      parts.push(part);
      return part;
    };
    try {
      this.#lanes = requests.slice(0, count).map(({ queue, mapping }, index) => {
        const share = Math.floor(depth / count) + (index < depth % count ? 1 : 0);
        const limits = { depth: Math.min(share, queue.size), maxBytes: Math.min(bytes, maxBytes), segMax };
        return opened(new CommandLane(memory, queue, mapping, { ...limits, buffers, byteOrder }));
      });
      this.#control = opened(new ControlLane(memory, queues[wire.SCSI_CONTROL_QUEUE]!, buffers, byteOrder));
      this.#events = opened(new EventLane(memory, queues[wire.SCSI_EVENT_QUEUE]!, eventSize, buffers, byteOrder));
    } catch (error) {
      for (const part of parts) part.dispose();
      throw error;
    }
    this.depth = this.#lanes.reduce((sum, lane) => sum + lane.depth, 0);
    this.maxBytes = Math.min(...this.#lanes.map((lane) => lane.maxBytes));
    this.completedIds = new Uint16Array(this.depth);
    this.#laneOf = Uint8Array.from(this.#lanes.flatMap((lane, index) => Array<number>(lane.depth).fill(index)));
    this.#slotOf = Uint16Array.from(this.#lanes.flatMap((lane) => Array.from({ length: lane.depth }, (_, i) => i)));
    this.#firstOf = Uint16Array.from(this.#lanes, (_, index) => this.#laneOf.indexOf(index));
    this.#queues = [this.#control.queue, this.#events.queue, ...this.#lanes.map(({ queue }) => queue)];
    this.#wanted = new Uint8Array(this.#queues.length);
  }

  /** Commands with the device. Hot. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Whether a command is with the device. Hot. */
  isInFlight(id: number): boolean {
    return this.#lane(id).unit[this.#slotOf[id]!]! >= 0;
  }

  /** Control requests with the device. */
  get controlsInFlight(): number {
    return this.#control.queue.outstanding;
  }

  /** Takes an id, or returns -1 when all are in use. Hot. */
  take(): number {
    for (let tries = this.#lanes.length; tries > 0; tries--) {
      const at = this.#turn;
      this.#turn = at + 1 === this.#lanes.length ? 0 : at + 1;
      const slot = this.#lanes[at]!.take();
      if (slot >= 0) return this.#firstOf[at]! + slot;
    }
    return -1;
  }

  /** Gives back an id that was taken and is not in flight. Hot. */
  give(id: number): void {
    this.#lane(id).give(this.#slotOf[id]!);
  }

  /** Where the data-out of an id starts in guest memory, and data-in where there is no data-out. Hot. */
  dataAddress(id: number): number {
    return this.#lane(id).dataAddress(this.#slotOf[id]!);
  }

  /** Where the data-in of a submitted command starts in guest memory. Hot. */
  dataInAddress(id: number): number {
    const lane = this.#lane(id);
    const slot = this.#slotOf[id]!;
    return lane.dataAddress(slot) + lane.inOffset(lane.dataOut[slot]!);
  }

  /**
   * Adds a command for a logical unit, with so many bytes of data in each direction. Returns 0, or a negative reason
   * (`QUEUE_FULL`, `DMA_NO_SPACE`, {@link UNIT_BUSY}) with the id still the caller's: retry after the next completion.
   * Throws `RangeError` for a CDB of more than 32 bytes, for more data than {@link maxBytes}, for data in both
   * directions without SCSI_INOUT, and for an address that no unit has. Hot.
   */
  submit(id: number, target: number, lun: number, cdb: Uint8Array, dataOut: number, dataIn: number): number {
    if (cdb.length > wire.SCSI_CDB_SIZE)
      throw new RangeError(`a CDB of ${cdb.length} bytes; the longest has ${wire.SCSI_CDB_SIZE}`);
    const lane = this.#lane(id);
    const slot = this.#slotOf[id]!;
    if (dataOut < 0 || dataIn < 0 || lane.inOffset(dataOut) + dataIn > this.maxBytes)
      throw new RangeError(`${dataOut} bytes out and ${dataIn} in; a command has at most ${this.maxBytes}`);
    if (dataOut > 0 && dataIn > 0 && !this.#hasBoth)
      throw new RangeError('data in both directions needs SCSI_INOUT (virtio 1.4 §5.6.3)');
    const key = unitKey(target, lun);
    if (this.#inFlight >= this.config.commandsPerUnit && this.#count(key) >= this.config.commandsPerUnit)
      return UNIT_BUSY;
    const reason = lane.submit(slot, target, lun, cdb, dataOut, dataIn);
    if (reason < 0) return reason;
    lane.unit[slot] = key;
    this.#inFlight++;
    return 0;
  }

  /**
   * Makes a command: takes an id, copies `dataOut`, and submits. Returns the id, or a negative reason with nothing
   * taken. Throws as {@link submit} does.
   */
  command(target: number, lun: number, cdb: Uint8Array, dataOut: Uint8Array | undefined, dataIn: number): number {
    const id = this.take();
    if (id < 0) return NO_BUFFER;
    const length = dataOut?.length ?? 0;
    let reason: number;
    try {
      if (length > this.maxBytes)
        throw new RangeError(`${length} bytes of data; a command has at most ${this.maxBytes}`);
      if (dataOut !== undefined) copyBytes(this.#memory.u8, this.dataAddress(id), dataOut, 0, length);
      reason = this.submit(id, target, lun, cdb, length, dataIn);
    } catch (error) {
      this.give(id);
      throw error;
    }
    if (reason < 0) this.give(id);
    return reason < 0 ? reason : id;
  }

  /** Shows to the device what was submitted, and gives it free event buffers. {@link notify} is to follow. Hot. */
  publish(): void {
    this.#events.fill();
    for (let i = 0; i < this.#queues.length; i++) this.#wanted[i] = this.#queues[i]!.publish() ? 1 : 0;
  }

  /** Notifies the device of what was published, where it wants that. Hot. */
  notify(): void {
    for (let i = 0; i < this.#queues.length; i++) if (this.#wanted[i] === 1) this.#notify(this.#queues[i]!);
  }

  /** {@link publish} and {@link notify}. Hot. */
  flush(): void {
    this.publish();
    this.notify();
  }

  /** Takes back commands and returns how many; their ids are in {@link completedIds}. Hot. */
  poll(): number {
    let completed = 0;
    for (let at = 0; at < this.#lanes.length; at++) {
      const lane = this.#lanes[at]!;
      const came = lane.poll();
      for (let i = 0; i < came; i++) {
        const slot = lane.completedSlots[i]!;
        lane.unit[slot] = -1;
        this.completedIds[completed++] = this.#firstOf[at]! + slot;
      }
    }
    this.#inFlight -= completed;
    return completed;
  }

  /** The response of a command that came back; `NO_RESPONSE` where the device wrote none. Hot. */
  responseOf(id: number): number {
    return this.#lane(id).response[this.#slotOf[id]!]!;
  }

  /** The status of a command that came back. Hot. */
  statusOf(id: number): number {
    return this.#lane(id).status[this.#slotOf[id]!]!;
  }

  /** The sense code of a command that came back: 0 without, -1 for sense data that is none. Hot. */
  senseOf(id: number): SenseCode {
    return this.#lane(id).sense[this.#slotOf[id]!]!;
  }

  /** Bytes of data that a command that came back did not move. Hot. */
  residualOf(id: number): number {
    return this.#lane(id).residual[this.#slotOf[id]!]!;
  }

  /** What of the answer cannot be, as `FLAW_SENSE_LENGTH` and others; 0 for nothing. Hot. */
  flawsOf(id: number): number {
    return this.#lane(id).flaws[this.#slotOf[id]!]!;
  }

  /** Of the response to a command: the first byte that says nothing and was written nevertheless; -1 for none. Cold. */
  strayByteOf(id: number): number {
    return this.#lane(id).strayAt(this.#slotOf[id]!);
  }

  /** The used length of a command that came back, its queue and the id of its buffer there. Cold. */
  placeOf(id: number): { readonly used: number; readonly queue: number; readonly buffer: number } {
    const [lane, slot] = [this.#lane(id), this.#slotOf[id]!];
    return { used: lane.usedLength[slot]!, queue: lane.queue.index, buffer: lane.buffer[slot]! };
  }

  /** What came of a command, copied out of guest memory, until its id is given back. Cold. */
  result(id: number): ScsiResult {
    const [lane, slot] = [this.#lane(id), this.#slotOf[id]!];
    const { u8 } = this.#memory;
    const moved = Math.max(0, lane.dataIn[slot]! - lane.residual[slot]!);
    const [senseAt, dataAt] = [lane.senseAddress(slot), this.dataInAddress(id)];
    return {
      response: lane.response[slot]!,
      status: lane.status[slot]!,
      senseCode: lane.sense[slot]!,
      sense: u8.slice(senseAt, senseAt + lane.senseLength[slot]!),
      residual: lane.residual[slot]!,
      data: u8.slice(dataAt, dataAt + moved),
      flaws: lane.flaws[slot]!,
    };
  }

  /**
   * Adds a task management function for a logical unit, or for its target. Returns the id of the control request, or a
   * negative reason. ABORT TASK and QUERY TASK need the id of a command: {@link abort}, {@link queryTask}.
   */
  manage(subtype: number, target: number, lun: number): number {
    return this.#control.manage(subtype, target, lun, 0, 0);
  }

  /** Adds ABORT TASK for a command that is in flight. Returns the id of the control request, or a negative reason. */
  abort(id: number): number {
    return this.#manageTask(wire.VIRTIO_SCSI_T_TMF_ABORT_TASK, id);
  }

  /** Adds QUERY TASK for a command. Returns the id of the control request, or a negative reason. */
  queryTask(id: number): number {
    return this.#manageTask(wire.VIRTIO_SCSI_T_TMF_QUERY_TASK, id);
  }

  /** Asks which of the notifications `events` a unit can report. Returns the id, or a negative reason. */
  queryNotifications(target: number, lun: number, events: number): number {
    return this.#control.notify(wire.VIRTIO_SCSI_T_AN_QUERY, target, lun, events);
  }

  /** Asks a unit to report the notifications `events`. Returns the id, or a negative reason. */
  subscribe(target: number, lun: number, events: number): number {
    return this.#control.notify(wire.VIRTIO_SCSI_T_AN_SUBSCRIBE, target, lun, events);
  }

  /** Takes back control requests and returns how many; their ids are in {@link completedControls}. */
  pollControls(): number {
    return this.#control.poll();
  }

  /** Of the last {@link pollControls}: the ids of control requests that came back. */
  get completedControls(): Uint16Array {
    return this.#control.completedSlots;
  }

  /** The response of a control request that came back; `NO_RESPONSE` where the device wrote none. */
  controlResponse(id: number): number {
    return this.#control.response[id]!;
  }

  /** The events that a unit can report, by a notification request that came back. */
  controlEvents(id: number): number {
    return this.#control.actual[id]!;
  }

  /** Gives back the id of a control request that came back, or that a queue reset returned. */
  giveControl(id: number): void {
    this.#control.give(id);
  }

  /** Takes the events that came; their buffers go back to the device with the next {@link publish}. */
  pollEvents(): readonly ScsiEvent[] {
    return this.#events.poll();
  }

  /**
   * The ids of commands that the reset of a request queue took back, or of control requests where it is the control
   * queue: the caller's again, to be submitted again or given back. Event buffers need nothing of the caller.
   */
  recover(queue: number, ids: readonly number[]): readonly number[] {
    if (queue === wire.SCSI_CONTROL_QUEUE) return this.#control.recover(ids);
    if (queue === wire.SCSI_EVENT_QUEUE) {
      this.#events.recover(ids);
      return [];
    }
    const at = this.#lanes.findIndex((lane) => lane.queue.index === queue);
    if (at < 0) return [];
    const slots = this.#lanes[at]!.recover(ids);
    this.#inFlight -= slots.length;
    for (const slot of slots) this.#lanes[at]!.unit[slot] = -1;
    return slots.map((slot) => this.#firstOf[at]! + slot);
  }

  describeBuffer(queue: number, id: number): string | undefined {
    if (queue === this.#control.queue.index) return this.#control.describeBuffer(id);
    if (queue === this.#events.queue.index) return 'buffer for an event';
    return this.#lanes.find((lane) => lane.queue.index === queue)?.describeBuffer(id);
  }

  dispose(): void {
    for (const lane of this.#lanes) lane.dispose();
    this.#control.dispose();
    this.#events.dispose();
  }

  #lane(id: number): CommandLane {
    return this.#lanes[this.#laneOf[id]!]!;
  }

  /** Commands of a unit in flight. Hot. */
  #count(key: number): number {
    let count = 0;
    for (let at = 0; at < this.#lanes.length; at++) {
      const { unit, depth } = this.#lanes[at]!;
      for (let slot = 0; slot < depth; slot++) if (unit[slot] === key) count++;
    }
    return count;
  }

  #manageTask(subtype: number, id: number): number {
    const [lane, slot] = [this.#lane(id), this.#slotOf[id]!];
    const key = lane.unit[slot]!;
    if (key < 0) throw new RangeError(`command ${id} is not in flight`);
    return this.#control.manage(subtype, targetOf(key), lunOf(key), lane.tagLow[slot]!, lane.tagHigh[slot]!);
  }
}

import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import { readChain, writeChain } from '@virtio-platform/device-kit';
import * as wire from '../layout.ts';
import { readLun, targetOf } from '../scsi-lun.ts';
import { SENSE } from '../scsi-sense.ts';
import type { HeldCommand, HeldCommands } from './held-commands.ts';
import type { ScsiBus } from './scsi-bus.ts';

/** What a control request does to the commands that are held: ends each with this response. */
export type EndCommand = (command: HeldCommand, response: number) => void;

/** The control queue of a SCSI host: task management, and notifications, of which disks have none (section 5.6.6.2). */
export class ControlRequests {
  readonly #bus: ScsiBus;
  readonly #held: HeldCommands;
  readonly #end: EndCommand;
  readonly #littleEndian: boolean;
  readonly #bytes: Uint8Array = new Uint8Array(wire.SCSI_TMF_SIZE);
  readonly #view: DataView = new DataView(this.#bytes.buffer);
  readonly #answer: Uint8Array = new Uint8Array(wire.SCSI_AN_ANSWER_SIZE);

  constructor(bus: ScsiBus, held: HeldCommands, end: EndCommand, byteOrder: ByteOrder) {
    this.#bus = bus;
    this.#held = held;
    this.#end = end;
    this.#littleEndian = byteOrder === 'little';
  }

  /** Answers a control request. One that has no room for its answer gets none. */
  process(chain: DescriptorChain, space: DeviceAddressSpace): number {
    if (!readChain(chain, space, 0, this.#bytes, 0, 4))
      return this.#respond(chain, space, 1, wire.VIRTIO_SCSI_S_FAILURE);
    const type = this.#view.getUint32(0, this.#littleEndian);
    const isNotification = type === wire.VIRTIO_SCSI_T_AN_QUERY || type === wire.VIRTIO_SCSI_T_AN_SUBSCRIBE;
    const [size, answerSize] = isNotification ? [wire.SCSI_AN_SIZE, wire.SCSI_AN_ANSWER_SIZE] : [wire.SCSI_TMF_SIZE, 1];
    const isKnown = isNotification || type === wire.VIRTIO_SCSI_T_TMF;
    // Nothing happens where the driver could not be told.
    if (chain.writableBytes < answerSize) return 0;
    if (!isKnown || !readChain(chain, space, 0, this.#bytes, 0, size))
      return this.#respond(chain, space, answerSize, wire.VIRTIO_SCSI_S_FAILURE);
    return this.#respond(chain, space, answerSize, isNotification ? this.#notify() : this.#manage());
  }

  #respond(chain: DescriptorChain, space: DeviceAddressSpace, size: number, response: number): number {
    if (chain.writableBytes < size) return 0;
    this.#answer.fill(0);
    this.#answer[size - 1] = response;
    return writeChain(chain, space, 0, this.#answer, 0, size) ? size : 0;
  }

  /** Of a unit: `undefined` where it is there, and otherwise the response for that. */
  #missing(key: number): number | undefined {
    if (this.#bus.find(key) !== undefined) return undefined;
    return key >= 0 && this.#bus.hasTarget(targetOf(key))
      ? wire.VIRTIO_SCSI_S_INCORRECT_LUN
      : wire.VIRTIO_SCSI_S_BAD_TARGET;
  }

  /** No event of a disk is one of those (section 5.6.6.2): `event_actual` is 0. */
  #notify(): number {
    return this.#missing(readLun(this.#bytes, 4)) ?? wire.VIRTIO_SCSI_S_OK;
  }

  #manage(): number {
    const subtype = this.#view.getUint32(4, this.#littleEndian);
    const key = readLun(this.#bytes, 8);
    // The unit is ignored where a function is for a whole target.
    if (subtype === wire.VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET) return this.#resetTarget(key);
    const missing = this.#missing(key);
    if (missing !== undefined) return missing;
    const [low, high] = [this.#view.getUint32(16, true), this.#view.getUint32(20, true)];
    const isTask = (task: HeldCommand): boolean => task.key === key && task.low === low && task.high === high;
    const isOfUnit = (task: HeldCommand): boolean => task.key === key;
    switch (subtype) {
      case wire.VIRTIO_SCSI_T_TMF_ABORT_TASK:
        return this.#abort(isTask, wire.VIRTIO_SCSI_S_ABORTED);
      case wire.VIRTIO_SCSI_T_TMF_ABORT_TASK_SET:
      case wire.VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET:
        return this.#abort(isOfUnit, wire.VIRTIO_SCSI_S_ABORTED);
      case wire.VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET:
        this.#bus.find(key)?.reset(SENSE.LOGICAL_UNIT_RESET);
        return this.#abort(isOfUnit, wire.VIRTIO_SCSI_S_RESET);
      case wire.VIRTIO_SCSI_T_TMF_QUERY_TASK:
        return this.#held.has(isTask) ? wire.VIRTIO_SCSI_S_FUNCTION_SUCCEEDED : wire.VIRTIO_SCSI_S_OK;
      case wire.VIRTIO_SCSI_T_TMF_QUERY_TASK_SET:
        return this.#held.has(isOfUnit) ? wire.VIRTIO_SCSI_S_FUNCTION_SUCCEEDED : wire.VIRTIO_SCSI_S_OK;
      default:
        return wire.VIRTIO_SCSI_S_FUNCTION_REJECTED;
    }
  }

  #resetTarget(key: number): number {
    const target = targetOf(key);
    if (key < 0 || !this.#bus.hasTarget(target)) return wire.VIRTIO_SCSI_S_BAD_TARGET;
    for (const unit of this.#bus.units) if (unit.target === target) unit.reset(SENSE.NEXUS_LOSS);
    return this.#abort((task) => targetOf(task.key) === target, wire.VIRTIO_SCSI_S_RESET);
  }

  #abort(isWanted: (task: HeldCommand) => boolean, response: number): number {
    this.#held.take(isWanted, (task) => this.#end(task, response));
    return wire.VIRTIO_SCSI_S_OK;
  }
}

import { KEPT, type DeviceEvents, type DeviceModel, type DeviceQueues } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_IN_ORDER, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import { ConfigSpace, isBackingError, readChain, writeChain } from '@virtio-platform/device-kit';
import * as wire from '../layout.ts';
import { SCSI_CONFIG } from '../scsi-config.ts';
import { VIRTIO_SCSI_F_CHANGE, VIRTIO_SCSI_F_HOTPLUG, VIRTIO_SCSI_F_INOUT } from '../scsi-features.ts';
import { readLun, unitKey } from '../scsi-lun.ts';
import { FIXED_SENSE_SIZE, SCSI_CHECK_CONDITION, SCSI_GOOD, SENSE, writeSense, type SenseCode } from '../scsi-sense.ts';
import type { ScsiChange, ScsiSlowness } from '../scsi-settings.ts';
import { CommandBuffers, LONGEST_CDB } from './command-buffers.ts';
import { OVERRUN } from './command-answer.ts';
import { ControlRequests } from './control-requests.ts';
import type { DiskUnit } from './disk-unit.ts';
import { EventReports } from './event-reports.ts';
import { HeldCommands, type HeldCommand } from './held-commands.ts';
import { BAD_TARGET, ScsiBus } from './scsi-bus.ts';

/** The settings of the SCSI device half. */
export interface ScsiDeviceOptions {
  /** Request queues. */
  readonly queues: number;
  /** Largest size of each queue, in entries. */
  readonly queueSize: number;
  /** What happens to disks. Nothing unless given. */
  readonly changes?: readonly ScsiChange[];
  /** Which commands are answered late. None unless given. */
  readonly slow?: ScsiSlowness | undefined;
  /** Of configuration and requests: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
}

/** Bytes of sense data at most: of `sense_size`. SPC-4 section 4.5. */
const LONGEST_SENSE = 252;
/** The shortest CDB. */
const SHORTEST_CDB = 6;
/** Requests of one unit at once, as QEMU says. */
const COMMANDS_PER_UNIT = 128;
/** What max_sectors says: 8 MiB. */
const MAX_SECTORS = 0x4000;

/**
 * The device half of a SCSI host (specification 1.4 section 5.6) with disks: commands on any request queue, task
 * management on the control queue, events on the event queue. Takes any framing of a request, but from a legacy driver
 * without ANY_LAYOUT only request and response in descriptors of their own (section 5.6.6.4).
 *
 * A request that has no room for its response gets FAILURE in as much of it as fits, or nothing.
 */
export class ScsiDevice implements DeviceModel {
  readonly features: FeatureSet = FeatureSet.of(VIRTIO_SCSI_F_INOUT, VIRTIO_SCSI_F_HOTPLUG, VIRTIO_SCSI_F_CHANGE);
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array;
  readonly usesEventLoop: boolean;
  readonly #config: ConfigSpace;
  readonly #options: ScsiDeviceOptions;
  readonly #littleEndian: boolean;
  readonly #bus: ScsiBus;
  readonly #held = new HeldCommands();
  readonly #control: ControlRequests;
  readonly #reports: EventReports;
  readonly #changes: readonly ScsiChange[];
  readonly #io = new CommandBuffers();
  readonly #request: Uint8Array = new Uint8Array(wire.SCSI_REQUEST_HEADER_SIZE + LONGEST_CDB);
  readonly #requestView: DataView = new DataView(this.#request.buffer);
  readonly #response: Uint8Array = new Uint8Array(wire.SCSI_RESPONSE_HEADER_SIZE + LONGEST_SENSE);
  readonly #responseView: DataView = new DataView(this.#response.buffer);
  #events: DeviceEvents | undefined;
  #accepted = FeatureSet.EMPTY;
  #requestSize = wire.SCSI_REQUEST_HEADER_SIZE + wire.SCSI_CDB_SIZE;
  #responseSize = wire.SCSI_RESPONSE_HEADER_SIZE + wire.SCSI_SENSE_SIZE;
  #needsFraming = false;
  #isInOrder = false;
  #handled = 0;
  #changed = 0;
  #space: DeviceAddressSpace | undefined;
  #queues: DeviceQueues | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Owns the backings of `units`. */
  constructor(units: readonly DiskUnit[], options: ScsiDeviceOptions) {
    const { queues, queueSize, byteOrder, slow } = options;
    this.#options = options;
    this.#littleEndian = byteOrder === 'little';
    this.#bus = new ScsiBus(units);
    this.#reports = new EventReports(byteOrder);
    const end = (command: HeldCommand, response: number): void => this.#endHeld(command, response);
    this.#control = new ControlRequests(this.#bus, this.#held, end, byteOrder);
    this.#changes = (options.changes ?? []).toSorted((a, b) => a.after - b.after);
    this.usesEventLoop = slow !== undefined;
    this.queueSizes = Array.from({ length: wire.SCSI_REQUEST_QUEUE + queues }, () => queueSize);
    this.#config = new ConfigSpace(SCSI_CONFIG, byteOrder);
    this.config = this.#config.bytes;
    this.#config.set(SCSI_CONFIG.num_queues, queues);
    this.#config.set(SCSI_CONFIG.seg_max, Math.max(1, queueSize - 2));
    this.#config.set(SCSI_CONFIG.max_sectors, MAX_SECTORS);
    this.#config.set(SCSI_CONFIG.cmd_per_lun, COMMANDS_PER_UNIT);
    this.#config.set(SCSI_CONFIG.event_info_size, wire.SCSI_EVENT_SIZE);
    this.#config.set(SCSI_CONFIG.max_target, Math.max(...units.map(({ target }) => target)));
    this.#config.set(SCSI_CONFIG.max_lun, Math.max(...units.map(({ lun }) => lun)));
    this.reset();
  }

  connect(events: DeviceEvents): void {
    this.#events = events;
  }

  /** Both sizes have their first values again (section 5.6.4). */
  reset(): void {
    this.#config.set(SCSI_CONFIG.sense_size, wire.SCSI_SENSE_SIZE);
    this.#config.set(SCSI_CONFIG.cdb_size, wire.SCSI_CDB_SIZE);
    this.#useSizes();
  }

  /** Ignores sizes that no CDB and no sense data has. */
  writeConfig(offset: number, source: Uint8Array): void {
    const value = new DataView(source.buffer, source.byteOffset, source.length).getUint32(0, this.#littleEndian);
    const isCdb = offset === SCSI_CONFIG.cdb_size.offset;
    if (isCdb ? value < SHORTEST_CDB || value > LONGEST_CDB : value > LONGEST_SENSE) return;
    this.#config.set(isCdb ? SCSI_CONFIG.cdb_size : SCSI_CONFIG.sense_size, value);
    this.#useSizes();
  }

  start(accepted: FeatureSet): void {
    this.#accepted = accepted;
    this.#needsFraming = !accepted.has(VIRTIO_F_VERSION_1) && !accepted.has(VIRTIO_F_ANY_LAYOUT);
    this.#isInOrder = accepted.has(VIRTIO_F_IN_ORDER);
    this.#held.clear();
    this.#reports.clear();
    this.#wait();
    for (const unit of this.#bus.units) unit.reset(SENSE.RESET);
  }

  forget(queue: number): void {
    this.#held.take((command) => command.queue === queue);
    this.#wait();
  }

  /** With IN_ORDER, the commands behind one that is held wait for it. */
  wants(queue: number): boolean {
    if (queue === wire.SCSI_EVENT_QUEUE) return this.#reports.hasEvent;
    return !this.#isInOrder || !this.#held.hasOfQueue(queue);
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    this.#space = space;
    this.#queues = queues;
    if (queue === wire.SCSI_EVENT_QUEUE) return this.#reports.deliver(chain, space);
    if (queue === wire.SCSI_CONTROL_QUEUE) return this.#control.process(chain, space);
    this.#handled++;
    while (this.#changed < this.#changes.length && this.#changes[this.#changed]!.after < this.#handled)
      this.#change(this.#changes[this.#changed++]!);
    if (!this.#isWellFormed(chain)) return this.#refuse(chain, space);
    if (!readChain(chain, space, 0, this.#request, 0, this.#requestSize))
      return this.#respond(chain, space, wire.VIRTIO_SCSI_S_FAILURE, SENSE.NONE);
    const key = readLun(this.#request, 0);
    const { slow } = this.#options;
    if (slow === undefined || this.#handled % slow.every !== 0 || this.#bus.find(key) === undefined)
      return this.#execute(queue, key, chain, space);
    if (!this.#held.hasRoom(chain)) return this.#respond(chain, space, wire.VIRTIO_SCSI_S_BUSY, SENSE.NONE);
    // The id is compared, and means nothing: as it stands, whatever the byte order.
    const [low, high] = [this.#requestView.getUint32(8, true), this.#requestView.getUint32(12, true)];
    this.#held.hold(chain, queue, key, low, high, performance.now() + slow.delay);
    this.#wait();
    return KEPT;
  }

  refuse(queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    if (queue < wire.SCSI_REQUEST_QUEUE || !this.#isWellFormed(chain)) return KEPT;
    return this.#respond(chain, space, wire.VIRTIO_SCSI_S_FAILURE, SENSE.NONE);
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held.clear();
    for (const unit of this.#bus.units) unit.backing.dispose();
  }

  #useSizes(): void {
    const view = new DataView(this.config.buffer);
    this.#requestSize = wire.SCSI_REQUEST_HEADER_SIZE + view.getUint32(SCSI_CONFIG.cdb_size.offset, this.#littleEndian);
    this.#responseSize =
      wire.SCSI_RESPONSE_HEADER_SIZE + view.getUint32(SCSI_CONFIG.sense_size.offset, this.#littleEndian);
  }

  #isWellFormed(chain: DescriptorChain): boolean {
    if (chain.readableBytes < this.#requestSize || chain.writableBytes < this.#responseSize) return false;
    if (!this.#needsFraming) return true;
    return chain.length[0] === this.#requestSize && chain.length[chain.readable] === this.#responseSize;
  }

  /** Answers a request that is none: FAILURE, as far as there is room for a response without sense. */
  #refuse(chain: DescriptorChain, space: DeviceAddressSpace): number {
    if (chain.writableBytes < wire.SCSI_RESPONSE_HEADER_SIZE) return 0;
    this.#response.fill(0, 0, wire.SCSI_RESPONSE_HEADER_SIZE);
    this.#response[11] = wire.VIRTIO_SCSI_S_FAILURE;
    const isWritten = writeChain(chain, space, 0, this.#response, 0, wire.SCSI_RESPONSE_HEADER_SIZE);
    return isWritten ? wire.SCSI_RESPONSE_HEADER_SIZE : 0;
  }

  /** Executes the command of `#request`. Returns how many bytes were written in front. */
  #execute(queue: number, key: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    const io = this.#io;
    io.begin(chain, space, this.#requestSize, this.#responseSize);
    const isBoth = io.dataIn > 0 && io.dataOut > 0;
    if (isBoth && !this.#accepted.has(VIRTIO_SCSI_F_INOUT))
      return this.#respond(chain, space, wire.VIRTIO_SCSI_S_FAILURE, SENSE.NONE);
    io.cdb.fill(0);
    for (let i = wire.SCSI_REQUEST_HEADER_SIZE; i < this.#requestSize; i++)
      io.cdb[i - wire.SCSI_REQUEST_HEADER_SIZE] = this.#request[i]!;
    const code = this.#run(queue, key);
    if (code === OVERRUN) return this.#respond(chain, space, wire.VIRTIO_SCSI_S_OVERRUN, SENSE.NONE);
    if (code === BAD_TARGET) return this.#respond(chain, space, wire.VIRTIO_SCSI_S_BAD_TARGET, SENSE.NONE);
    return this.#respond(chain, space, wire.VIRTIO_SCSI_S_OK, code);
  }

  /** A command whose backing fails gets a medium error, and is reported. */
  #run(queue: number, key: number): SenseCode {
    try {
      return this.#bus.execute(key, this.#io);
    } catch (error) {
      if (!isBackingError(error)) throw error;
      this.#queues?.report(queue, error);
      return this.#io.dataIn > 0 ? SENSE.READ_ERROR : SENSE.WRITE_ERROR;
    }
  }

  /** Writes the response, and the sense data of a code. Returns how many bytes were written in front. */
  #respond(chain: DescriptorChain, space: DeviceAddressSpace, response: number, code: SenseCode): number {
    const io = this.#io;
    const view = this.#responseView;
    const isExecuted = response === wire.VIRTIO_SCSI_S_OK;
    const length = Math.max(0, chain.readableBytes - this.#requestSize + chain.writableBytes - this.#responseSize);
    const room = this.#responseSize - wire.SCSI_RESPONSE_HEADER_SIZE;
    this.#response.fill(0, 0, wire.SCSI_RESPONSE_HEADER_SIZE + LONGEST_SENSE);
    view.setUint32(0, code === SENSE.NONE ? 0 : Math.min(FIXED_SENSE_SIZE, room), this.#littleEndian);
    view.setUint32(4, length - (isExecuted ? io.transferred : 0), this.#littleEndian);
    this.#response[10] = code === SENSE.NONE ? SCSI_GOOD : SCSI_CHECK_CONDITION;
    this.#response[11] = response;
    if (code !== SENSE.NONE) writeSense(this.#response, wire.SCSI_RESPONSE_HEADER_SIZE, code);
    if (!writeChain(chain, space, 0, this.#response, 0, this.#responseSize)) return 0;
    return this.#responseSize + (isExecuted ? io.writtenInFront : 0);
  }

  /** Answers a command that was held, without executing it. */
  #endHeld({ chain, queue }: HeldCommand, response: number): void {
    this.#queues!.push(queue, chain.head, this.#respond(chain, this.#space!, response, SENSE.NONE));
  }

  /** Executes the commands whose time has come. */
  #goOn(): void {
    this.#timer = undefined;
    const now = performance.now();
    this.#held.take(
      ({ due }) => due <= now,
      ({ chain, queue, key }) => {
        const space = this.#space!;
        // The driver may have changed the sizes since.
        const isRead = this.#isWellFormed(chain) && readChain(chain, space, 0, this.#request, 0, this.#requestSize);
        const written = isRead ? this.#execute(queue, key, chain, space) : this.#refuse(chain, space);
        this.#queues!.push(queue, chain.head, written);
      },
    );
    this.#wait();
    this.#events?.queueChanged();
  }

  /** Sets the timer for the command that is due next. */
  #wait(): void {
    const { nextDue } = this.#held;
    if (nextDue === Infinity) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else this.#timer ??= setTimeout(() => this.#goOn(), Math.max(0, Math.ceil(nextDue - performance.now())));
  }

  /** Something happens to a disk. A disk whose backing cannot be resized stays as it is. */
  #change({ do: what, target, lun, capacity }: ScsiChange): void {
    const key = unitKey(target, lun);
    const unit = this.#bus.units.find((candidate) => candidate.key === key);
    if (unit === undefined) return;
    if (what === 'resize') return this.#resize(unit, capacity!);
    const isPlugged = what === 'reset' ? unit.isPlugged : what === 'plug';
    if (what !== 'reset' && unit.isPlugged === isPlugged) return;
    // A command of a unit that goes is completed first (section 5.6.6.1).
    const response = what === 'reset' ? wire.VIRTIO_SCSI_S_RESET : wire.VIRTIO_SCSI_S_FAILURE;
    this.#held.take(
      (command) => command.key === key,
      (command) => this.#endHeld(command, response),
    );
    unit.isPlugged = isPlugged;
    unit.reset(SENSE.RESET);
    if (what === 'reset') {
      this.#reports.add(wire.VIRTIO_SCSI_T_TRANSPORT_RESET, unit, wire.VIRTIO_SCSI_EVT_RESET_HARD);
      return;
    }
    this.#bus.announce(unit);
    if (!this.#accepted.has(VIRTIO_SCSI_F_HOTPLUG)) return;
    const reason = isPlugged ? wire.VIRTIO_SCSI_EVT_RESET_RESCAN : wire.VIRTIO_SCSI_EVT_RESET_REMOVED;
    this.#reports.add(wire.VIRTIO_SCSI_T_TRANSPORT_RESET, unit, reason);
  }

  #resize(unit: DiskUnit, capacity: number): void {
    try {
      unit.backing.resize(capacity);
    } catch (error) {
      if (!isBackingError(error)) throw error;
      this.#queues?.report(wire.SCSI_REQUEST_QUEUE, error);
      return;
    }
    unit.attend(SENSE.CAPACITY_CHANGED);
    const reason = ((SENSE.CAPACITY_CHANGED >> 8) & 0xff) | ((SENSE.CAPACITY_CHANGED & 0xff) << 8);
    if (this.#accepted.has(VIRTIO_SCSI_F_CHANGE)) this.#reports.add(wire.VIRTIO_SCSI_T_PARAM_CHANGE, unit, reason);
  }
}

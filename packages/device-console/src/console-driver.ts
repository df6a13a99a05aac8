import { type BufferMapping, type DriverQueue, isCodedError, type NegotiatedDevice } from '@virtio-platform/core';
import { type MessageDriver, type MessageLink, QueuePair } from '@virtio-platform/device-kit';
import { FeatureSet } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, Virtqueue } from '@virtio-platform/core/queue';
import { type ConsoleSize, readConsoleSize } from './console-config.ts';
import type { ConsoleEvent, ConsoleEventKind } from './console-events.ts';
import { VIRTIO_CONSOLE_F_EMERG_WRITE, VIRTIO_CONSOLE_F_MULTIPORT, VIRTIO_CONSOLE_F_SIZE } from './console-features.ts';
import { ConsolePort, type PortState } from './console-port.ts';
import {
  CONTROL_MESSAGE_BYTES,
  CONTROL_MESSAGE_COUNT,
  ControlChannel,
  type ControlMessage,
} from './control-channel.ts';
import { writeEmergency } from './emergency.ts';
import * as wire from './layout.ts';

/** What this driver understands of a console. */
export const CONSOLE_DRIVER_FEATURES: FeatureSet = FeatureSet.of(
  VIRTIO_CONSOLE_F_SIZE,
  VIRTIO_CONSOLE_F_MULTIPORT,
  VIRTIO_CONSOLE_F_EMERG_WRITE,
);

/** The settings of the console driver half. */
export interface ConsoleDriverOptions {
  /** Ports that the device may announce; without MULTIPORT those there are. */
  readonly ports: number;
  /** Whether MULTIPORT was accepted: control messages go first. */
  readonly hasControl: boolean;
  /** Messages of each port in flight at once. */
  readonly depth: number;
  /** Longest message in bytes. */
  readonly bytes: number;
  readonly buffers: BufferMapping;
  /** Of control messages: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
  /** Sends an available buffer notification. */
  readonly notify: (queue: Virtqueue) => void;
  /**
   * The device, for the size of port 0 and for emergency characters. Without it the driver has neither.
   */
  readonly device?: NegotiatedDevice | undefined;
}

/** The indices of the queues of a console, those of each port together and the control queues last. Section 5.3.2. */
export function consoleQueues(ports: number, hasControl: boolean): number[] {
  const indices = Array.from({ length: ports }, (_, port) => [
    wire.consoleReceiveQueue(port),
    wire.consoleReceiveQueue(port) + 1,
  ]);
  const control = hasControl ? [wire.CONSOLE_CONTROL_RECEIVE, wire.CONSOLE_CONTROL_RECEIVE + 1] : [];
  return [...indices.flat(), ...control];
}

/** The queues of a number that ports were announced under, and the port that has them now or had them last. */
interface PortLine {
  readonly pair: QueuePair;
  port: ConsolePort;
  state: PortState;
}

/** Milliseconds for which a port that comes again waits for what the device has of the port before. */
const MOST_WAIT_MS = 500;
const NO_EVENTS: readonly ConsoleEvent[] = [];

/**
 * The driver half of a console (specification 1.4 section 5.3). With MULTIPORT its ports are those that the device
 * announced and did not remove, of which it may have fewer than max_nr_ports, and a port carries bytes once both sides
 * opened it. Without, there is port 0, open from the start.
 *
 * {@link poll} takes the control messages of the device, and answers them as Linux does. A message that the
 * specification forbids is counted in {@link violations} and has no effect.
 */
export class ConsoleDriver implements MessageDriver {
  /** By number; those that were ever announced. */
  readonly #lines: (PortLine | undefined)[] = [];
  readonly #openPair: (port: number) => QueuePair;
  readonly #options: ConsoleDriverOptions;
  readonly #control: ControlChannel | undefined;
  readonly #hear: (message: ControlMessage | undefined) => void = (message) => this.#take(message);
  /** Announced again, while the device has transmit buffers of the port before: by number, and since when. */
  readonly #waiting = new Map<number, number>();
  #present: readonly ConsolePort[] = [];
  #events: ConsoleEvent[] = [];
  #isReady = false;
  #size: ConsoleSize | undefined;
  #violations = 0;
  #firstViolation: string | undefined;

  /**
   * `queues` are those of {@link consoleQueues}. Throws {@link DmaError} when there is no memory; then nothing stays
   * allocated. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for a device that does not have its size.
   */
  constructor(memory: GuestMemory, queues: readonly DriverQueue[], options: ConsoleDriverOptions) {
    const { ports, hasControl, depth, bytes, buffers, notify, device } = options;
    this.#options = options;
    this.#size = device && readConsoleSize(device);
    const common = { header: 0, splitsHeader: false, buffers, notify };
    const open = (index: number, count: number, receiveBytes: number, transmitBytes: number): QueuePair => {
      const counts = { receiveCount: count, receiveBytes, transmitCount: count, transmitBytes };
      return new QueuePair(memory, queues[index]!, queues[index + 1]!, { ...common, ...counts });
    };
    this.#openPair = (port) => open(2 * port, depth, bytes, bytes);
    if (hasControl) {
      const pair = open(2 * ports, CONTROL_MESSAGE_COUNT, CONTROL_MESSAGE_BYTES, wire.CONSOLE_CONTROL_SIZE);
      this.#control = new ControlChannel(pair, options.byteOrder === 'little');
    } else {
      const { state } = this.#add(0);
      state.isConsole = state.isOpenHere = state.isOpenThere = true;
      this.#isReady = true;
    }
  }

  /** The ports that the device announced and did not remove, by their numbers. */
  get ports(): readonly ConsolePort[] {
    return this.#present;
  }

  /** A port that the device has, by its number. */
  port(id: number): ConsolePort | undefined {
    return this.#present.find((port) => port.id === id);
  }

  get links(): readonly MessageLink[] {
    return this.#present;
  }

  /**
   * Whether all announced ports are open: a device announces all of its ports when the driver says that it is ready,
   * before it answers what the driver says of one (section 5.3.5).
   */
  get isConnected(): boolean {
    return this.#present.length > 0 && this.#waiting.size === 0 && this.#present.every(({ isOpen }) => isOpen);
  }

  /** The size of port 0 as the configuration has it; `undefined` where SIZE was not accepted. */
  get size(): ConsoleSize | undefined {
    return this.#size;
  }

  /** Messages of the device that the specification forbids, and in words what is wrong with the first. */
  get violations(): { readonly count: number; readonly first: string | undefined } {
    return { count: this.#violations, first: this.#firstViolation };
  }

  /**
   * Takes what the device said of its ports, answers it, sends what {@link ConsolePort.open} and `close` have to say,
   * and returns what changed, in order. The first call tells the device that the driver is ready. Throws {@link
   * DmaError} where no control message can ever be mapped.
   */
  poll(): readonly ConsoleEvent[] {
    this.#step();
    if (this.#events.length === 0) return NO_EVENTS;
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /**
   * {@link poll}, and opens each port that was added. Returns how much happened. Throws {@link DmaError} also where
   * there is no memory for a port.
   */
  connect(): number {
    let progress = this.#step();
    for (const event of this.#events.splice(0)) {
      if (event.kind === 'failed') throw event.error;
      if (event.kind === 'added') event.port.open();
      progress++;
    }
    return progress;
  }

  /**
   * Writes one character, 0 to 255, past the queues: see {@link writeEmergency}, which needs no driver half. Returns
   * whether the device offers that.
   */
  writeEmergency(character: number): boolean {
    const { device } = this.#options;
    return device !== undefined && writeEmergency(device, character);
  }

  /** The size in the configuration is that of port 0 (section 5.3.6). */
  configChanged(): string | undefined {
    const { device } = this.#options;
    const before = this.#size;
    const size = device && readConsoleSize(device);
    if (size === undefined || before === undefined) return undefined;
    if (isSameSize(size, before)) return undefined;
    this.#size = size;
    const line = this.#lines[0];
    if (line?.state.isPresent === true && line.state.isConsole) this.#resize(line, size);
    return `size ${formatSize(before)} to ${formatSize(size)}`;
  }

  describeBuffer(queue: number, id: number): string | undefined {
    for (const line of this.#lines) {
      const text = line?.pair.describeBuffer(queue, id, 'message');
      if (text !== undefined) return `${text} of port ${line!.port.id}`;
    }
    return this.#control?.describeBuffer(queue, id);
  }

  dispose(): void {
    for (const line of this.#lines) line?.pair.dispose();
    this.#control?.dispose();
  }

  #step(): number {
    const control = this.#control;
    if (control === undefined) return 0;
    if (!this.#isReady) control.say(0, wire.VIRTIO_CONSOLE_DEVICE_READY, 1);
    this.#isReady = true;
    const progress = control.exchange(this.#hear);
    return this.#waiting.size === 0 ? progress : progress + this.#admit();
  }

  /**
   * Takes the ports whose queues the device has emptied: what it would find there is of the port before. QEMU loses a
   * buffer where it waited for its host, so that the wait ends at some time.
   */
  #admit(): number {
    let progress = 0;
    for (const [id, since] of this.#waiting) {
      const { pair } = this.#lines[id]!;
      progress += pair.flush();
      if (pair.inFlight > 0 && performance.now() - since < MOST_WAIT_MS) continue;
      this.#waiting.delete(id);
      this.#welcome(id);
      progress++;
    }
    return progress;
  }

  /** The queues of a number keep their buffers when the port goes, as in Linux: a port that comes again has them. */
  #add(id: number): PortLine {
    const before = this.#lines[id];
    const pair = before?.pair ?? this.#openPair(id);
    before?.port.abandon();
    if (before !== undefined) before.state.isReplaced = true;
    const state: PortState = {
      name: '',
      isConsole: false,
      size: id === 0 ? this.#size : undefined,
      isPresent: true,
      isReplaced: false,
      isOpenHere: false,
      isOpenThere: false,
    };
    const port = new ConsolePort(id, this.#options.bytes, pair, state, this.#control);
    const line = (this.#lines[id] = { pair, port, state });
    this.#listPorts();
    return line;
  }

  #listPorts(): void {
    this.#present = this.#lines.flatMap((line) => (line?.state.isPresent === true ? [line.port] : []));
  }

  /** Takes one control message. */
  #take(message: ControlMessage | undefined): void {
    if (message === undefined)
      return this.#refuse(`a control message of fewer than ${wire.CONSOLE_CONTROL_SIZE} bytes`);
    const { id, event } = message;
    if (event === wire.VIRTIO_CONSOLE_DEVICE_ADD) return this.#announce(id);
    if (event === wire.VIRTIO_CONSOLE_DEVICE_REMOVE && this.#waiting.delete(id)) return;
    const line = this.#lines[id];
    if (line?.state.isPresent === true) return this.#takeOf(line, message);
    // QEMU says that a port which is plugged is open before it adds it, and again once the port is ready.
    if (event !== wire.VIRTIO_CONSOLE_PORT_OPEN) this.#refuse(`event ${event} of port ${id}, which is not there`);
  }

  #takeOf(line: PortLine, { event, value, behind }: ControlMessage): void {
    const { state, port } = line;
    switch (event) {
      case wire.VIRTIO_CONSOLE_DEVICE_REMOVE:
        state.isPresent = false;
        this.#listPorts();
        return this.#tell('removed', port);
      case wire.VIRTIO_CONSOLE_CONSOLE_PORT:
        // Linux ignores value 0, and opens a console once.
        if (value === 0 || state.isConsole) return;
        state.isConsole = true;
        this.#tell('console', port);
        // Section 5.3.6.2.2: the driver answers so, whatever it said before.
        return port.confirmOpen();
      case wire.VIRTIO_CONSOLE_RESIZE:
        if (behind.length < wire.CONSOLE_RESIZE_SIZE) return this.#refuse(`RESIZE of port ${port.id} without a size`);
        // As Linux: only a console has a size.
        if (!state.isConsole) return this.#refuse(`RESIZE of port ${port.id}, which is no console`);
        return this.#resize(line, this.#readSize(behind));
      case wire.VIRTIO_CONSOLE_PORT_OPEN:
        if (state.isOpenThere === (value !== 0)) return;
        state.isOpenThere = value !== 0;
        return this.#tell(state.isOpenThere ? 'opened' : 'closed', port);
      case wire.VIRTIO_CONSOLE_PORT_NAME:
        state.name = readName(behind);
        return this.#tell('named', port);
      default:
        return this.#refuse(`the unknown event ${event} of port ${port.id}`);
    }
  }

  #announce(id: number): void {
    if (id >= this.#options.ports)
      return this.#refuse(`DEVICE_ADD of port ${id}, and there may be ports 0 to ${this.#options.ports - 1}`);
    // QEMU announces a port that was plugged before DEVICE_READY again after it; Linux answers again.
    const line = this.#lines[id];
    if (line?.state.isPresent === true) this.#control!.say(id, wire.VIRTIO_CONSOLE_PORT_READY, 1);
    else if (line !== undefined && line.pair.inFlight > 0) this.#waiting.set(id, performance.now());
    else this.#welcome(id);
  }

  /** Takes a port that was announced, and tells the device that it is ready. */
  #welcome(id: number): void {
    try {
      const { pair, port } = this.#add(id);
      // The device may send as soon as the port is ready.
      pair.flush();
      this.#control!.say(id, wire.VIRTIO_CONSOLE_PORT_READY, 1);
      this.#tell('added', port);
    } catch (error) {
      if (!isCodedError(error)) throw error;
      this.#control!.say(id, wire.VIRTIO_CONSOLE_PORT_READY, 0);
      this.#events.push({ kind: 'failed', id, error });
    }
  }

  #resize({ state, port }: PortLine, size: ConsoleSize): void {
    // The device says the size of port 0 twice: in its configuration, and with RESIZE.
    if (state.size !== undefined && isSameSize(state.size, size)) return;
    state.size = size;
    this.#tell('resized', port);
  }

  #readSize(behind: Uint8Array): ConsoleSize {
    const view = new DataView(behind.buffer, behind.byteOffset, wire.CONSOLE_RESIZE_SIZE);
    const littleEndian = this.#options.byteOrder === 'little';
    return { columns: view.getUint16(0, littleEndian), rows: view.getUint16(2, littleEndian) };
  }

  /** A device may change a size as often as it likes: one event is enough. */
  #tell(kind: ConsoleEventKind, port: ConsolePort): void {
    const isTold = (event: ConsoleEvent): boolean => event.kind === 'resized' && event.port === port;
    if (kind === 'resized' && this.#events.some(isTold)) return;
    this.#events.push({ kind, port });
  }

  #refuse(what: string): void {
    this.#violations++;
    this.#firstViolation ??= what;
  }
}

/** A name has no terminator (section 5.3.6.2), and QEMU sends one. */
function readName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function isSameSize(one: ConsoleSize, other: ConsoleSize): boolean {
  return one.columns === other.columns && one.rows === other.rows;
}

function formatSize({ columns, rows }: ConsoleSize): string {
  return `${columns}x${rows}`;
}

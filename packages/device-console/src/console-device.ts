import { type DeviceEvents, type DeviceModel, type DeviceQueues } from '@virtio-platform/core';
import { ConfigSpace, readChain, writeChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet } from '@virtio-platform/core/features';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import { VIRTIO_CONSOLE_F_EMERG_WRITE, VIRTIO_CONSOLE_F_MULTIPORT, VIRTIO_CONSOLE_F_SIZE } from './console-features.ts';
import { controlMessage } from './control-message.ts';
import * as wire from './layout.ts';
import { CONSOLE_CONFIG, type ConsoleSize } from './console-config.ts';
import { EchoPort } from './echo-port.ts';
import {
  type ConsoleChange,
  type ConsolePortSettings,
  firstPorts,
  inOrder,
  leastPorts,
  portName,
} from './port-settings.ts';

/** The settings of the console device half. */
export interface ConsoleDeviceOptions {
  /** Characters. */
  readonly columns: number;
  readonly rows: number;
  /** Those that are plugged from the start, or how many of them; at most 31. */
  readonly ports: number | readonly ConsolePortSettings[];
  /** Ports for which there are queues, 1 to 31. As many as `ports` and `changes` need unless given. */
  readonly maxPorts?: number | undefined;
  /** What happens as messages come. Nothing unless given. */
  readonly changes?: readonly ConsoleChange[] | undefined;
  /** Largest size of each queue, in entries. */
  readonly queueSize: number;
  /** Bytes that each port holds while the driver gives it no receive buffer. */
  readonly backlog?: number;
  /** Of configuration and control messages: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
}

const PORT_BACKLOG = 0x4000;
/** The device takes no control message of the driver while so many of its own wait for a buffer. */
const MANY_MESSAGES = 64;
/**
 * The most control messages that wait for a buffer of the driver, of all senders together: the device drops further
 * ones, as QEMU drops each that finds no buffer.
 */
const MOST_MESSAGES = 1024;
/** Emergency characters that are remembered. */
const EMERGENCY_LENGTH = 256;

/**
 * The device half of a console (specification 1.4 section 5.3) that gives back on each port what it is sent there.
 * Without MULTIPORT port 0 is open from the start; with it, each port works once the driver opened it.
 *
 * An emergency character is output like any other: it is remembered, and the first console gives it back.
 */
export class ConsoleDevice implements DeviceModel {
  readonly features: FeatureSet = FeatureSet.of(
    VIRTIO_CONSOLE_F_SIZE,
    VIRTIO_CONSOLE_F_MULTIPORT,
    VIRTIO_CONSOLE_F_EMERG_WRITE,
  );
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array;
  readonly #config: ConfigSpace;
  readonly #littleEndian: boolean;
  readonly #initial: readonly ConsolePortSettings[];
  readonly #changes: readonly ConsoleChange[];
  /** By number, whether something is plugged or not. */
  readonly #ports: readonly EchoPort[];
  readonly #message: Uint8Array = new Uint8Array(wire.CONSOLE_CONTROL_SIZE);
  readonly #messageView: DataView = new DataView(this.#message.buffer);
  /** Control messages for the driver, each as its bytes. */
  #messages: Uint8Array[] = [];
  #hasControl = false;
  /** Whether the driver said that it is ready for control messages. */
  #isDriverReady = false;
  /** Messages that were taken on all ports since the start, and changes that happened. */
  #taken = 0;
  #changed = 0;
  #emergency = '';
  /** Emergency characters that the first console has to give back. */
  #echoed: number[] = [];
  #events: DeviceEvents | undefined;

  constructor(options: ConsoleDeviceOptions) {
    const { ports, changes = [], queueSize, backlog = PORT_BACKLOG } = options;
    this.#initial = typeof ports === 'number' ? firstPorts(ports) : ports;
    this.#changes = inOrder(changes);
    const { maxPorts = leastPorts(this.#initial, changes) } = options;
    this.#littleEndian = options.byteOrder === 'little';
    this.queueSizes = Array.from({ length: 2 * maxPorts + 2 }, () => queueSize);
    this.#ports = Array.from(
      { length: maxPorts },
      (_, port) => new EchoPort(wire.consoleReceiveQueue(port) + 1, queueSize, backlog),
    );
    for (const port of this.#initial) this.#ports[port.id]!.settings = port;
    this.#config = new ConfigSpace(CONSOLE_CONFIG, options.byteOrder);
    this.#config.set(CONSOLE_CONFIG.cols, options.columns);
    this.#config.set(CONSOLE_CONFIG.rows, options.rows);
    this.#config.set(CONSOLE_CONFIG.max_nr_ports, maxPorts);
    this.config = this.#config.bytes;
  }

  connect(events: DeviceEvents): void {
    this.#events = events;
  }

  /** What was written to `emerg_wr`, the last of it. */
  get emergency(): string {
    return this.#emergency;
  }

  /** What is plugged, by number. */
  get plugged(): readonly ConsolePortSettings[] {
    return this.#ports.flatMap(({ settings }) => (settings === undefined ? [] : [settings]));
  }

  /** Plugs a port. Throws `RangeError` for a number that the device has no queues for, or that is taken. */
  addPort(settings: ConsolePortSettings): void {
    const port = this.#ports[settings.id];
    if (port === undefined)
      throw new RangeError(`port ${settings.id} of ${this.#ports.length}, of which 0 is the first`);
    if (port.settings !== undefined) throw new RangeError(`port ${settings.id} is there`);
    port.plug(settings);
    if (!this.#hasControl) port.isOpenThere = settings.id === 0;
    else if (this.#isDriverReady) this.#announce(settings.id, port);
    this.#events?.queueChanged();
  }

  /** Unplugs a port, with what it holds. Throws `RangeError` where there is none of the number. */
  removePort(id: number): void {
    const port = this.#pluggedPort(id);
    port.drop();
    if (port.isAnnounced) this.#say(id, wire.VIRTIO_CONSOLE_DEVICE_REMOVE, 1);
    port.plug(undefined);
    this.#events?.queueChanged();
  }

  /**
   * Opens or closes the device's side of a port; what a port that is closed holds is lost. Throws `RangeError` where
   * there is no port of the number.
   */
  setOpen(id: number, isOpen: boolean): void {
    const port = this.#pluggedPort(id);
    if (port.isOpenHere === isOpen) return;
    port.isOpenHere = isOpen;
    if (!isOpen) port.drop();
    if (port.isReady) this.#say(id, wire.VIRTIO_CONSOLE_PORT_OPEN, isOpen ? 1 : 0);
    this.#events?.queueChanged();
  }

  /**
   * Gives a console another size. That of port 0 is in the configuration too (section 5.3.6). Throws `RangeError` for
   * what is no console, or no size.
   */
  resize({ columns, rows }: ConsoleSize, id = 0): void {
    const port = this.#pluggedPort(id);
    if (port.settings?.console !== true) throw new RangeError(`port ${id} is no console`);
    for (const count of [columns, rows])
      if (!(Number.isInteger(count) && count >= 0 && count <= 0xffff)) throw new RangeError(`${count} characters`);
    if (id === 0) {
      this.#config.set(CONSOLE_CONFIG.cols, columns);
      this.#config.set(CONSOLE_CONFIG.rows, rows);
      this.#events?.configChanged();
    }
    port.size = { columns, rows };
    if (port.isReady) this.#saySize(id, port.size);
    this.#events?.queueChanged();
  }

  /**
   * The one writable field: emergency characters, also from a driver that did not accept the feature (section 5.3.5.1).
   */
  writeConfig(_offset: number, source: Uint8Array): void {
    const character = source[this.#littleEndian ? 0 : 3]!;
    this.#emergency = (this.#emergency + String.fromCharCode(character)).slice(-EMERGENCY_LENGTH);
    if (this.#echoed.length >= EMERGENCY_LENGTH) return;
    this.#echoed.push(character);
    this.#events?.queueChanged();
  }

  /** Changes begin with the first again, and with the ports that were there before them. */
  start(accepted: FeatureSet): void {
    this.#hasControl = accepted.has(VIRTIO_CONSOLE_F_MULTIPORT);
    this.#isDriverReady = false;
    this.#messages = [];
    this.#echoed = [];
    this.#taken = 0;
    this.#changed = 0;
    this.#ports.forEach((port, id) => {
      if (this.#changes.length > 0) port.plug(this.#initial.find((each) => each.id === id));
      else port.reset();
      // Without control messages the one port is open, and nothing else is there.
      if (!this.#hasControl && id === 0) port.isOpenThere = true;
    });
  }

  wants(queue: number): boolean {
    if (queue === wire.CONSOLE_CONTROL_RECEIVE) return this.#messages.length > 0;
    if (queue === wire.CONSOLE_CONTROL_TRANSMIT) return this.#hasControl && this.#messages.length < MANY_MESSAGES;
    const port = this.#portOf(queue);
    if (!this.#hasControl && port !== this.#ports[0]) return false;
    if (!isReceive(queue)) return port.wantsTransmit;
    return port.wantsReceive || (this.#echoed.length > 0 && port.isOpen && port === this.#firstConsole);
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    if (queue === wire.CONSOLE_CONTROL_RECEIVE) return this.#deliverMessage(chain, space);
    if (queue === wire.CONSOLE_CONTROL_TRANSMIT) {
      this.#takeMessage(chain, space);
      return 0;
    }
    const port = this.#portOf(queue);
    if (!isReceive(queue)) return this.#takeData(port, chain, space, queues);
    if (this.#echoed.length > 0 && port === this.#firstConsole) return this.#deliverEmergency(chain, space);
    return port.deliver(chain, space, queues);
  }

  forget(queue: number): void {
    if (!isReceive(queue) && queue !== wire.CONSOLE_CONTROL_TRANSMIT) this.#portOf(queue).forget();
  }

  dispose(): void {}

  get #firstConsole(): EchoPort | undefined {
    return this.#ports.find(({ settings, isOpenHere }) => settings?.console === true && isOpenHere);
  }

  #portOf(queue: number): EchoPort {
    return this.#ports[queue < wire.CONSOLE_CONTROL_RECEIVE ? 0 : (queue >> 1) - 1]!;
  }

  #pluggedPort(id: number): EchoPort {
    const port = this.#ports[id];
    if (port?.settings === undefined) throw new RangeError(`port ${id} is not there`);
    return port;
  }

  #takeData(port: EchoPort, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    const written = port.take(chain, space, queues);
    this.#taken++;
    if (this.#changed < this.#changes.length) this.#changeWhenDue();
    return written;
  }

  #changeWhenDue(): void {
    for (let next = this.#changes[this.#changed]; next !== undefined; next = this.#changes[this.#changed]) {
      if (next.after > this.#taken) return;
      this.#changed++;
      const { add, remove, close, open, resize } = next;
      if (add !== undefined) this.addPort(add);
      if (remove !== undefined) this.removePort(remove);
      if (close !== undefined) this.setOpen(close, false);
      if (open !== undefined) this.setOpen(open, true);
      if (resize !== undefined) this.resize(resize, resize.port);
    }
  }

  #deliverEmergency(chain: DescriptorChain, space: DeviceAddressSpace): number {
    const bytes = Uint8Array.from(this.#echoed.splice(0, chain.writableBytes));
    return writeChain(chain, space, 0, bytes, 0, bytes.length) ? bytes.length : 0;
  }

  /** A message that the driver has no room for is lost, as its buffer says. */
  #deliverMessage(chain: DescriptorChain, space: DeviceAddressSpace): number {
    const message = this.#messages.shift()!;
    if (chain.writableBytes < message.length) return 0;
    return writeChain(chain, space, 0, message, 0, message.length) ? message.length : 0;
  }

  /** Ignores what is too short, unknown, or about a port that does not exist. */
  #takeMessage(chain: DescriptorChain, space: DeviceAddressSpace): void {
    if (!readChain(chain, space, 0, this.#message, 0, wire.CONSOLE_CONTROL_SIZE)) return;
    const id = this.#messageView.getUint32(0, this.#littleEndian);
    const event = this.#messageView.getUint16(4, this.#littleEndian);
    const value = this.#messageView.getUint16(6, this.#littleEndian);
    if (event === wire.VIRTIO_CONSOLE_DEVICE_READY) {
      this.#isDriverReady = value === 1;
      if (this.#isDriverReady) this.#ports.forEach((port, index) => this.#announce(index, port));
      return;
    }
    const port = id < wire.CONSOLE_MAX_PORTS ? this.#ports[id] : undefined;
    if (port?.settings === undefined) return;
    if (event === wire.VIRTIO_CONSOLE_PORT_READY && value === 1) this.#introduce(id, port, port.settings);
    else if (event === wire.VIRTIO_CONSOLE_PORT_OPEN) {
      port.isOpenThere = value === 1;
      if (value !== 1) port.drop();
    }
  }

  /** The driver is told of a port once: the device must not add one that exists (section 5.3.6.2.1). */
  #announce(id: number, port: EchoPort): void {
    if (port.settings === undefined || port.isAnnounced) return;
    port.isAnnounced = true;
    this.#say(id, wire.VIRTIO_CONSOLE_DEVICE_ADD, 1);
  }

  #introduce(id: number, port: EchoPort, settings: ConsolePortSettings): void {
    port.isReady = true;
    if (settings.console) this.#say(id, wire.VIRTIO_CONSOLE_CONSOLE_PORT, 1);
    if (port.size !== undefined) this.#saySize(id, port.size);
    const name = portName(settings);
    if (name !== '') this.#say(id, wire.VIRTIO_CONSOLE_PORT_NAME, 1, new TextEncoder().encode(name));
    if (port.isOpenHere) this.#say(id, wire.VIRTIO_CONSOLE_PORT_OPEN, 1);
  }

  #saySize(id: number, { columns, rows }: ConsoleSize): void {
    const size = new DataView(new ArrayBuffer(wire.CONSOLE_RESIZE_SIZE));
    size.setUint16(0, columns, this.#littleEndian);
    size.setUint16(2, rows, this.#littleEndian);
    this.#say(id, wire.VIRTIO_CONSOLE_RESIZE, 0, new Uint8Array(size.buffer));
  }

  #say(id: number, event: number, value: number, behind?: Uint8Array): void {
    if (this.#messages.length >= MOST_MESSAGES) return;
    this.#messages.push(controlMessage(this.#littleEndian, id, event, value, behind));
  }
}

function isReceive(queue: number): boolean {
  return queue % 2 === 0;
}

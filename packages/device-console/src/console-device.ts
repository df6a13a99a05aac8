import { type DeviceModel, type DeviceQueues } from '@virtio-platform/core';
import { ConfigSpace, readChain, writeChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet } from '@virtio-platform/core/features';
import type { ByteOrder, DescriptorChain } from '@virtio-platform/core/queue';
import { VIRTIO_CONSOLE_F_EMERG_WRITE, VIRTIO_CONSOLE_F_MULTIPORT, VIRTIO_CONSOLE_F_SIZE } from './console-features.ts';
import {
  CONSOLE_CONTROL_RECEIVE,
  CONSOLE_CONTROL_SIZE,
  CONSOLE_CONTROL_TRANSMIT,
  consoleReceiveQueue,
  VIRTIO_CONSOLE_CONSOLE_PORT,
  VIRTIO_CONSOLE_DEVICE_ADD,
  VIRTIO_CONSOLE_DEVICE_READY,
  VIRTIO_CONSOLE_PORT_NAME,
  VIRTIO_CONSOLE_PORT_OPEN,
  VIRTIO_CONSOLE_PORT_READY,
} from './layout.ts';
import { CONSOLE_CONFIG } from './console-config.ts';
import { EchoPort } from './echo-port.ts';

/** The settings of the console device half. */
export interface ConsoleDeviceOptions {
  /** Characters. */
  readonly columns: number;
  readonly rows: number;
  /** 1 to 31. */
  readonly ports: number;
  /** Largest size of each queue, in entries. */
  readonly queueSize: number;
  /** Bytes that each port holds while the driver gives it no receive buffer. */
  readonly backlog?: number;
  /** Of configuration and control messages: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
}

const PORT_BACKLOG = 0x4000;
/** A driver that does not read its control messages is not listened to any more once so many wait for it. */
const MANY_MESSAGES = 64;
/** Emergency characters that are remembered. */
const EMERGENCY_LENGTH = 256;

/**
 * The device half of a console (specification 1.4 section 5.3) that gives back on each port what it is sent there.
 * Without MULTIPORT port 0 is open from the start; with it, each port works once the driver opened it.
 */
export class ConsoleDevice implements DeviceModel {
  readonly features: FeatureSet = FeatureSet.of(
    VIRTIO_CONSOLE_F_SIZE,
    VIRTIO_CONSOLE_F_MULTIPORT,
    VIRTIO_CONSOLE_F_EMERG_WRITE,
  );
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array;
  readonly #littleEndian: boolean;
  readonly #ports: readonly EchoPort[];
  readonly #message: Uint8Array = new Uint8Array(CONSOLE_CONTROL_SIZE);
  readonly #messageView: DataView = new DataView(this.#message.buffer);
  /** Control messages for the driver, each as its bytes. */
  #messages: Uint8Array[] = [];
  #hasControl = false;
  #emergency = '';

  constructor(options: ConsoleDeviceOptions) {
    const { ports, queueSize, backlog = PORT_BACKLOG } = options;
    this.#littleEndian = options.byteOrder === 'little';
    this.queueSizes = Array.from({ length: 2 * ports + 2 }, () => queueSize);
    this.#ports = Array.from(
      { length: ports },
      (_, port) => new EchoPort(consoleReceiveQueue(port) + 1, queueSize, backlog),
    );
    const config = new ConfigSpace(CONSOLE_CONFIG, options.byteOrder);
    config.set(CONSOLE_CONFIG.cols, options.columns);
    config.set(CONSOLE_CONFIG.rows, options.rows);
    config.set(CONSOLE_CONFIG.max_nr_ports, ports);
    this.config = config.bytes;
  }

  /** What was written to `emerg_wr`, the last of it. */
  get emergency(): string {
    return this.#emergency;
  }

  /**
   * The one writable field: emergency characters, also from a driver that did not accept the feature (section 5.3.5.1).
   */
  writeConfig(_offset: number, source: Uint8Array): void {
    const character = source[this.#littleEndian ? 0 : 3]!;
    this.#emergency = (this.#emergency + String.fromCharCode(character)).slice(-EMERGENCY_LENGTH);
  }

  start(accepted: FeatureSet): void {
    this.#hasControl = accepted.has(VIRTIO_CONSOLE_F_MULTIPORT);
    this.#messages = [];
    this.#ports.forEach((port, index) => port.reset(!this.#hasControl && index === 0));
  }

  wants(queue: number): boolean {
    if (queue === CONSOLE_CONTROL_RECEIVE) return this.#messages.length > 0;
    if (queue === CONSOLE_CONTROL_TRANSMIT) return this.#hasControl && this.#messages.length < MANY_MESSAGES;
    const port = this.#portOf(queue);
    return isReceive(queue) ? port.wantsReceive : port.wantsTransmit;
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    if (queue === CONSOLE_CONTROL_RECEIVE) return this.#deliverMessage(chain, space);
    if (queue === CONSOLE_CONTROL_TRANSMIT) {
      this.#takeMessage(chain, space, queues);
      return 0;
    }
    const port = this.#portOf(queue);
    return isReceive(queue) ? port.deliver(chain, space, queues) : port.take(chain, space);
  }

  forget(queue: number): void {
    if (!isReceive(queue) && queue !== CONSOLE_CONTROL_TRANSMIT) this.#portOf(queue).forget();
  }

  dispose(): void {}

  #portOf(queue: number): EchoPort {
    return this.#ports[queue < CONSOLE_CONTROL_RECEIVE ? 0 : (queue >> 1) - 1]!;
  }

  /** A message that the driver has no room for is lost, as its buffer says. */
  #deliverMessage(chain: DescriptorChain, space: DeviceAddressSpace): number {
    const message = this.#messages.shift()!;
    if (chain.writableBytes < message.length) return 0;
    return writeChain(chain, space, 0, message, 0, message.length) ? message.length : 0;
  }

  /** Ignores what is too short, unknown, or about a port that does not exist. */
  #takeMessage(chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): void {
    if (!readChain(chain, space, 0, this.#message, 0, CONSOLE_CONTROL_SIZE)) return;
    const id = this.#messageView.getUint32(0, this.#littleEndian);
    const event = this.#messageView.getUint16(4, this.#littleEndian);
    const value = this.#messageView.getUint16(6, this.#littleEndian);
    const port = this.#ports[id];
    if (event === VIRTIO_CONSOLE_DEVICE_READY) {
      if (value === 1) this.#ports.forEach((_, index) => this.#say(index, VIRTIO_CONSOLE_DEVICE_ADD, 1));
    } else if (port === undefined) return;
    else if (event === VIRTIO_CONSOLE_PORT_READY && value === 1) this.#introduce(id);
    else if (event === VIRTIO_CONSOLE_PORT_OPEN) {
      if (value === 1) port.isOpen = true;
      else port.close(queues);
    }
  }

  #introduce(id: number): void {
    if (id === 0) this.#say(id, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
    this.#say(id, VIRTIO_CONSOLE_PORT_NAME, 1, `echo.${id}`);
    this.#say(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
  }

  #say(id: number, event: number, value: number, name = ''): void {
    const message = new Uint8Array(CONSOLE_CONTROL_SIZE + name.length);
    const view = new DataView(message.buffer);
    view.setUint32(0, id, this.#littleEndian);
    view.setUint16(4, event, this.#littleEndian);
    view.setUint16(6, value, this.#littleEndian);
    message.set(new TextEncoder().encode(name), CONSOLE_CONTROL_SIZE);
    this.#messages.push(message);
  }
}

function isReceive(queue: number): boolean {
  return queue % 2 === 0;
}

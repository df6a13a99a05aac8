import { type BufferMapping, type DriverQueue } from '@virtio-platform/core';
import { MappingFailures, type MessageDriver, type MessageLink, QueuePair } from '@virtio-platform/device-kit';
import { FeatureSet } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, Virtqueue } from '@virtio-platform/core/queue';
import { VIRTIO_CONSOLE_F_EMERG_WRITE, VIRTIO_CONSOLE_F_MULTIPORT, VIRTIO_CONSOLE_F_SIZE } from './console-features.ts';
import {
  CONSOLE_CONTROL_RECEIVE,
  CONSOLE_CONTROL_SIZE,
  consoleReceiveQueue,
  VIRTIO_CONSOLE_CONSOLE_PORT,
  VIRTIO_CONSOLE_DEVICE_ADD,
  VIRTIO_CONSOLE_DEVICE_READY,
  VIRTIO_CONSOLE_DEVICE_REMOVE,
  VIRTIO_CONSOLE_PORT_OPEN,
  VIRTIO_CONSOLE_PORT_READY,
} from './layout.ts';

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
}

/** A control message with a name; longer ones are cut, and say nothing that this driver needs. */
const MESSAGE_BYTES = 128;
const MESSAGE_COUNT = 32;

/** The indices of the queues of a console, those of each port together and the control queues last. Section 5.3.2. */
export function consoleQueues(ports: number, hasControl: boolean): number[] {
  const indices = Array.from({ length: ports }, (_, port) => [
    consoleReceiveQueue(port),
    consoleReceiveQueue(port) + 1,
  ]);
  const control = hasControl ? [CONSOLE_CONTROL_RECEIVE, CONSOLE_CONTROL_RECEIVE + 1] : [];
  return [...indices.flat(), ...control];
}

/** What the driver knows of a port. */
interface Port {
  readonly pair: QueuePair;
  readonly link: MessageLink;
  /** Whether the device announced it, and did not take it away. */
  isAnnounced: boolean;
  /** Whether both sides opened it. */
  isOpen: boolean;
}

/**
 * The driver half of a console (specification 1.4 section 5.3): each port is a stream of bytes, both ways. With
 * MULTIPORT the device announces its ports, of which it may have fewer than max_nr_ports, and a port carries bytes once
 * both sides opened it. The driver is connected once all announced ports are open: a device announces all of its ports
 * when the driver says that it is ready, before it answers what the driver says of one (section 5.3.5).
 */
export class ConsoleDriver implements MessageDriver {
  /** By number; those of which a buffer was ever needed. */
  readonly #ports: (Port | undefined)[] = [];
  readonly #open: (port: number) => QueuePair;
  readonly #most: number;
  readonly #control: QueuePair | undefined;
  readonly #littleEndian: boolean;
  readonly #message: Uint8Array = new Uint8Array(MESSAGE_BYTES);
  readonly #messageView: DataView = new DataView(this.#message.buffer);
  /** Control messages that found no buffer yet. */
  readonly #unsent: Uint8Array[] = [];
  readonly #failures: MappingFailures = new MappingFailures('a control message');
  #isAnnounced = false;

  /**
   * `queues` are those of {@link consoleQueues}. Throws {@link DmaError} when there is no memory; then nothing stays
   * allocated.
   */
  constructor(memory: GuestMemory, queues: readonly DriverQueue[], options: ConsoleDriverOptions) {
    const { ports, hasControl, depth, bytes, buffers, notify } = options;
    this.#littleEndian = options.byteOrder === 'little';
    this.#most = ports;
    const common = { header: 0, splitsHeader: false, buffers, notify };
    const open = (index: number, count: number, length: number): QueuePair => {
      const counts = { receiveCount: count, receiveBytes: length, transmitCount: count, transmitBytes: length };
      return new QueuePair(memory, queues[index]!, queues[index + 1]!, { ...common, ...counts });
    };
    this.#open = (port) => open(2 * port, depth, bytes);
    if (hasControl) this.#control = open(2 * ports, MESSAGE_COUNT, MESSAGE_BYTES);
    else this.#add(0).isOpen = true;
  }

  get links(): readonly MessageLink[] {
    return this.#announced.map(({ link }) => link);
  }

  get isConnected(): boolean {
    const ports = this.#announced;
    return ports.length > 0 && this.#unsent.length === 0 && ports.every(({ isOpen }) => isOpen);
  }

  /** Throws {@link DmaError} when there is no memory for the buffers of a port that the device announces. */
  connect(): number {
    const control = this.#control;
    if (control === undefined) return 0;
    if (!this.#isAnnounced) this.#say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
    this.#isAnnounced = true;
    let progress = 0;
    for (let length = control.receive(this.#message, 0); length >= 0; length = control.receive(this.#message, 0)) {
      progress++;
      if (length >= CONSOLE_CONTROL_SIZE) this.#hear();
    }
    while (this.#unsent.length > 0) {
      const reason = control.send(this.#unsent[0]!, CONSOLE_CONTROL_SIZE);
      if (reason < 0) {
        if (control.inFlight === 0) this.#failures.failed(reason);
        break;
      }
      this.#failures.ended();
      this.#unsent.shift();
      progress++;
    }
    return progress + control.flush();
  }

  dispose(): void {
    for (const port of this.#ports) port?.pair.dispose();
    this.#control?.dispose();
  }

  get #announced(): Port[] {
    return this.#ports.filter((port): port is Port => port?.isAnnounced === true);
  }

  /** A port that is announced. Its buffers are allocated when it first is: a device may have fewer than it may have. */
  #add(id: number): Port {
    const known = this.#ports[id];
    if (known !== undefined) {
      known.isAnnounced = true;
      return known;
    }
    const pair = this.#open(id);
    return (this.#ports[id] = { pair, link: new ConsoleLink(pair), isAnnounced: true, isOpen: false });
  }

  /** Does nothing for a port that the device should not have, or did not announce. */
  #hear(): void {
    const id = this.#messageView.getUint32(0, this.#littleEndian);
    const event = this.#messageView.getUint16(4, this.#littleEndian);
    const value = this.#messageView.getUint16(6, this.#littleEndian);
    if (id >= this.#most) return;
    if (event === VIRTIO_CONSOLE_DEVICE_ADD) {
      this.#add(id);
      this.#say(id, VIRTIO_CONSOLE_PORT_READY, 1);
      this.#say(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
      return;
    }
    const port = this.#ports[id];
    if (port === undefined || !port.isAnnounced) return;
    if (event === VIRTIO_CONSOLE_DEVICE_REMOVE) port.isAnnounced = port.isOpen = false;
    else if (event === VIRTIO_CONSOLE_PORT_OPEN) port.isOpen = value === 1;
    // Section 5.3.6.2.2: the driver answers so, whatever it said before.
    else if (event === VIRTIO_CONSOLE_CONSOLE_PORT) this.#say(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
  }

  /** A device that makes the driver say more than it can send has its oldest requests answered only. */
  #say(id: number, event: number, value: number): void {
    if (this.#unsent.length >= 4 * MESSAGE_COUNT) return;
    const message = new Uint8Array(CONSOLE_CONTROL_SIZE);
    const view = new DataView(message.buffer);
    view.setUint32(0, id, this.#littleEndian);
    view.setUint16(4, event, this.#littleEndian);
    view.setUint16(6, value, this.#littleEndian);
    this.#unsent.push(message);
  }
}

/** A port as its users see it. */
class ConsoleLink implements MessageLink {
  readonly isFramed = false;
  readonly #pair: QueuePair;

  constructor(pair: QueuePair) {
    this.#pair = pair;
  }

  get inFlight(): number {
    return this.#pair.inFlight;
  }

  get receiveQueue(): number {
    return this.#pair.receiveQueue;
  }

  send(source: Uint8Array, length: number): number {
    return this.#pair.send(source, length);
  }

  /** A buffer that came back empty says nothing. */
  receive(target: Uint8Array): number {
    for (let length = this.#pair.receive(target, 0); length >= 0; length = this.#pair.receive(target, 0)) {
      if (length > 0) return length;
    }
    return 0;
  }

  flush(): number {
    return this.#pair.flush();
  }
}

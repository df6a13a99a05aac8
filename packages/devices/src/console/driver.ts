import {
  FeatureSet,
  VIRTIO_CONSOLE_F_EMERG_WRITE,
  VIRTIO_CONSOLE_F_MULTIPORT,
  VIRTIO_CONSOLE_F_SIZE,
} from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, Virtqueue } from '@virtio-platform/core/queue';
import type { BufferMapping } from '../buffer-mapping.ts';
import { NO_BUFFER } from '../buffer-slots.ts';
import type { DriverQueue } from '../driver-queue.ts';
import type { MessageDriver, MessageLink } from '../message-link.ts';
import { QueuePair } from '../queue-pair.ts';
import {
  CONSOLE_CONTROL_RECEIVE,
  CONSOLE_CONTROL_SIZE,
  consoleReceiveQueue,
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

/**
 * The driver half of a console (specification 1.4 section 5.3): each port is a stream of bytes, both ways. With
 * MULTIPORT the device announces its ports, and a port carries bytes once both sides opened it.
 */
export class ConsoleDriver implements MessageDriver {
  readonly links: readonly MessageLink[];
  readonly #ports: readonly QueuePair[];
  readonly #control: QueuePair | undefined;
  readonly #littleEndian: boolean;
  readonly #message: Uint8Array = new Uint8Array(MESSAGE_BYTES);
  readonly #messageView: DataView = new DataView(this.#message.buffer);
  /** One for each port that both sides opened. */
  readonly #isOpen: Uint8Array;
  /** Control messages that found no buffer yet. */
  readonly #unsent: Uint8Array[] = [];
  #isAnnounced = false;

  /**
   * `queues` are those of {@link consoleQueues}. Throws {@link DmaError} when there is no memory; then nothing stays
   * allocated.
   */
  constructor(memory: GuestMemory, queues: readonly DriverQueue[], options: ConsoleDriverOptions) {
    const { ports, hasControl, depth, bytes, buffers, notify } = options;
    this.#littleEndian = options.byteOrder === 'little';
    this.#isOpen = new Uint8Array(ports).fill(hasControl ? 0 : 1);
    const pairs: QueuePair[] = [];
    const common = { header: 0, splitsHeader: false, buffers, notify };
    const open = (index: number, count: number, length: number): QueuePair => {
      const counts = { receiveCount: count, receiveBytes: length, transmitCount: count, transmitBytes: length };
      const pair = new QueuePair(memory, queues[index]!, queues[index + 1]!, { ...common, ...counts });
      pairs.push(pair);
      return pair;
    };
    try {
      this.#ports = Array.from({ length: ports }, (_, port) => open(2 * port, depth, bytes));
      this.#control = hasControl ? open(2 * ports, MESSAGE_COUNT, MESSAGE_BYTES) : undefined;
    } catch (error) {
      for (const pair of pairs) pair.dispose();
      throw error;
    }
    this.links = this.#ports.map((pair) => new ConsoleLink(pair));
  }

  get isConnected(): boolean {
    return this.#isOpen.every((isOpen) => isOpen === 1);
  }

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
    let reason = 0;
    while (this.#unsent.length > 0) {
      reason = control.send(this.#unsent[0]!, CONSOLE_CONTROL_SIZE);
      if (reason < 0) break;
      this.#unsent.shift();
      progress++;
    }
    progress += control.flush();
    return progress === 0 && reason < 0 && reason !== NO_BUFFER && control.inFlight === 0 ? reason : progress;
  }

  dispose(): void {
    for (const port of this.#ports) port.dispose();
    this.#control?.dispose();
  }

  /** Does nothing for a port that the device should not have. */
  #hear(): void {
    const id = this.#messageView.getUint32(0, this.#littleEndian);
    const event = this.#messageView.getUint16(4, this.#littleEndian);
    const value = this.#messageView.getUint16(6, this.#littleEndian);
    if (id >= this.#isOpen.length) return;
    if (event === VIRTIO_CONSOLE_DEVICE_ADD) {
      this.#say(id, VIRTIO_CONSOLE_PORT_READY, 1);
      this.#say(id, VIRTIO_CONSOLE_PORT_OPEN, 1);
    } else if (event === VIRTIO_CONSOLE_DEVICE_REMOVE) this.#isOpen[id] = 0;
    else if (event === VIRTIO_CONSOLE_PORT_OPEN) this.#isOpen[id] = value === 1 ? 1 : 0;
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

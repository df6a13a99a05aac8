import { DeviceError, type BufferMapping, type DriverQueue } from '@virtio-platform/core';
import { BufferSlots, NO_BUFFER } from '@virtio-platform/device-kit';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { Virtqueue } from '@virtio-platform/core/queue';
import { NET_COMMAND_SIZE, VIRTIO_NET_ERR, VIRTIO_NET_OK } from '../layout.ts';
import { MOST_COMMAND_DATA, type NetCommand } from './net-command.ts';

/** The settings of a control channel. */
export interface ControlChannelOptions {
  /** Whether class and command have a descriptor of their own, as on the legacy interface. */
  readonly splitsHeader: boolean;
  readonly buffers: BufferMapping;
  readonly notify: (queue: Virtqueue) => void;
}

/** How long {@link ControlChannel.execute} waits for an answer. */
const TIMEOUT_MS = 2000;
/** Looks at the ring after which it gives the processor away between two. */
const SPINS = 2000;
const PAUSE_MS = 0.2;

/**
 * The driver's side of the control queue: one command after the other. `begin` and `take` never wait; `execute` waits
 * for the answer, as Linux does, but not for ever.
 */
export class ControlChannel {
  readonly #memory: GuestMemory;
  readonly #slots: BufferSlots;
  readonly #notify: (queue: Virtqueue) => void;
  readonly #pause: Int32Array = new Int32Array(new SharedArrayBuffer(4));
  #sent: NetCommand | undefined;

  /** Throws {@link DmaError} when there is no memory, and `ERR_QUEUE_TOO_SMALL`; then nothing stays allocated. */
  constructor(memory: GuestMemory, { queue, mapping }: DriverQueue, options: ControlChannelOptions) {
    const { splitsHeader, buffers, notify } = options;
    this.#memory = memory;
    this.#notify = notify;
    this.#slots = new BufferSlots(memory, queue, mapping, {
      count: 1,
      readable: NET_COMMAND_SIZE + MOST_COMMAND_DATA,
      writable: 1,
      header: splitsHeader ? NET_COMMAND_SIZE : 0,
      buffers,
    });
  }

  /** The index of the control queue. */
  get queue(): number {
    return this.#slots.queue.index;
  }

  /** The command that the device has. */
  get sent(): NetCommand | undefined {
    return this.#sent;
  }

  /**
   * Adds a command, which {@link publish} shows to the device. Returns 0, or a negative reason: `NO_BUFFER` while
   * another one is under way. Throws `RangeError` for a command that is too long.
   */
  submit(command: NetCommand): number {
    if (this.#sent !== undefined) return NO_BUFFER;
    const { data } = command;
    if (data.length > MOST_COMMAND_DATA) throw new RangeError(`a command with ${data.length} bytes of data`);
    const slot = this.#slots.take();
    const at = this.#slots.readableAddress(slot);
    this.#memory.u8[at] = command.class;
    this.#memory.u8[at + 1] = command.command;
    this.#memory.u8.set(data, at + NET_COMMAND_SIZE);
    const reason = this.#slots.submit(slot, NET_COMMAND_SIZE + data.length);
    if (reason < 0) this.#slots.give(slot);
    else this.#sent = command;
    return reason;
  }

  /** Shows the command to the device. */
  publish(): void {
    const { queue } = this.#slots;
    if (queue.publish()) this.#notify(queue);
  }

  /**
   * Takes the answer: {@link VIRTIO_NET_OK}, {@link VIRTIO_NET_ERR}, also where the device wrote none or another, or -1
   * for nothing yet.
   */
  take(): number {
    let answer = -1;
    for (let left = this.#slots.poll(), i = 0; i < left; i++) {
      const slot = this.#slots.completedSlots[i]!;
      const isWritten = this.#slots.completedLengths[i]! > 0;
      const written = isWritten ? this.#memory.u8[this.#slots.writableAddress(slot)]! : VIRTIO_NET_ERR;
      answer = written === VIRTIO_NET_OK ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
      this.#slots.give(slot);
      this.#sent = undefined;
    }
    return answer;
  }

  /**
   * Waits for the answer of the command that the device has. Throws {@link DeviceError} `ERR_DEVICE_STALLED` where none
   * comes in two seconds, and `ERR_QUEUE_BROKEN`.
   */
  wait(): number {
    const { queue } = this.#slots;
    const deadline = performance.now() + TIMEOUT_MS;
    for (let looks = 1; ; looks++) {
      const answer = this.take();
      if (answer >= 0) return answer;
      if (queue.broken !== undefined)
        throw new DeviceError('ERR_QUEUE_BROKEN', `${queue.broken.code}: ${queue.broken.detail}`);
      if (performance.now() > deadline) {
        const { class: ofClass, command } = this.#sent ?? { class: -1, command: -1 };
        const problem = `no answer in ${TIMEOUT_MS} ms to command ${command} of class ${ofClass}`;
        throw new DeviceError('ERR_DEVICE_STALLED', `the control queue gave ${problem}`, {
          hint: 'look whether the device still runs; commands wait for each other',
        });
      }
      if (looks > SPINS) Atomics.wait(this.#pause, 0, 0, PAUSE_MS);
    }
  }

  dispose(): void {
    this.#slots.dispose();
  }
}

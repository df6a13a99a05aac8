import type { BufferMapping, DriverQueue } from '@virtio-platform/core';
import { copyBytes } from '@virtio-platform/core/address-space';
import { DMA_NO_SPACE } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { Virtqueue } from '@virtio-platform/core/queue';
import { BufferSlots, NO_BUFFER } from './buffer-slots.ts';
import { MappingFailures } from './mapping-failures.ts';

/** The buffers of a receive and a transmit queue. */
export interface QueuePairOptions {
  readonly receiveCount: number;
  /** How many of them a message may take. 1 unless given. */
  readonly receiveAtLeast?: number;
  /** Bytes of each receive buffer, with its header. */
  readonly receiveBytes: number;
  readonly transmitCount: number;
  /** Longest message in bytes, without its header. */
  readonly transmitBytes: number;
  /** Bytes in front of every message that is sent, zero unless `send` is given others. */
  readonly header: number;
  /** Whether headers need a descriptor of their own, as on the legacy interface without ANY_LAYOUT. */
  readonly splitsHeader: boolean;
  readonly buffers: BufferMapping;
  /** Sends an available buffer notification. */
  readonly notify: (queue: Virtqueue) => void;
}

/**
 * A receive and a transmit queue with their buffers: what console ports and network queues have in common. Hot: no
 * allocation per message.
 */
export class QueuePair {
  readonly #memory: GuestMemory;
  readonly #options: QueuePairOptions;
  readonly #receive: BufferSlots;
  readonly #transmit: BufferSlots;
  readonly #failures: MappingFailures;
  /** By transmit slot: bytes of its message. */
  readonly #lengths: Uint32Array;
  #came = 0;
  #next = 0;

  /** Throws {@link DmaError} when there is no memory for the buffers; then nothing stays allocated. */
  constructor(memory: GuestMemory, receive: DriverQueue, transmit: DriverQueue, options: QueuePairOptions) {
    const { buffers } = options;
    const header = options.splitsHeader ? options.header : 0;
    this.#memory = memory;
    this.#options = options;
    this.#failures = new MappingFailures(`a receive buffer of ${options.receiveBytes} bytes`);
    this.#receive = new BufferSlots(memory, receive.queue, receive.mapping, {
      count: Math.min(options.receiveCount, receive.queue.size),
      readable: 0,
      writable: options.receiveBytes,
      header,
      buffers,
    });
    try {
      this.#transmit = new BufferSlots(memory, transmit.queue, transmit.mapping, {
        count: Math.min(options.transmitCount, transmit.queue.size),
        readable: options.header + options.transmitBytes,
        writable: 0,
        header,
        buffers,
      });
    } catch (error) {
      this.#receive.dispose();
      throw error;
    }
    this.#lengths = new Uint32Array(this.#transmit.count);
  }

  /** Messages sent and not taken back; idle receive buffers are with the device for as long as it likes. */
  get inFlight(): number {
    return this.#transmit.inFlight;
  }

  /** The index of the receive queue. */
  get receiveQueue(): number {
    return this.#receive.queue.index;
  }

  /** How many receive buffers there are. */
  get receiveCount(): number {
    return this.#receive.count;
  }

  /**
   * Sends nothing while the device can have no receive buffer: what it sends back would be lost, or wait for ever. The
   * first bytes of `head` are the header.
   */
  send(source: Uint8Array, length: number, head?: Uint8Array): number {
    if (this.#receive.inFlight === 0) {
      const reason = this.#fill();
      if (reason < 0 && this.#receive.inFlight === 0) return reason;
    }
    const slot = this.#transmit.take();
    if (slot < 0) return NO_BUFFER;
    const { header } = this.#options;
    const address = this.#transmit.readableAddress(slot);
    if (head === undefined) this.#memory.u8.fill(0, address, address + header);
    else copyBytes(this.#memory.u8, address, head, 0, header);
    copyBytes(this.#memory.u8, address + header, source, 0, length);
    this.#lengths[slot] = length;
    const reason = this.#transmit.submit(slot, header + length);
    if (reason < 0) this.#transmit.give(slot);
    return reason;
  }

  /**
   * Copies the next receive buffer that came back to `target` from byte `at` on, as far as there is room, and returns
   * the number of bytes: -1 for none.
   */
  receive(target: Uint8Array, at: number): number {
    if (this.#next === this.#came) {
      this.#came = this.#receive.poll();
      this.#next = 0;
      if (this.#came === 0) return -1;
    }
    const index = this.#next++;
    const slot = this.#receive.completedSlots[index]!;
    const length = Math.min(this.#receive.completedLengths[index]!, target.length - at);
    copyBytes(target, at, this.#memory.u8, this.#receive.writableAddress(slot), length);
    // The last one stays with the device: another pair in the same window would take its room.
    if (this.#receive.inFlight > 0 || this.#receive.submit(slot, 0) < 0) this.#receive.give(slot);
    return length;
  }

  /**
   * See {@link MessageLink.flush}. Throws {@link DmaError} `ERR_DMA_EXHAUSTED` where the receive buffers for not even
   * one message can be mapped, so that nothing can come.
   */
  flush(): number {
    const { notify, receiveAtLeast: least = 1 } = this.#options;
    // Before the transmit buffers are unmapped: their room stays theirs.
    const reason = this.#fill();
    if (this.#receive.inFlight >= least) this.#failures.ended();
    else if (reason < 0) this.#failures.failed(reason);
    const sent = this.#transmit.poll();
    for (let i = 0; i < sent; i++) this.#transmit.give(this.#transmit.completedSlots[i]!);
    if (this.#receive.queue.publish()) notify(this.#receive.queue);
    if (this.#transmit.queue.publish()) notify(this.#transmit.queue);
    return sent;
  }

  /**
   * Gives the device all free receive buffers that can be mapped while a transmit buffer is mapped too. Idle receive
   * buffers stay mapped for as long as nothing comes; without this they take a small window whole, and nothing can be
   * sent any more. Returns 0, or the negative reason why the last one was not given. Hot.
   */
  #fill(): number {
    let slot = this.#receive.take();
    if (slot < 0) return 0;
    let reason = 0;
    const hasRoom = this.#transmit.inFlight > 0 || this.#transmit.reserve();
    if (!hasRoom) reason = DMA_NO_SPACE;
    for (; reason === 0 && slot >= 0; slot = this.#receive.take()) {
      reason = this.#receive.submit(slot, 0);
      if (reason < 0) break;
    }
    if (slot >= 0) this.#receive.give(slot);
    this.#transmit.unreserve();
    return reason;
  }

  /**
   * What a buffer of the pair is for, as `DriverHalf.describeBuffer` states it: `frame of 64 bytes` where `message` is
   * `frame`, or `receive buffer of 1526 bytes`. `undefined` for a queue of another pair.
   */
  describeBuffer(queue: number, id: number, message: string): string | undefined {
    if (queue === this.#receive.queue.index) return `receive buffer of ${this.#options.receiveBytes} bytes`;
    if (queue !== this.#transmit.queue.index) return undefined;
    return `${message} of ${this.#lengths[this.#transmit.slotOf(id)]} bytes`;
  }

  dispose(): void {
    this.#receive.dispose();
    this.#transmit.dispose();
  }
}

import { type DeviceQueues, KEPT } from '@virtio-platform/core';
import { ByteBacklog, copyChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DescriptorChain, LONGEST_TABLE } from '@virtio-platform/core/queue';

/**
 * The device's side of one port: gives back what it is sent. Bytes wait in a bounded backlog for receive buffers. When
 * it is full, the transmit buffer that did not fit is kept, and those behind it stay in the ring until there is room.
 */
export class EchoPort {
  isOpen = false;
  readonly #transmitQueue: number;
  readonly #backlog: ByteBacklog;
  /** The transmit buffer that is kept, and how many of its bytes are in the backlog; -1 without one. */
  readonly #kept: DescriptorChain;
  #keptDone = -1;

  constructor(transmitQueue: number, queueSize: number, backlog: number) {
    this.#transmitQueue = transmitQueue;
    this.#backlog = new ByteBacklog(backlog);
    this.#kept = new DescriptorChain(Math.max(queueSize, LONGEST_TABLE));
  }

  /** Forgets everything; a reset took all buffers back. */
  reset(isOpen: boolean): void {
    this.isOpen = isOpen;
    this.#backlog.clear();
    this.#keptDone = -1;
  }

  get wantsReceive(): boolean {
    return this.isOpen && this.#backlog.length > 0;
  }

  get wantsTransmit(): boolean {
    return this.isOpen && this.#keptDone < 0 && this.#backlog.room > 0;
  }

  /** What waits is dropped, and the buffer that was kept goes back. */
  close(queues: DeviceQueues): void {
    this.isOpen = false;
    this.#backlog.clear();
    if (this.#keptDone >= 0) queues.push(this.#transmitQueue, this.#kept.head, 0);
    this.#keptDone = -1;
  }

  /** The transmit buffer that was kept is the driver's again; what was not taken of it is lost. */
  forget(): void {
    this.#keptDone = -1;
  }

  /** Takes a transmit buffer. */
  take(chain: DescriptorChain, space: DeviceAddressSpace): number {
    const run = Math.min(this.#backlog.room, chain.readableBytes);
    // What cannot be read is dropped with the rest of its buffer.
    if (!this.#backlog.appendFrom(chain, space, 0, run) || run === chain.readableBytes) return 0;
    copyChain(this.#kept, chain);
    this.#keptDone = run;
    return KEPT;
  }

  /** Fills a receive buffer. */
  deliver(chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    const run = Math.min(this.#backlog.length, chain.writableBytes);
    const isWritten = this.#backlog.moveTo(chain, space, 0, run);
    if (this.#keptDone >= 0) this.#takeMore(space, queues);
    return isWritten ? run : 0;
  }

  #takeMore(space: DeviceAddressSpace, queues: DeviceQueues): void {
    const done = this.#keptDone;
    const run = Math.min(this.#backlog.room, this.#kept.readableBytes - done);
    const isRead = this.#backlog.appendFrom(this.#kept, space, done, run);
    this.#keptDone = done + run;
    if (isRead && this.#keptDone < this.#kept.readableBytes) return;
    queues.push(this.#transmitQueue, this.#kept.head, 0);
    this.#keptDone = -1;
  }
}

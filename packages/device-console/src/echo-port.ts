import { type DeviceQueues, KEPT } from '@virtio-platform/core';
import { ByteBacklog, copyChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DescriptorChain, LONGEST_TABLE } from '@virtio-platform/core/queue';
import type { ConsoleSize } from './console-config.ts';
import type { ConsolePortSettings } from './port-settings.ts';

/**
 * The device's side of one number of a port: gives back what it is sent. Bytes wait in a bounded backlog for receive
 * buffers. When it is full, the transmit buffer that did not fit is kept, and those behind it stay in the ring until
 * there is room.
 *
 * A transmit buffer for a port that is not there, or whose device side is closed, comes back unread, as from QEMU.
 */
export class EchoPort {
  /** What is plugged under this number; `undefined` where nothing is. */
  settings: ConsolePortSettings | undefined;
  /** Of a console, where it was resized. */
  size: ConsoleSize | undefined;
  /** Whether the driver was told of the port, and said that it is ready. */
  isAnnounced = false;
  isReady = false;
  /** Whether the device, and the driver, opened it. */
  isOpenHere = false;
  isOpenThere = false;
  readonly #transmitQueue: number;
  readonly #backlog: ByteBacklog;
  /** The transmit buffer that is kept, and how many of its bytes are in the backlog; -1 without one. */
  readonly #kept: DescriptorChain;
  #keptDone = -1;
  #queues: DeviceQueues | undefined;

  constructor(transmitQueue: number, queueSize: number, backlog: number) {
    this.#transmitQueue = transmitQueue;
    this.#backlog = new ByteBacklog(backlog);
    this.#kept = new DescriptorChain(Math.max(queueSize, LONGEST_TABLE));
  }

  /** Plugs a port, or unplugs it. */
  plug(settings: ConsolePortSettings | undefined): void {
    this.settings = settings;
    this.size = undefined;
    this.reset();
  }

  /** Forgets everything but what is plugged; a reset took all buffers back. */
  reset(): void {
    this.isAnnounced = this.isReady = this.isOpenThere = false;
    this.isOpenHere = this.settings !== undefined;
    this.#backlog.clear();
    this.#keptDone = -1;
  }

  /** Whether bytes go through. */
  get isOpen(): boolean {
    return this.isOpenHere && this.isOpenThere;
  }

  get wantsReceive(): boolean {
    return this.isOpen && this.#backlog.length > 0;
  }

  get wantsTransmit(): boolean {
    if (this.#drops) return true;
    return this.isOpenThere && this.#keptDone < 0 && this.#backlog.room > 0;
  }

  /** What waits is dropped, and the buffer that was kept goes back. */
  drop(): void {
    this.#backlog.clear();
    if (this.#keptDone >= 0) this.#queues?.push(this.#transmitQueue, this.#kept.head, 0);
    this.#keptDone = -1;
  }

  /** The transmit buffer that was kept is the driver's again; what was not taken of it is lost. */
  forget(): void {
    this.#keptDone = -1;
  }

  /** Takes a transmit buffer. */
  take(chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    if (this.#drops) return 0;
    const run = Math.min(this.#backlog.room, chain.readableBytes);
    // What cannot be read is dropped with the rest of its buffer.
    if (!this.#backlog.appendFrom(chain, space, 0, run) || run === chain.readableBytes) return 0;
    copyChain(this.#kept, chain);
    this.#keptDone = run;
    this.#queues = queues;
    return KEPT;
  }

  /** Fills a receive buffer. */
  deliver(chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    const run = Math.min(this.#backlog.length, chain.writableBytes);
    const isWritten = this.#backlog.moveTo(chain, space, 0, run);
    if (this.#keptDone >= 0) this.#takeMore(space, queues);
    return isWritten ? run : 0;
  }

  /**
   * Whether each transmit buffer is dropped: nothing is here, the device's side is closed, or the driver did not say
   * yet that it knows the port, so that the buffer is of a port that was unplugged.
   */
  get #drops(): boolean {
    return !this.isOpenHere || (this.isAnnounced && !this.isReady);
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

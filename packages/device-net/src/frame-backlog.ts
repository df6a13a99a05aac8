import { copyBytes } from '@virtio-platform/core/address-space';
import { NET_HASH_HEADER_SIZE, NET_LONGEST_PACKET } from './layout.ts';
import type { NetHeader } from './offload/net-header.ts';

/** Four of the longest frames, with what is kept of each. */
const BACKLOG = 4 * (NET_LONGEST_PACKET + NET_HASH_HEADER_SIZE);
const BACKLOG_FRAMES = 1024;

/**
 * Frames that a device took and has not delivered yet, first in, first out, each with its header. Hot: no allocation.
 */
export class FrameBacklog {
  readonly #bytes: Uint8Array = new Uint8Array(BACKLOG);
  #start = 0;
  #used = 0;
  /** Of the frames in the backlog: a ring of which `count` from `first` on are taken. */
  readonly #lengths: Uint32Array = new Uint32Array(BACKLOG_FRAMES);
  readonly #isCut: Uint8Array = new Uint8Array(BACKLOG_FRAMES);
  #first = 0;
  #count = 0;
  readonly #header: Uint8Array = new Uint8Array(NET_HASH_HEADER_SIZE);
  readonly #headerView: DataView = new DataView(this.#header.buffer);

  get count(): number {
    return this.#count;
  }

  /** Whether a frame of any length fits. */
  get hasRoom(): boolean {
    return BACKLOG - this.#used >= NET_LONGEST_PACKET + NET_HASH_HEADER_SIZE && this.#count < BACKLOG_FRAMES;
  }

  clear(): void {
    this.#used = this.#count = 0;
  }

  /** Appends a frame. `isCut`: whether it becomes packets of the wire as it leaves. Only while {@link hasRoom}. */
  push(header: NetHeader, frame: Uint8Array, length: number, isCut: boolean): void {
    header.write(this.#headerView, NET_HASH_HEADER_SIZE, true);
    this.#append(this.#header, NET_HASH_HEADER_SIZE);
    this.#append(frame, length);
    const at = (this.#first + this.#count++) % BACKLOG_FRAMES;
    this.#lengths[at] = length;
    this.#isCut[at] = isCut ? 1 : 0;
  }

  /** Whether the first frame becomes packets of the wire. */
  get isFirstCut(): boolean {
    return this.#isCut[this.#first] === 1;
  }

  /** Moves the first frame and its header out, and returns its bytes. */
  shift(header: NetHeader, frame: Uint8Array): number {
    const length = this.#lengths[this.#first]!;
    this.#take(this.#header, NET_HASH_HEADER_SIZE);
    header.read(this.#headerView, NET_HASH_HEADER_SIZE, true);
    this.#take(frame, length);
    this.#first = (this.#first + 1) % BACKLOG_FRAMES;
    this.#count--;
    return length;
  }

  #append(source: Uint8Array, length: number): void {
    const end = (this.#start + this.#used) % BACKLOG;
    const run = Math.min(length, BACKLOG - end);
    copyBytes(this.#bytes, end, source, 0, run);
    copyBytes(this.#bytes, 0, source, run, length - run);
    this.#used += length;
  }

  #take(target: Uint8Array, length: number): void {
    const run = Math.min(length, BACKLOG - this.#start);
    copyBytes(target, 0, this.#bytes, this.#start, run);
    copyBytes(target, run, this.#bytes, 0, length - run);
    this.#start = (this.#start + length) % BACKLOG;
    this.#used -= length;
  }
}

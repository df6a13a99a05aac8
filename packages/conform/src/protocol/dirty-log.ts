import type { ConformRing } from '@virtio-platform/core';
import { SharedMemory } from '@virtio-platform/host';
import { payloadOf } from './payload.ts';
import type { ProtocolBench } from './protocol-bench.ts';
import { LOG_ALL } from './requests.ts';

/** Bytes of a page of the log. */
export const LOG_PAGE = 4096;
/** Bytes of a log that covers the memory of the front-end many times, and of its file. */
const LOG_BYTES = 4096;

/** Where a log is in its file. */
export interface LogPlace {
  /** Bytes that the back-end is told. */
  readonly size?: number;
  readonly offset?: number;
  /** Bytes of the file: a page more than the log unless given. */
  readonly file?: number;
}

/** A dirty log: a bit for each page of guest addresses, in a file that a front-end and its back-end have. */
export class DirtyLog implements Disposable {
  /** All of the file. */
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly offset: number;
  readonly #shared: SharedMemory;

  constructor({ size = LOG_BYTES, offset = 0, file = offset + size + LOG_BYTES }: LogPlace = {}) {
    this.#shared = SharedMemory.create(file);
    this.bytes = new Uint8Array(this.#shared.buffer);
    this.size = size;
    this.offset = offset;
  }

  get descriptor(): number {
    return this.#shared.descriptor;
  }

  /** Gives it to the back-end, which has to answer. */
  give({ frontEnd }: ProtocolBench): void {
    const payload = payloadOf(BigInt(this.size), BigInt(this.offset));
    // What the answer holds is not said.
    frontEnd.ask('SET_LOG_BASE', payload, undefined, { descriptors: [this.descriptor] });
  }

  /** Whether the page of a guest address is marked. */
  isMarked(address: number): boolean {
    const page = Math.floor(address / LOG_PAGE);
    return ((this.bytes[this.offset + Math.floor(page / 8)]! >>> (page % 8)) & 1) === 1;
  }

  /** The first byte of the file, in the log or outside of it, that is not 0. */
  firstByte(isInside: boolean): number {
    const end = this.offset + this.size;
    return this.bytes.findIndex((byte, i) => byte !== 0 && (i >= this.offset && i < end) === isInside);
  }

  clear(): void {
    this.bytes.fill(0);
  }

  [Symbol.dispose](): void {
    this.#shared.dispose();
  }
}

/** Has the back-end log what it writes, or not, whether or not its rings run. */
export function setLogging(bench: ProtocolBench, isLogging: boolean): void {
  const bits = isLogging ? bench.accepted.with(LOG_ALL) : bench.accepted.without(LOG_ALL);
  bench.tell('SET_FEATURES', payloadOf(bits.bits));
}

/** Opens the conversation of a front-end that may start to log. */
export function greetForLog(bench: ProtocolBench): void {
  bench.greet({ accept: ['MQ', 'REPLY_ACK', 'CONFIG', 'LOG_SHMFD'] });
}

/** Negotiates, gives the log, shares memory, and starts the queues. Returns the ring of requests. */
export function startLogging(bench: ProtocolBench, log: DirtyLog): ConformRing {
  greetForLog(bench);
  log.give(bench);
  setLogging(bench, true);
  bench.share();
  return bench.startQueues();
}

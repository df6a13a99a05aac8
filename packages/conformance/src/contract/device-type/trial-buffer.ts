import type { DescriptorChain } from '@virtio-platform/core/queue';

/** A buffer that the device half has: a private copy of its chain, and what was written to it. */
export class TrialBuffer {
  readonly queue: number;
  readonly head: number;
  /** By segment: device address, and bytes. */
  readonly addresses: readonly bigint[];
  readonly lengths: readonly number[];
  /** Segments that the device reads: the first ones. */
  readonly readable: number;
  readonly readableBytes: number;
  readonly writableBytes: number;
  /** Runs of the writable part that the device half wrote or borrowed to write, each from its first byte to its end. */
  readonly #written: [start: number, end: number][] = [];

  constructor(queue: number, chain: DescriptorChain) {
    this.queue = queue;
    this.head = chain.head;
    this.addresses = Array.from(
      { length: chain.count },
      (_, i) => (BigInt(chain.high[i]!) << 32n) | BigInt(chain.low[i]!),
    );
    this.lengths = [...chain.length.subarray(0, chain.count)];
    this.readable = chain.readable;
    this.readableBytes = chain.readableBytes;
    this.writableBytes = chain.writableBytes;
  }

  /** The bytes of the first or of the second part, from its byte `from` on, as runs of device addresses. */
  *runs(isWritable: boolean, from: number, bytes: number): Generator<readonly [address: bigint, bytes: number]> {
    let skip = from;
    let left = bytes;
    const end = isWritable ? this.lengths.length : this.readable;
    for (let i = isWritable ? this.readable : 0; i < end && left > 0; i++) {
      const length = this.lengths[i]!;
      const run = Math.min(Math.max(0, length - skip), left);
      if (run > 0) yield [this.addresses[i]! + BigInt(skip), run];
      skip = Math.max(0, skip - length);
      left -= run;
    }
  }

  /** How many of `bytes` bytes at a device address, from the first on, are in the writable part. */
  writableAt(address: bigint, bytes: number): number {
    const at = this.#find(address);
    return at === undefined ? 0 : Math.min(bytes, at.room);
  }

  /** Notes that the device half wrote `bytes` bytes at a device address. Returns {@link writableAt}. */
  noteWrite(address: bigint, bytes: number): number {
    const at = this.#find(address);
    if (at === undefined) return 0;
    const run = Math.min(bytes, at.room);
    this.#written.push([at.start, at.start + run]);
    return run;
  }

  /** The place of a device address in the writable part, and the bytes of its segment from there on. */
  #find(address: bigint): { readonly start: number; readonly room: number } | undefined {
    let before = 0;
    for (let i = this.readable; i < this.lengths.length; i++) {
      const length = this.lengths[i]!;
      const offset = address - this.addresses[i]!;
      if (offset >= 0n && offset < BigInt(length))
        return { start: before + Number(offset), room: length - Number(offset) };
      before += length;
    }
    return undefined;
  }

  /** Bytes in front of the writable part that were written, without a gap. */
  get writtenInFront(): number {
    let front = 0;
    for (const [start, end] of this.#written.toSorted((a, b) => a[0] - b[0]))
      if (start <= front) front = Math.max(front, end);
    return front;
  }
}

import type { BenchBuffer } from '@virtio-platform/core';
import type { DmaMapping, DmaRegion } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { CaseEnd } from './case-end.ts';

/** Bytes of memory that the device reaches, in one run: the largest rings, and buffers for all of their entries. */
const ARENA_BYTES = 4 * 1024 ** 2;
/** Canaries between two buffers, at least. */
const GAP = 64;
/** Of memory that was never given to the device, so much is watched. */
const WATCHED_BYTES = 4 * 1024 ** 2;

/** What memory is before a case writes to it: no byte is 0, 1 or 255, which are what devices write by mistake. */
const CANARIES: Uint8Array = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 | i);
const ARENA_CANARIES: Uint8Array = new Uint8Array(Buffer.alloc(ARENA_BYTES, CANARIES));

/** A run of memory. */
interface Run {
  readonly start: number;
  readonly end: number;
}

/**
 * The memory of a case: buffers with canaries around them, in one region that is mapped for the device. Everything is
 * written to a shadow too. A byte that differs from the shadow, where the device may not write, is a stray write; so is
 * any change of memory that was never allocated.
 */
export class WatchedMemory {
  readonly guest: GuestMemory;
  readonly #region: DmaRegion;
  /** The arena, and its shadow. */
  readonly #bytes: Uint8Array;
  readonly #words: Uint16Array;
  readonly #shadow: Uint8Array = new Uint8Array(ARENA_BYTES);
  readonly #buffers: BenchBuffer[] = [];
  /** Runs that the device may write: their ends by their starts. */
  readonly #writable = new Map<number, number>();
  /** Runs that are given away until memory is renewed. */
  readonly #givenAway: Run[] = [];
  /** How many of the buffers that the device has begin at an address. */
  readonly #lent = new Map<number, number>();
  readonly #outside: readonly Run[];
  #next = GAP;
  /** Bytes of the arena, from its start, that may not be canaries any more. */
  #used = ARENA_BYTES;

  /** Throws {@link DmaError} where guest memory has no room. */
  constructor(guest: GuestMemory, mapping: DmaMapping) {
    this.guest = guest;
    this.#region = mapping.allocateCoherent(ARENA_BYTES, 4096);
    const { address } = this.#region;
    this.#bytes = guest.u8.subarray(address, address + ARENA_BYTES);
    this.#words = guest.u16.subarray(address / 2, (address + ARENA_BYTES) / 2);
    this.#outside = watchedRuns(guest);
    for (const run of this.#outside) this.#fillOutside(run);
    this.renew();
  }

  /** Takes back all buffers: the arena is canaries again. The device has been reset. */
  renew(): void {
    const canaries = ARENA_CANARIES.subarray(0, this.#used);
    this.#bytes.set(canaries);
    this.#shadow.set(canaries);
    this.#used = 0;
    this.#buffers.length = 0;
    this.#writable.clear();
    this.#givenAway.length = 0;
    this.#lent.clear();
    this.#next = GAP;
  }

  /**
   * Allocates a buffer whose address is `phase` modulo `alignment`. Ends the case where it asks for more than there is:
   * the blocks of some disks are long.
   */
  allocate(name: string, bytes: number, alignment = 16, phase = 0): BenchBuffer {
    const offset = Math.ceil((this.#next - phase) / alignment) * alignment + phase;
    if (offset + bytes + GAP > ARENA_BYTES)
      throw new CaseEnd('skip', 'its requests are too long for the memory of a case');
    this.#next = offset + bytes + GAP;
    this.#used = Math.max(this.#used, this.#next);
    const words = new Uint32Array(2);
    this.#region.writeDeviceAddress(offset, words, 0);
    const buffer: BenchBuffer = {
      name,
      address: this.#region.address + offset,
      length: bytes,
      low: words[0]!,
      high: words[1]!,
      write: (source, at = 0) => this.write(buffer.address + at, source),
      read: (at = 0, length = bytes - at) => this.#bytes.slice(offset + at, offset + at + length),
    };
    this.#buffers.push(buffer);
    return buffer;
  }

  /** From here on the device may write these bytes, where they are of the arena. */
  mayWrite(address: number, length: number): void {
    const at = address - this.#region.address;
    if (length <= 0 || at < 0 || at >= ARENA_BYTES) return;
    this.#used = Math.max(this.#used, Math.min(ARENA_BYTES, at + length));
    this.#writable.set(address, Math.max(address + length, this.#writable.get(address) ?? 0));
  }

  /** From here on the device may write these bytes, whatever it returns. */
  giveAway(address: number, length: number): void {
    const at = address - this.#region.address;
    this.#used = Math.max(this.#used, Math.min(ARENA_BYTES, at + length));
    this.#givenAway.push({ start: address, end: address + length });
  }

  /** The device may write these bytes until {@link takeBack}, as often as it was lent them. */
  lend(address: number, length: number): void {
    if (length <= 0) return;
    this.mayWrite(address, length);
    this.#lent.set(address, (this.#lent.get(address) ?? 0) + 1);
  }

  /**
   * Takes back what was lent at an address: the bytes stay as the device left them, once no other buffer that it has
   * begins there.
   */
  takeBack(address: number): void {
    const left = (this.#lent.get(address) ?? 1) - 1;
    this.#lent.set(address, left);
    const end = this.#writable.get(address);
    if (left > 0 || end === undefined) return;
    this.#writable.delete(address);
    this.#lent.delete(address);
    const at = address - this.#region.address;
    const until = Math.min(end - this.#region.address, ARENA_BYTES);
    this.#shadow.set(this.#bytes.subarray(at, until), at);
  }

  /** From here on the device may write all of the arena: the driver gave it wrong addresses of rings. */
  mayWriteAnywhere(): void {
    this.mayWrite(this.#region.address, ARENA_BYTES);
  }

  /** From here on the device may write what a writable descriptor with this address names, as far as it is here. */
  grant(low: number, high: number, length: number): void {
    const words = new Uint32Array(2);
    this.#region.writeDeviceAddress(0, words, 0);
    const at = (high - words[1]!) * 2 ** 32 + low - words[0]!;
    if (at < 0 || at >= ARENA_BYTES) return;
    this.mayWrite(this.#region.address + at, Math.min(length, ARENA_BYTES - at));
  }

  write(address: number, source: Uint8Array): void {
    const at = address - this.#region.address;
    this.#bytes.set(source, at);
    this.#shadow.set(source, at);
  }

  /** Writes 16 bits by one store, which the device sees in order. */
  write16(address: number, value: number): void {
    const at = address - this.#region.address;
    Atomics.store(this.#words, at / 2, value);
    this.#shadow[at] = value & 0xff;
    this.#shadow[at + 1] = (value >>> 8) & 0xff;
  }

  /** Reads 16 bits by one load, in order. */
  read16(address: number): number {
    return Atomics.load(this.#words, (address - this.#region.address) / 2);
  }

  /** Says where the device wrote what it may not; `undefined` where it did not. */
  strayWrite(): string | undefined {
    const base = this.#region.address;
    const writable = [...this.#writable].map(([start, end]) => ({ start, end }));
    const runs = [...writable, ...this.#givenAway].toSorted((a, b) => a.start - b.start);
    let from = base;
    for (const { start, end } of [...runs, { start: base + ARENA_BYTES, end: 0 }]) {
      const at = start > from ? firstDifference(this.#bytes, this.#shadow, from - base, start - base) : -1;
      if (at >= 0) {
        this.#used = ARENA_BYTES;
        return `${this.#describe(base + at)} became ${hex(this.#bytes[at]!)}, was ${hex(this.#shadow[at]!)}`;
      }
      from = Math.max(from, end);
    }
    return this.#strayOutside();
  }

  /** Gives the arena back. The device has been reset. */
  release(): void {
    this.#region.release();
  }

  #strayOutside(): string | undefined {
    const { untouched, u8 } = this.guest;
    for (const run of this.#outside) {
      const isUntouched = untouched.some(({ address, length }) => run.start >= address && run.end <= address + length);
      if (!isUntouched) continue;
      for (let start = run.start; start < run.end; start += ARENA_BYTES) {
        const length = Math.min(ARENA_BYTES, run.end - start);
        const at = firstDifference(u8.subarray(start, start + length), ARENA_CANARIES, 0, length);
        if (at < 0) continue;
        this.#fillOutside(run);
        return `byte 0x${(start + at).toString(16)}, which was never given to the device, was written`;
      }
    }
    return undefined;
  }

  #fillOutside({ start, end }: Run): void {
    for (let at = start; at < end; at += ARENA_BYTES)
      this.guest.u8.set(ARENA_CANARIES.subarray(0, Math.min(ARENA_BYTES, end - at)), at);
  }

  /** Names a byte by the buffer that it is in or next to. */
  #describe(address: number): string {
    const inside = this.#buffers.find(
      (buffer) => address >= buffer.address && address < buffer.address + buffer.length,
    );
    if (inside !== undefined) return `byte ${address - inside.address} of ${inside.name}`;
    const before = this.#buffers.findLast((buffer) => buffer.address + buffer.length <= address);
    if (before === undefined) return `byte 0x${address.toString(16)} in front of all buffers`;
    return `the byte ${address - before.address - before.length} behind ${before.name}`;
  }
}

/** Runs of never allocated memory, {@link WATCHED_BYTES} in all. */
function watchedRuns(guest: GuestMemory): readonly Run[] {
  let left = WATCHED_BYTES;
  return guest.untouched.flatMap(({ address, length }) => {
    const bytes = Math.min(left, length);
    left -= bytes;
    return bytes > 0 ? [{ start: address, end: address + bytes }] : [];
  });
}

/** Where `a` and `b` differ first between `start` and `end`; -1 where they are the same. */
function firstDifference(a: Uint8Array, b: Uint8Array, start: number, end: number): number {
  const one = Buffer.from(a.buffer, a.byteOffset + start, end - start);
  const other = Buffer.from(b.buffer, b.byteOffset + start, end - start);
  if (one.equals(other)) return -1;
  for (let i = 0; i < end - start; i++) if (one[i] !== other[i]) return start + i;
  return -1;
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}

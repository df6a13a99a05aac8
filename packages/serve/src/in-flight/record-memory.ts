import { IN_FLIGHT_VERSION } from '@virtio-platform/vhost-user';
import { FrontEndViolation } from '../front-end-violation.ts';

const WORD = 2 ** 32;
/** Bits of a position: a slot, below its wrap counter. */
const SLOT = 0x7fff;

/**
 * The bytes of one record. A value that decides whether a buffer is in flight is stored atomically, so that all stores
 * before it are in memory by then.
 */
export class RecordMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #words: Uint16Array;
  readonly #doubles: Float64Array;
  readonly #queue: number;

  /** `bytes` begin at a multiple of eight. `queue` is its number, for messages. */
  constructor(bytes: Uint8Array, queue: number) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#words = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 1);
    this.#doubles = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 3);
    this.#queue = queue;
  }

  /** The u16 at a byte. */
  u16(at: number): number {
    return this.#words[at >>> 1]!;
  }

  /** Stores a u16. Hot. */
  setU16(at: number, value: number): void {
    this.#words[at >>> 1] = value;
  }

  /** Stores a u16 behind everything that was stored before. Hot. */
  commitU16(at: number, value: number): void {
    Atomics.store(this.#words, at >>> 1, value);
  }

  /** Stores a byte behind everything that was stored before. Hot. */
  commitByte(at: number, value: number): void {
    Atomics.store(this.bytes, at, value);
  }

  /**
   * Stores two positions of a packed ring in one store, at a multiple of eight: u16 used_idx, u16 old_used_idx, u8
   * used_wrap_counter, u8 old_used_wrap_counter, u16 0. Index and wrap counter one after the other would name another
   * place between the two. The eight bytes are stored as a number: upper bits of 0 make every pattern of the others a
   * number of its own, and a bigint would be allocated. Hot.
   */
  commitPositions(at: number, used: number, old: number): void {
    const indices = (used & SLOT) + (old & SLOT) * 2 ** 16;
    this.#doubles[at >>> 3] = (indices + ((used >>> 15) + (old >>> 15) * 2 ** 8) * WORD) * Number.MIN_VALUE;
  }

  /** A counter of 64 bits, exact up to 2^53. */
  counter(at: number): number {
    return this.view.getUint32(at + 4, true) * WORD + this.view.getUint32(at, true);
  }

  /** Stores a counter of 64 bits. Hot. */
  setCounter(at: number, value: number): void {
    this.view.setUint32(at, value >>> 0, true);
    this.view.setUint32(at + 4, Math.floor(value / WORD), true);
  }

  /**
   * Whether the record is new, and was never written to. Throws {@link FrontEndViolation} for one of another version,
   * or of a queue that has fewer than `size` entries.
   */
  isNew(versionAt: number, entriesAt: number, size: number): boolean {
    const [version, entries] = [this.u16(versionAt), this.u16(entriesAt)];
    if (version === 0) return true;
    if (version !== IN_FLIGHT_VERSION) throw this.violation(`has version ${version}`);
    if (entries < size) throw this.violation(`has ${entries} entries, and the queue ${size}`);
    return false;
  }

  /** The error of a record that no device wrote. */
  violation(what: string): FrontEndViolation {
    return new FrontEndViolation(`gives a record of what is in flight in queue ${this.#queue} that ${what}`);
  }
}

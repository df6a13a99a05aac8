import { VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK } from '../layout.ts';
import { NO_STATUS } from './piece-buffers.ts';

/**
 * What came of the requests of a block driver: by slot while their pieces come back, and then by place in the last
 * `poll`. Of a request that was made in pieces it is that of the first piece that failed, or else of the last one. Hot:
 * no allocation per request.
 */
export class RequestResults {
  /** By place: slot and status. */
  readonly completedSlots: Uint16Array;
  readonly completedStatus: Uint8Array;
  /** By place: buffer id, used length, least used length with status OK, and status byte. */
  readonly completedIds: Uint16Array;
  readonly completedLengths: Uint32Array;
  readonly completedLeast: Uint32Array;
  readonly completedBytes: Uint8Array;
  /** The same by slot. */
  readonly #status: Uint8Array;
  readonly #id: Uint16Array;
  readonly #length: Uint32Array;
  readonly #least: Uint32Array;
  readonly #byte: Uint8Array;

  /** `most` requests come back in one `poll`. */
  constructor(depth: number, most: number) {
    this.completedSlots = new Uint16Array(most);
    this.completedStatus = new Uint8Array(most);
    this.completedIds = new Uint16Array(most);
    this.completedLengths = new Uint32Array(most);
    this.completedLeast = new Uint32Array(most);
    this.completedBytes = new Uint8Array(most);
    this.#status = new Uint8Array(depth);
    this.#id = new Uint16Array(depth);
    this.#length = new Uint32Array(depth);
    this.#least = new Uint32Array(depth);
    this.#byte = new Uint8Array(depth);
  }

  /** No piece of a request came back yet. Hot. */
  begin(slot: number): void {
    this.#status[slot] = VIRTIO_BLK_S_OK;
  }

  /** Whether a piece of a request failed. Hot. */
  hasFailed(slot: number): boolean {
    return this.#status[slot] !== VIRTIO_BLK_S_OK;
  }

  /**
   * A piece of a request came back, with `length` bytes where the device had to write `least`, and the status byte
   * `byte`. Too few bytes, or no status byte, make it fail with IOERR. Hot.
   */
  note(slot: number, id: number, length: number, least: number, byte: number): void {
    if (this.hasFailed(slot)) return;
    this.#id[slot] = id;
    this.#length[slot] = length;
    this.#least[slot] = least;
    this.#byte[slot] = byte;
    const isShort = byte === NO_STATUS || (byte === VIRTIO_BLK_S_OK && length < least);
    this.#status[slot] = isShort ? VIRTIO_BLK_S_IOERR : byte;
  }

  /** All pieces of a request came back: it is at `place` of this `poll`. Hot. */
  complete(slot: number, place: number): void {
    this.completedSlots[place] = slot;
    this.completedStatus[place] = this.#status[slot]!;
    this.completedIds[place] = this.#id[slot]!;
    this.completedLengths[place] = this.#length[slot]!;
    this.completedLeast[place] = this.#least[slot]!;
    this.completedBytes[place] = this.#byte[slot]!;
  }
}

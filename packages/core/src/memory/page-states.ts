import { PAGE_SIZE } from './guest-memory.ts';

/** Bytes of the generation, which precedes the states. */
const HEADER = 4;
const SHARED = 1;

/**
 * Which pages of a guest are shared, in memory that the device's thread sees too: a generation, then one byte per page.
 * All pages start private.
 */
export class PageStates {
  readonly buffer: SharedArrayBuffer;
  readonly #generation: Uint32Array;
  readonly #states: Uint8Array;

  /** Opens the states that another thread created. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#generation = new Uint32Array(buffer, 0, 1);
    this.#states = new Uint8Array(buffer, HEADER);
  }

  /** Creates the states of `size` bytes of guest memory. */
  static create(size: number): PageStates {
    return new PageStates(new SharedArrayBuffer(HEADER + size / PAGE_SIZE));
  }

  /** Changes whenever a page becomes private. */
  get generation(): number {
    return Atomics.load(this.#generation, 0);
  }

  /** The generation by a plain load: see `DeviceAddressSpace.seenGeneration`. */
  get seenGeneration(): number {
    return this.#generation[0]!;
  }

  isShared(address: number): boolean {
    return Atomics.load(this.#states, Math.floor(address / PAGE_SIZE)) === SHARED;
  }

  /** Bytes from `address` on, at most `length`, whose pages are all shared or all private. Hot: no allocation. */
  runAt(address: number, length: number): number {
    const shared = this.isShared(address);
    let run = PAGE_SIZE - (address % PAGE_SIZE);
    while (run < length && this.isShared(address + run) === shared) run += PAGE_SIZE;
    return run < length ? run : length;
  }

  /** Sets whole pages. */
  setAll(address: number, length: number, shared: boolean): void {
    for (let page = address; page < address + length; page += PAGE_SIZE) this.set(page, shared);
  }

  set(address: number, shared: boolean): void {
    Atomics.store(this.#states, address / PAGE_SIZE, shared ? SHARED : 0);
    if (!shared) Atomics.add(this.#generation, 0, 1);
  }
}

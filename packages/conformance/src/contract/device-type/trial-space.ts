import type { DeviceAccess, DeviceAddressSpace, FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { TrialBuffer } from './trial-buffer.ts';

/** Where reframed buffers are: above every address that a mapping of a trial gives. */
const REFRAMED = 1n << 56n;
/** Bytes of device addresses for the two parts of one reframed buffer. */
const PART = 1n << 33n;

/** What a trial does to what the device half writes: changes it in place before it gets to memory. */
export type ChangeWritten = (bytes: Uint8Array) => void;

/**
 * The address space that a device half of a trial gets: watches that it writes only to the writable parts of buffers
 * that it has, and shows a buffer at other addresses, so that its framing can be any.
 */
export class TrialSpace implements DeviceAddressSpace {
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  readonly #inner: DeviceAddressSpace;
  readonly #buffers: ReadonlySet<TrialBuffer>;
  readonly #onWrong: (what: string) => void;
  readonly #writesMemory: boolean;
  readonly #reframed = new Map<bigint, TrialBuffer>();
  #next = 0n;
  /** `undefined` leaves what is written as it is. */
  change: ChangeWritten | undefined;

  /**
   * `buffers` are those that the device half has at this moment; `onWrong` is told what it does outside of them, unless
   * its type `writes` memory, too: `writesMemory`.
   */
  constructor(
    inner: DeviceAddressSpace,
    buffers: ReadonlySet<TrialBuffer>,
    onWrong: (what: string) => void,
    writesMemory: boolean,
  ) {
    this.#writesMemory = writesMemory;
    this.memory = inner.memory;
    this.faults = inner.faults;
    this.#inner = inner;
    this.#buffers = buffers;
    this.#onWrong = onWrong;
  }

  get generation(): number {
    return this.#inner.generation;
  }

  /** Gives a buffer addresses at which each of its parts is one run. Returns those of both parts. */
  reframe(buffer: TrialBuffer): readonly [readable: bigint, writable: bigint] {
    const base = REFRAMED + this.#next * 2n * PART;
    this.#next++;
    this.#reframed.set(this.#next - 1n, buffer);
    return [base, base + PART];
  }

  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean {
    let done = 0;
    for (const [address, run] of this.#resolve(low, high, length)) {
      const [runLow, runHigh] = words(address);
      if (!this.#inner.read(runLow, runHigh, target, at + done, run)) {
        target.fill(0, at + done, at + length);
        return false;
      }
      done += run;
    }
    return done === length || this.#inner.read(0xffff_ffff, 0xffff_ffff, target, at + done, length - done);
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    const bytes = source.slice(at, at + length);
    if (!this.#writesMemory || this.#room((BigInt(high) << 32n) | BigInt(low), length) > 0) this.change?.(bytes);
    let done = 0;
    for (const [address, run] of this.#resolve(low, high, length)) {
      const [runLow, runHigh] = words(address);
      this.#watch(address, run);
      if (!this.#inner.write(runLow, runHigh, bytes, done, run)) return false;
      this.#note(address, run);
      done += run;
    }
    return done === length || this.#inner.write(0xffff_ffff, 0xffff_ffff, bytes, done, length - done);
  }

  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    let start = -1;
    let done = 0;
    for (const [address, run] of this.#resolve(low, high, length)) {
      const [runLow, runHigh] = words(address);
      if (access === 'write') this.#watch(address, run);
      const at = this.#inner.borrow(runLow, runHigh, run, access);
      if (at < 0 || (start >= 0 && at !== start + done)) return -1;
      if (access === 'write') this.#note(address, run);
      if (start < 0) start = at;
      done += run;
    }
    return done === length ? start : -1;
  }

  reset(): void {
    this.#reframed.clear();
    this.#inner.reset?.();
  }

  /** The runs of an access in the addresses of the mapping. What lies behind the part of a buffer is left out. */
  *#resolve(low: number, high: number, length: number): Generator<readonly [address: bigint, bytes: number]> {
    const address = (BigInt(high) << 32n) | BigInt(low);
    const place = address - REFRAMED;
    const buffer = place < 0n ? undefined : this.#reframed.get(place / (2n * PART));
    if (buffer === undefined) yield [address, length];
    else yield* buffer.runs((place / PART) % 2n === 1n, Number(place % PART), length);
  }

  /** Looks whether a write stays in the writable parts of the buffers. */
  #watch(address: bigint, length: number): void {
    for (let done = 0; done < length;) {
      const run = this.#room(address + BigInt(done), length - done);
      if (run === 0) {
        if (this.#writesMemory) return;
        const what = `${length - done} bytes at 0x${(address + BigInt(done)).toString(16)}`;
        return this.#onWrong(`it writes ${what}, which are in the writable part of no buffer that it has`);
      }
      done += run;
    }
  }

  #room(address: bigint, length: number): number {
    let most = 0;
    for (const buffer of this.#buffers) most = Math.max(most, buffer.writableAt(address, length));
    return most;
  }

  #note(address: bigint, length: number): void {
    for (let done = 0; done < length;) {
      const at = address + BigInt(done);
      let run = 0;
      for (const buffer of this.#buffers) run = Math.max(run, buffer.noteWrite(at, length - done));
      if (run === 0) return;
      done += run;
    }
  }
}

/** A device address as two words. */
function words(address: bigint): readonly [low: number, high: number] {
  return [Number(address & 0xffff_ffffn), Number((address >> 32n) & 0xffff_ffffn)];
}

import { ContractError } from '../errors/coded-error.ts';
import { describeValue } from '../errors/message-of.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { DeviceAddressSpace } from './device-address-space.ts';
import type { DeviceAccess, FaultCause, FaultLog } from './fault-log.ts';
import { watchGeneration, type WatchedGeneration } from './watched-generation.ts';
/** The translation of an IOMMU, one device address at a time. Hot: results are fields, so that nothing is allocated. */
export interface AddressTranslation {
  /** Changes when a translation is removed or narrowed. */
  readonly generation: number;
  /** See {@link DeviceAddressSpace.seenGeneration}. */
  readonly seenGeneration?: number | undefined;
  /**
   * Translates one device address. Returns the guest-physical address, and sets {@link run}; or returns -1, and sets
   * {@link cause}, and {@link run} to the bytes that the same refusal covers (at least 1).
   */
  translate(low: number, high: number, access: DeviceAccess): number;
  /** Bytes from the translated address on that are contiguous and equally permitted. */
  readonly run: number;
  readonly cause: FaultCause;
  /** See {@link DeviceAddressSpace.freeze}. */
  freeze?(isFrozen: boolean): void;
  /** See {@link DeviceAddressSpace.reset}. */
  reset?(): void;
}

/**
 * A device address space over a translation, run by run. As on real hardware, the part of an access before a fault
 * takes effect and the part behind it does not.
 */
export class TranslatedAddressSpace implements DeviceAddressSpace {
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  readonly #translation: AddressTranslation;
  readonly #watched: WatchedGeneration;

  constructor(memory: GuestMemory, faults: FaultLog, translation: AddressTranslation) {
    this.memory = memory;
    this.faults = faults;
    this.#translation = translation;
    this.#watched = watchGeneration(translation);
  }

  get generation(): number {
    return this.#translation.generation;
  }

  get seenGeneration(): number {
    return this.#watched.seenGeneration;
  }

  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean {
    for (let done = 0; done < length;) {
      const run = this.#translate(low, high, done, length, 'read');
      if (run < 0) {
        target.fill(0, at + done, at + length);
        return false;
      }
      copyBytes(target, at + done, this.memory.u8, this.#address, run);
      done += run;
    }
    return true;
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    for (let done = 0; done < length;) {
      const run = this.#translate(low, high, done, length, 'write');
      if (run < 0) return false;
      copyBytes(this.memory.u8, this.#address, source, at + done, run);
      done += run;
    }
    return true;
  }

  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    let start = -1;
    for (let done = 0; done < length;) {
      const run = this.#translate(low, high, done, length, access);
      if (run < 0) return -1;
      if (start < 0) start = this.#address;
      else if (this.#address !== start + done) {
        this.#fault(low, high, done, length - done, access, 'not-contiguous');
        return -1;
      }
      done += run;
    }
    return start;
  }

  freeze(isFrozen: boolean): void {
    this.#translation.freeze?.(isFrozen);
  }

  reset(): void {
    this.#translation.reset?.();
  }

  #address = 0;

  /**
   * Translates the byte at `done` of an access. Returns how many bytes from there can be touched, or -1 after a fault.
   */
  #translate(low: number, high: number, done: number, length: number, access: DeviceAccess): number {
    const sum = low + done;
    const carriedHigh = sum >= 0x1_0000_0000 ? (high + 1) >>> 0 : high;
    const address = this.#translation.translate(sum >>> 0, carriedHigh, access);
    const left = length - done;
    if (address < 0) {
      this.#fault(low, high, done, left, access, this.#translation.cause);
      return -1;
    }
    let run = left <= this.#translation.run ? left : this.#translation.run;
    // A mistake of the platform that would loop for ever.
    if (!(run > 0)) throw new ContractError('platform', 'translate', `set a run of ${describeValue(run)} bytes`);
    if (!this.memory.contains(address, run)) run = this.#inMemory(address, run);
    if (run === 0) {
      this.#fault(low, high, done, left, access, 'outside-memory');
      return -1;
    }
    this.#address = address;
    return run;
  }

  /** Bytes of a run, from its first on, that guest memory has. Cold: only a run that leaves memory gets here. */
  #inMemory(address: number, run: number): number {
    if (!Number.isInteger(address) || address < 0)
      throw new ContractError('platform', 'translate', `returned ${describeValue(address)}, which is no address`);
    let [least, most] = [0, run];
    while (least < most) {
      const middle = Math.ceil((least + most) / 2);
      if (this.memory.contains(address, middle)) least = middle;
      else most = middle - 1;
    }
    return least;
  }

  #fault(low: number, high: number, done: number, length: number, access: DeviceAccess, cause: FaultCause): void {
    const address = BigInt.asUintN(64, (BigInt(high) << 32n) + BigInt(low) + BigInt(done));
    this.faults.record({ address, length, access, cause });
  }
}

/** Up to this many bytes a loop is faster than a typed-array view, and it allocates nothing. */
const SMALL = 128;
/** Bytes that one turn of that loop copies. */
const STEP = 8;

/** Copies between two byte arrays that do not overlap. Hot: small copies do not allocate. */
export function copyBytes(target: Uint8Array, at: number, source: Uint8Array, from: number, length: number): void {
  if (length > SMALL) {
    target.set(source.subarray(from, from + length), at);
    return;
  }
  let done = 0;
  // Eight bytes a turn take half the time of one.
  for (; done + STEP <= length; done += STEP) {
    const to = at + done;
    const of = from + done;
    target[to] = source[of]!;
    target[to + 1] = source[of + 1]!;
    target[to + 2] = source[of + 2]!;
    target[to + 3] = source[of + 3]!;
    target[to + 4] = source[of + 4]!;
    target[to + 5] = source[of + 5]!;
    target[to + 6] = source[of + 6]!;
    target[to + 7] = source[of + 7]!;
  }
  for (; done < length; done++) target[at + done] = source[from + done]!;
}

import {
  copyBytes,
  type AddressSpaceBlueprint,
  type DeviceAccess,
  type DeviceAddressSpace,
  type FaultCause,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { PageStates, type GuestMemory } from '@virtio-platform/core/memory';
import type { Technology } from '../options.ts';
import { CIPHER_BLOCK, MemoryEncryption, type MemoryKeys } from './encrypted-memory.ts';
/** What the device's thread needs: the shared page states, and the keys, which only device threads get. */
export interface SevAddressSpaceState {
  readonly pages: SharedArrayBuffer;
  readonly keys: MemoryKeys;
  readonly technology: Technology;
  /** The first address of shared memory: 0, except in a realm. */
  readonly alias: number;
}

/** The technologies under which an access to a private page does not happen at all. */
const DENYING_TECHNOLOGIES: ReadonlySet<Technology> = new Set(['restricted-pool', 'pkvm', 'cca']);
/** Bytes that one write poisons: a cache line. */
const LINE = 64;
/**
 * The bytes of a poisoned line. A real guest that reads one takes a machine check, which this process cannot simulate.
 */
const POISON = 0xff;

/**
 * Protected memory as a device accesses it, by physical address. The effect at a private page depends on the
 * technology:
 *
 * - SEV: the device reads ciphertext, and its writes decrypt to garbage, in the blocks that they touch.
 * - SEV-SNP: the device reads ciphertext, and its writes are blocked (the reverse map is checked for writes).
 * - TDX: the device reads zeros, and its writes poison the lines they touch.
 * - A restricted pool, pKVM and CCA: the device reads zeros, and its writes are dropped. In a realm of CCA an address
 *   below the shared half is refused whatever the page is.
 *
 * Unlike behind an IOMMU, the access goes on after the recorded fault; `read` and `write` then return false. There is
 * one fault per run of private pages.
 */
export class SevAddressSpace implements DeviceAddressSpace {
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  readonly #pages: PageStates;
  readonly #encryption: MemoryEncryption;
  readonly #technology: Technology;
  readonly #alias: number;

  constructor(memory: GuestMemory, faults: FaultLog, state: SevAddressSpaceState) {
    this.memory = memory;
    this.faults = faults;
    this.#pages = new PageStates(state.pages);
    this.#encryption = new MemoryEncryption(state.keys);
    this.#technology = state.technology;
    this.#alias = state.alias;
  }

  get generation(): number {
    return this.#pages.generation;
  }

  get seenGeneration(): number {
    return this.#pages.seenGeneration;
  }

  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean {
    const start = high * 0x1_0000_0000 + low - this.#alias;
    let clean = true;
    for (let done = 0; done < length;) {
      const address = start + done;
      const run = this.#runAt(low, high, done, length, 'read');
      if (run === 0) {
        target.fill(0, at + done, at + length);
        return false;
      }
      if (this.#pages.isShared(address)) copyBytes(target, at + done, this.memory.u8, address, run);
      else {
        this.#fault(low, high, done, run, 'read', this.#cause);
        this.#readPrivate(address, target, at + done, run);
        clean = false;
      }
      done += run;
    }
    return clean;
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    const start = high * 0x1_0000_0000 + low - this.#alias;
    let clean = true;
    for (let done = 0; done < length;) {
      const address = start + done;
      const run = this.#runAt(low, high, done, length, 'write');
      if (run === 0) return false;
      if (this.#pages.isShared(address)) copyBytes(this.memory.u8, address, source, at + done, run);
      else {
        this.#fault(low, high, done, run, 'write', this.#cause);
        this.#writePrivate(address, source, at + done, run);
        clean = false;
      }
      done += run;
    }
    return clean;
  }

  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    const start = high * 0x1_0000_0000 + low - this.#alias;
    for (let done = 0; done < length;) {
      const run = this.#runAt(low, high, done, length, access);
      if (run === 0) return -1;
      if (!this.#pages.isShared(start + done)) {
        this.#fault(low, high, done, run, access, this.#cause);
        return -1;
      }
      done += run;
    }
    return start;
  }

  get #cause(): FaultCause {
    return DENYING_TECHNOLOGIES.has(this.#technology) ? 'access-denied' : 'private-page';
  }

  #readPrivate(address: number, target: Uint8Array, at: number, length: number): void {
    const isVisible = this.#technology === 'sev' || this.#technology === 'snp';
    if (isVisible) this.#readCiphertext(address, target, at, length);
    else target.fill(0, at, at + length);
  }

  #writePrivate(address: number, source: Uint8Array, at: number, length: number): void {
    if (this.#technology === 'sev') this.#corrupt(address, source, at, length);
    if (this.#technology !== 'tdx') return;
    const first = Math.floor(address / LINE) * LINE;
    this.memory.u8.fill(POISON, first, Math.ceil((address + length) / LINE) * LINE);
  }

  /**
   * Bytes of an access of `length` bytes, from its byte `done` on, that are in memory and all shared or all private. 0,
   * and a recorded fault, where the access leaves memory.
   */
  #runAt(low: number, high: number, done: number, length: number, access: DeviceAccess): number {
    const address = high * 0x1_0000_0000 + low + done - this.#alias;
    if (address < 0) {
      this.#fault(low, high, done, length - done, access, 'access-denied');
      return 0;
    }
    const inside = this.memory.size - address;
    const rest = length - done;
    if (inside > 0) return this.#pages.runAt(address, inside < rest ? inside : rest);
    this.#fault(low, high, done, rest, access, 'outside-memory');
    return 0;
  }

  /** Reads the bytes of a private range in the memory chips. */
  #readCiphertext(address: number, target: Uint8Array, at: number, length: number): void {
    const first = blockStart(address);
    const raw = this.#rawBlocks(first, address + length);
    target.set(raw.subarray(address - first, address - first + length), at);
  }

  /** Overwrites ciphertext: the guest then decrypts every touched block, as a whole, to garbage. */
  #corrupt(address: number, source: Uint8Array, at: number, length: number): void {
    const first = blockStart(address);
    const raw = this.#rawBlocks(first, address + length);
    raw.set(source.subarray(at, at + length), address - first);
    this.memory.u8.set(this.#encryption.decrypt(first, raw), first);
  }

  #rawBlocks(first: number, end: number): Uint8Array {
    const last = Math.ceil(end / CIPHER_BLOCK) * CIPHER_BLOCK;
    return this.#encryption.encrypt(first, this.memory.u8.subarray(first, last));
  }

  #fault(low: number, high: number, done: number, length: number, access: DeviceAccess, cause: FaultCause): void {
    const address = BigInt.asUintN(64, (BigInt(high) << 32n) + BigInt(low) + BigInt(done));
    this.faults.record({ address, length, access, cause });
  }
}

/** Describes how to open the address space, in this thread or in the device's. */
export function sevAddressSpace(state: SevAddressSpaceState): AddressSpaceBlueprint {
  return { module: import.meta.url, state, open: openAddressSpace };
}

/** Opens what {@link sevAddressSpace} described; `state` is its state, cloned. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a state always comes from the same blueprint
  return new SevAddressSpace(memory, faults, state as SevAddressSpaceState);
}

function blockStart(address: number): number {
  return Math.floor(address / CIPHER_BLOCK) * CIPHER_BLOCK;
}

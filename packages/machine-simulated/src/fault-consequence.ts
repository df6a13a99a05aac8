import type { DeviceAccess, DeviceAddressSpace, FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';

/** What a device does after an access that the platform stopped. Real ones differ, and most say nothing. */
export const FAULT_CONSEQUENCES = [
  /** It asks for a reset, as the specification has it (section 2.1.2). */
  'needs-reset',
  /** The request fails. */
  'io-error',
  /** What it read is zeros, what it wrote is dropped, and the request is fine: QEMU. */
  'zeros',
  /** The same, but it read all ones: a bus on which no device answered. */
  'silent',
  /** It waits for a translation that never comes, and its queue with it: DPDK behind an IOTLB. */
  'stall',
  /** It is gone: libvhost-user closes the connection. */
  'connection-loss',
  /** Registers read as all ones and nothing works until it is reset: EEH on POWER. */
  'freeze',
] as const;
/** One of {@link FAULT_CONSEQUENCES}. */
export type FaultConsequence = (typeof FAULT_CONSEQUENCES)[number];

/** The address space of a device with this consequence: a device that ignores faults still reads filler bytes. */
export function spaceWithConsequence(space: DeviceAddressSpace, consequence: FaultConsequence): DeviceAddressSpace {
  if (consequence === 'zeros') return new FaultIgnoringAddressSpace(space, 0);
  return consequence === 'silent' ? new FaultIgnoringAddressSpace(space, 0xff) : space;
}

/** The address space of a device that ignores faults: they are recorded, and every access reports success. */
class FaultIgnoringAddressSpace implements DeviceAddressSpace {
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  readonly #space: DeviceAddressSpace;
  readonly #filler: number;

  /** `filler` is what a read that was stopped gives: every byte of it, whatever part was reached. */
  constructor(space: DeviceAddressSpace, filler: 0 | 0xff) {
    this.memory = space.memory;
    this.faults = space.faults;
    this.#space = space;
    this.#filler = filler;
  }

  get generation(): number {
    return this.#space.generation;
  }

  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean {
    if (!this.#space.read(low, high, target, at, length)) target.fill(this.#filler, at, at + length);
    return true;
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    this.#space.write(low, high, source, at, length);
    return true;
  }

  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    return this.#space.borrow(low, high, length, access);
  }

  freeze(isFrozen: boolean): void {
    this.#space.freeze?.(isFrozen);
  }

  reset(): void {
    this.#space.reset?.();
  }
}

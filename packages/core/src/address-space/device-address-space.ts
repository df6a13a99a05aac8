import type { GuestMemory } from '../memory/guest-memory.ts';
import type { DeviceAccess, FaultLog } from './fault-log.ts';

/**
 * Guest memory as one device reaches it: the only way from a device half to memory. An access that the platform does
 * not allow is recorded in the fault log and touches no memory. Device addresses are two 32-bit words.
 *
 * Bound when the device *offers* ACCESS_PLATFORM, never by what the driver accepts (QEMU `virtio_bus_device_plugged`).
 */
export interface DeviceAddressSpace {
  /** The guest memory of borrowed ranges. */
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  /** Changes when a translation is removed or narrowed. A borrowed range is valid only until then. Read in order. */
  readonly generation: number;
  /**
   * The generation by a plain load, for a hot path that asks whether what it found by {@link generation} still holds.
   * It is late at most until this thread learns, by an ordered access, of what came after the removal. Absent where
   * {@link generation} costs no more.
   */
  readonly seenGeneration?: number | undefined;

  /**
   * Reads `length` bytes into `target` from byte `at` on. Returns false after a fault; bytes that could not be read are
   * zero.
   */
  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean;

  /** Writes `length` bytes of `source` from byte `at` on. Returns false after a fault; refused bytes are dropped. */
  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean;

  /**
   * Returns the offset in {@link memory} of a range that is one run of memory, or -1 after a fault. With
   * `PlatformTraits.keepsBorrowed` the range stays with the device until {@link reset}.
   */
  borrow(low: number, high: number, length: number, access: DeviceAccess): number;

  /**
   * Freezes the translations while the device relies on them: changes fail until then (mail: Tsirkin, 2019-07-01).
   * Absent on a platform that does not translate or cannot freeze.
   */
  freeze?(isFrozen: boolean): void;

  /**
   * The device, or one of its queues, was reset, and holds nothing of this address space any more: what it borrowed is
   * over. Called on the device's side, in the thread of the device. An address space that keeps something for the
   * device (a grant that is mapped, a cache of translations) drops it, and changes {@link generation}, so that a queue
   * that was not reset borrows its ring again. Absent where nothing is kept.
   */
  reset?(): void;
}

/**
 * Opens a {@link DeviceAddressSpace} in this thread or in another one. The other thread calls `openAddressSpace` of
 * `module` with the same guest memory and `state`, which is structured-cloneable and shares its tables
 * (SharedArrayBuffer).
 */
export interface AddressSpaceBlueprint {
  /**
   * URL of a module that exports {@link OpenAddressSpace} as `openAddressSpace`; without it the device stays in this
   * thread.
   */
  readonly module?: string;
  readonly state: unknown;
  readonly open: OpenAddressSpace;
}

/** Opens the address space of a device over guest memory; `state` is that of the factory. */
export type OpenAddressSpace = (memory: GuestMemory, faults: FaultLog, state: unknown) => DeviceAddressSpace;

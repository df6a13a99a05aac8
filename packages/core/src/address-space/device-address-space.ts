import type { GuestMemory } from '../memory/guest-memory.ts';
import type { DeviceAccess, FaultLog } from './fault-log.ts';

/**
 * Guest memory as one device reaches it: the only way from a device half to memory. An access that the platform does not
 * allow is recorded in the fault log, and never touches memory it was not given. Device addresses are two 32-bit words.
 *
 * Bound when the device *offers* ACCESS_PLATFORM, never by what the driver accepts (QEMU `virtio_bus_device_plugged`).
 */
export interface DeviceAddressSpace {
  /** The memory in which borrowed ranges lie. */
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  /** Changes when a translation was removed or narrowed. A borrowed range holds only while this stays. */
  readonly generation: number;

  /**
   * Reads `length` bytes into `target` from byte `at` on. Returns false after a fault; what could not be read is zero.
   */
  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean;

  /** Writes `length` bytes of `source` from byte `at` on. Returns false after a fault; what was refused is dropped. */
  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean;

  /** Finds a range that is one run of memory and gives its offset in {@link memory}, or -1 after a fault. */
  borrow(low: number, high: number, length: number, access: DeviceAccess): number;

  /**
   * Tells the platform whether the device relies on its translations as they are: while it does, changes fail (mail: Tsirkin,
   * 2019-07-01). A platform that has nothing to translate, or cannot hold still, leaves it out.
   */
  freeze?(isFrozen: boolean): void;
}

/**
 * How to open a {@link DeviceAddressSpace}, here or in another thread: there, `openAddressSpace` of `module` gets the same
 * guest memory and `state`, which has to be structured-cloneable and share its tables (SharedArrayBuffer).
 */
export interface AddressSpaceBlueprint {
  /** URL of a module that exports {@link OpenAddressSpace} as `openAddressSpace`; without it the device stays in this thread. */
  readonly module?: string;
  readonly state: unknown;
  readonly open: OpenAddressSpace;
}

export type OpenAddressSpace = (memory: GuestMemory, faults: FaultLog, state: unknown) => DeviceAddressSpace;

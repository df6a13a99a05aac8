/** The kind of a device's access. */
export type DeviceAccess = 'read' | 'write';

/** How a fault names an access: hardware that records it may not say whether it was a read or a write. */
export type FaultAccess = DeviceAccess | 'read or write';

/** Why an access was refused or recorded. */
export type FaultCause =
  /** Nothing is mapped at this device address. */
  | 'unmapped'
  | 'read-not-permitted'
  | 'write-not-permitted'
  /** Beyond every window of the IOMMU. */
  | 'outside-window'
  /** The address is outside of guest memory. */
  | 'outside-memory'
  /** The page is private to the guest: a read sees ciphertext, a write corrupts. */
  | 'private-page'
  /** The page is private to the guest, and the ultravisor denies the access: nothing is read and nothing changes. */
  | 'access-denied'
  /** The device has fewer address bits than the address: it would put another one on the bus. */
  | 'beyond-mask'
  /**
   * An interrupt of the device, which the IOMMU does not let through: a write to addresses that are no memory, which
   * the platform states (`Platform.addressRanges`).
   */
  | 'interrupt-blocked'
  /** The ring is not one run of memory, as this device needs it. */
  | 'not-contiguous'
  /** The IOMMU reports invalid tables, or a reason that is unknown here. */
  | 'iommu-error'
  /** No access was refused: the device itself met an error, which {@link DeviceFault.detail} states. */
  | 'device-error';

/** An access that the platform refused, or an error of the device itself. */
export interface DeviceFault {
  /** Device address of the first refused byte; 0 for a `device-error`, and where hardware does not say it. */
  readonly address: bigint;
  /** Refused bytes from there on; 0 for a `device-error`, and where the address is not known. */
  readonly length: number;
  readonly access: FaultAccess;
  readonly cause: FaultCause;
  /**
   * Of a `device-error`: what happened, and where: `queue 0: ENOSPC: no space left on device, write`. Of a fault that
   * hardware recorded: what it says of it.
   */
  readonly detail?: string;
}

/**
 * The faults of one device, in order. Keeps the first {@link FaultLog.LIMIT} and counts all, so that a device cannot
 * fill memory with faults.
 */
export class FaultLog {
  static readonly LIMIT = 256;
  readonly entries: DeviceFault[] = [];
  /**
   * Whether the address space serves lookups of the host instead of accesses of a device. A refused lookup is not a
   * device fault, and hardware does not record it.
   */
  readonly isForLookups: boolean;
  readonly #listeners: ((fault: DeviceFault) => void)[] = [];
  #count = 0;

  constructor(listener?: (fault: DeviceFault) => void, isForLookups: boolean = false) {
    if (listener !== undefined) this.#listeners.push(listener);
    this.isForLookups = isForLookups;
  }

  /** A log for an address space that serves lookups instead of accesses of a device. */
  static forLookups(): FaultLog {
    return new FaultLog(undefined, true);
  }

  get count(): number {
    return this.#count;
  }

  /** Has `listener` told of each fault from here on. */
  watch(listener: (fault: DeviceFault) => void): void {
    this.#listeners.push(listener);
  }

  record(fault: DeviceFault): void {
    this.#count++;
    if (this.entries.length < FaultLog.LIMIT) this.entries.push(fault);
    for (const listener of this.#listeners) listener(fault);
  }
}

/** What a device was doing when it was stopped. */
export type DeviceAccess = 'read' | 'write';

/** Why an access was stopped, or recorded. */
export type FaultCause =
  /** Nothing is mapped at this device address. */
  | 'unmapped'
  | 'read-not-permitted'
  | 'write-not-permitted'
  /** Beyond every window of the IOMMU. */
  | 'outside-window'
  /** The address is no guest memory. */
  | 'outside-memory'
  /** The page is private to the guest: a read sees ciphertext, a write corrupts. */
  | 'private-page'
  /** The page is private to the guest, and its guardian denies it: nothing is read and nothing changes. */
  | 'access-denied'
  /** A ring that is not one run of memory; this device needs it so. */
  | 'not-contiguous'
  /** The IOMMU cannot translate it for a reason of its own: tables that are not as they should be, or one that is not known here. */
  | 'iommu-error';

export interface DeviceFault {
  /** Device address of the first byte that was refused. */
  readonly address: bigint;
  /** Bytes that were refused, from there. */
  readonly length: number;
  readonly access: DeviceAccess;
  readonly cause: FaultCause;
}

/** The faults of one device, in order. Keeps the first {@link FaultLog.LIMIT} and counts all: a device cannot fill memory with them. */
export class FaultLog {
  static readonly LIMIT = 256;
  readonly entries: DeviceFault[] = [];
  /** Whoever opened the address space only looks where addresses lead: what is refused is no fault, and no hardware records it. */
  readonly isOfProbe: boolean;
  readonly #listener: ((fault: DeviceFault) => void) | undefined;
  #count = 0;

  constructor(listener?: (fault: DeviceFault) => void, isOfProbe: boolean = false) {
    this.#listener = listener;
    this.isOfProbe = isOfProbe;
  }

  /** For an address space that is asked, and not used by a device. */
  static ofProbe(): FaultLog {
    return new FaultLog(undefined, true);
  }

  get count(): number {
    return this.#count;
  }

  record(fault: DeviceFault): void {
    this.#count++;
    if (this.entries.length < FaultLog.LIMIT) this.entries.push(fault);
    this.#listener?.(fault);
  }
}

import type { PciFunction } from '../../device/pci-function.ts';
import type { FeatureSet } from '../../features/feature-set.ts';
import type { ByteOrder } from '../../queue/ring/ring-format.ts';

/** What a device is before a case runs: what a {@link CaseNeed} looks at. */
export interface OfferedDevice {
  /** Everything that it offers to a driver. */
  readonly offered: FeatureSet;
  /** Of that, what negotiation with its platform lets a driver accept: ring features included. */
  readonly acceptable: FeatureSet;
  /** Whether that is the device's own choice; otherwise a profile says what it offers. */
  readonly isOwnOffer: boolean;
  /** Queues of the device. */
  readonly queueCount: number;
  /** Entries of the largest ring that a queue takes; 0 where there is no such queue. */
  readonly maxQueueSize: (queue: number) => number;
  /** How the driver reaches it: `vhost-user`, `pci`, `embedded`. */
  readonly machine: string;
  /** The order of bytes in which its legacy interface has what the driver wrote; little unless given. */
  readonly guestByteOrder?: ByteOrder | undefined;
  /** The PCI function that it is, with all of its registers; absent where it is none. */
  readonly pci?: PciFunction | undefined;
}

/** A request that every device of a type has to serve, as bytes: cases of the ring cut it into segments. */
export interface GoodRequest {
  readonly queue: number;
  /** What the device reads; may be empty. */
  readonly readable: Uint8Array;
  /** Bytes that the device may write. */
  readonly writable: number;
  /** Says what is wrong with what the device wrote, and with the used length; `undefined` where nothing is. */
  readonly check: (written: Uint8Array, length: number) => string | undefined;
}

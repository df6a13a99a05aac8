import type { DmaPath } from '../dma/dma-mapping.ts';
/**
 * Who writes the descriptors: the kernel; an unprivileged process that an IOMMU holds in check (`process`); a process
 * without one, which is as powerful as the kernel (`process-noiommu`).
 */
export const DRIVER_PRIVILEGES = ['kernel', 'process', 'process-noiommu'] as const;
/** The author of the descriptors; see {@link DRIVER_PRIVILEGES}. */
export type DriverPrivilege = (typeof DRIVER_PRIVILEGES)[number];

/**
 * What the platform does where a queue calls its mapping, a sentence or two each, in the present tense: for those who
 * follow a run step by step. They hold for the mapped path.
 */
export interface MappingSteps {
  /** For `map`: what becomes of one buffer. */
  readonly map: string;
  /** For `unmap`. */
  readonly unmap: string;
  /** For `premap` and `allocateCoherent`: what becomes of a region that stays mapped. */
  readonly region: string;
  /** For the release of such a region. */
  readonly release: string;
  /** What an access of the device goes through. */
  readonly access: string;
}

/** Facts of a platform that an option of a profile may decide, and that negotiation refuses devices for. */
export const DECIDING_FACTS = [
  'restrictedMemory',
  'isolates',
  'identityVerified',
  'confinesEveryDevice',
  'mapsUnflagged',
  'interruptsExposed',
] as const;
/** The options that decide facts of {@link DECIDING_FACTS}; see {@link PlatformTraits.factOptions}. */
export type FactOptions = Readonly<Partial<Record<(typeof DECIDING_FACTS)[number], string | undefined>>>;

/**
 * What the platform says of itself to negotiation. Facts, found out before or when they are read; negotiation decides.
 * Those that may be left out are `false` then.
 */
export interface PlatformTraits {
  /** Memory is encrypted or protected: a device reaches only what was shared with it. */
  readonly restrictedMemory: boolean;
  /** An IOMMU stands before devices that offer ACCESS_PLATFORM, and lets each reach only what was mapped for it. */
  readonly isolates: boolean;
  /** The path of a device that accepts ACCESS_PLATFORM. */
  readonly mappedPath: Exclude<DmaPath, 'physical'>;
  /**
   * Whether a device address was compared with its physical address and found equal. `undefined` where it was not
   * compared.
   */
  readonly identityVerified: boolean | undefined;
  /** One sentence for `explain`: what an address means on the mapped path. */
  readonly addressMeaning: string;
  /**
   * What of the profile made {@link mappedPath} what it is, as the profile writes it: `platform.domain: pass-through`.
   * Absent where the platform has one path and no option for it.
   */
  readonly pathOption?: string | undefined;
  /**
   * What of the profile made others of these facts what they are, each as the profile writes it:
   * `{ restrictedMemory: 'platform.secure: true' }`. Left out what no option decides.
   */
  readonly factOptions?: FactOptions | undefined;
  /** What mapping does, for those who follow it; told in general words unless given. */
  readonly mappingSteps?: MappingSteps | undefined;
  /** The verified identity holds for all of guest memory: what identity-address promises. */
  readonly reachesAllMemory?: boolean;
  /** The device address of a shared bounce slot was compared with its physical address and found equal. */
  readonly bounceIsPhysical?: boolean;
  /** Memory is restricted, and Linux does not check on this platform that the device knows. */
  readonly restrictedUnchecked?: boolean;
  /** A real IOMMU that no device bypasses, whatever it offers. */
  readonly confinesEveryDevice?: boolean;
  /** The kernel asks the platform also for devices without ACCESS_PLATFORM: Xen. */
  readonly mapsUnflagged?: boolean;
  /** The driver is a process, and never the kernel, as behind VFIO. */
  readonly processOnly?: boolean;
  /** Interrupts of a confined device are not remapped, so that it could raise any. */
  readonly interruptsExposed?: boolean;
  /**
   * The tables have no entry for writing alone, so a device also reads what is mapped `FromDevice`: a grant of Xen is
   * for reading, or for reading and writing.
   */
  readonly writableIsReadable?: boolean;
  /**
   * The device's side decides when it gives up what it borrowed (`DeviceAddressSpace.borrow`), by its reset at the
   * latest: a back-end of Xen has the grants of its rings mapped. What the driver unmaps or releases before is a leak
   * until then. What the device only read and wrote, it has given up when the access is over.
   */
  readonly keepsBorrowed?: boolean;
  /** Width that device addresses on the mapped path need, if it is more than some devices have. */
  readonly addressBits?: number;
}

import type { DmaPath } from '../dma/dma-path.ts';

/**
 * Who writes the descriptors: the kernel; an unprivileged process that an IOMMU holds in check (`process`); a process without
 * one, which is as powerful as the kernel (`process-noiommu`).
 */
export const DRIVER_PRIVILEGES = ['kernel', 'process', 'process-noiommu'] as const;
export type DriverPrivilege = (typeof DRIVER_PRIVILEGES)[number];

/** What the platform says of itself to negotiation. Facts, found out before; negotiation decides. */
export interface PlatformTraits {
  /** Memory is encrypted or protected: a device reaches only what was shared with it. */
  readonly restrictedMemory: boolean;
  /** An IOMMU stands before devices that offer ACCESS_PLATFORM, and confines them. */
  readonly isolates: boolean;
  /** The path of a device that accepts ACCESS_PLATFORM. */
  readonly mappedPath: Exclude<DmaPath, 'physical'>;
  /** Whether a device address was compared with its physical address and found equal. `undefined` where nobody looked. */
  readonly identityVerified: boolean | undefined;
  /** One sentence for `explain`: what an address means on the mapped path. */
  readonly addressMeaning: string;
}

import { EXPERIMENTAL_BITS, type ExperimentalBits } from '../features/feature-name.ts';

/**
 * What the user of the driver decided beforehand. Every switch stands for one disagreement of the threads behind the
 * decision table; the defaults are what the specification and Linux do, and where Linux has a gap, the safe side of it.
 */
export interface NegotiationPolicy {
  /**
   * Whether the two features proposed in 2019 exist for this driver. Off: it ignores them, like any unknown bit.
   */
  readonly experimental: boolean;
  readonly bits: ExperimentalBits;
  /** Refuse where Linux goes on and the device then fails: restricted memory, or an IOMMU that no device can bypass. */
  readonly strict: boolean;
  /** Use devices over the legacy interface, whose 32 bits cannot say that memory access is limited. */
  readonly allowLegacy: boolean;
  /**
   * Bounce for a device that does not know it, if a slot's device address is its physical one. The rejected patch of
   * 2019.
   */
  readonly allowUnflaggedBounce: boolean;
  /** Read no-translation as promising all that ACCESS_PLATFORM promises of restricted memory. The April 2019 text. */
  readonly noTranslationSatisfiesRestricted: boolean;
  /** In restricted memory, decline the ring features with the most to get wrong: packed and indirect. */
  readonly hardenRing: boolean;
  /** Let a process drive a device that no IOMMU confines: `enable_unsafe_noiommu_mode` and CAP_SYS_RAWIO. */
  readonly allowUnsafeNoIommu: boolean;
  /** Let a process have a device whose interrupts are not remapped: `allow_unsafe_interrupts`. */
  readonly allowUnsafeInterrupts: boolean;
  /** Refuse a device without ACCESS_PLATFORM where the platform's addresses are not physical, as virtio-win does. */
  readonly probeUnflagged: boolean;
}

/** The policy of a profile that sets none: the behaviour of Linux, without experimental features. */
export const DEFAULT_POLICY: NegotiationPolicy = {
  experimental: false,
  bits: EXPERIMENTAL_BITS,
  strict: true,
  allowLegacy: true,
  allowUnflaggedBounce: false,
  noTranslationSatisfiesRestricted: false,
  hardenRing: false,
  allowUnsafeNoIommu: false,
  allowUnsafeInterrupts: false,
  probeUnflagged: false,
};

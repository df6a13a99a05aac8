import type { PlatformTraits } from '@virtio-platform/core/negotiation';

/** The traits of a platform without an IOMMU: each device address is the guest-physical address, as was verified. */
export const IDENTITY_TRAITS: PlatformTraits = {
  restrictedMemory: false,
  isolates: false,
  mappedPath: 'identity',
  identityVerified: true,
  addressMeaning: '',
};

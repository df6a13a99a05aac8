import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import type { NegotiationRule } from '@virtio-platform/core/negotiation';
import type { SevOptions } from './options.ts';

/**
 * What encrypted memory adds to negotiation. That a device without VERSION_1 and ACCESS_PLATFORM is refused, and a process too,
 * are the core's own rules, which follow from the trait `restrictedMemory`.
 */
export function sevRules({ emulatedIommu }: SevOptions): readonly NegotiationRule[] {
  return [
    {
      name: 'encrypted-guest-has-no-emulated-iommu',
      source: 'mail: Lendacky, 2020 (an emulated IOMMU is not supported in an SEV guest)',
      stage: 'restricted-memory',
      apply(negotiation) {
        if (!emulatedIommu) return negotiation.note('no emulated IOMMU');
        if (!negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) return negotiation.note('the device bypasses it');
        negotiation.refuse('ENOTSUP', 'the emulated IOMMU of this guest would map private pages', {
          platform: 'emulatedIommu: false',
        });
      },
    },
  ];
}

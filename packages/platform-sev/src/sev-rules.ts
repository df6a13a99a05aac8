import { VIRTIO_F_ACCESS_PLATFORM, type NegotiationRule } from '@virtio-platform/core';

/**
 * What encrypted memory adds to negotiation. That a device without VERSION_1 and ACCESS_PLATFORM is refused is the core's own
 * rule, which follows from the trait `restrictedMemory`.
 */
export const SEV_RULES: readonly NegotiationRule[] = [
  {
    // A stage earlier than the core's hand-over rules: they would say EPERM, as if another device or driver could help,
    // where what is missing is the IOMMU itself.
    name: 'encrypted-guest-has-no-iommu',
    source: 'mail: Lendacky, 2020 (an emulated IOMMU is not supported in an SEV guest)',
    stage: 'interface',
    apply(negotiation) {
      const { offered, privilege } = negotiation.input;
      if (privilege !== 'process' || !offered.has(VIRTIO_F_ACCESS_PLATFORM)) return;
      negotiation.refuse(
        'ENOTSUP',
        'an encrypted guest has no IOMMU that could confine the device; set driver.privilege: kernel',
      );
    },
  },
  {
    name: 'process-cannot-share-pages',
    source: 'Linux set_memory_decrypted: only the kernel converts pages',
    stage: 'hand-over',
    apply(negotiation) {
      if (negotiation.input.privilege !== 'process-noiommu') return;
      negotiation.refuse(
        'ENODEV',
        'a process can neither share pages with the device nor bounce; set driver.privilege: kernel',
      );
    },
  },
];

import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import type { NegotiationRule } from '@virtio-platform/core/negotiation';

/** What a POWER guest adds to negotiation. Nothing here decides: core's rules do, and these say what it means. */
export function pseriesRules({ secure }: { readonly secure: boolean }): readonly NegotiationRule[] {
  return [
    {
      name: 'pseries-secure-guest-shares-pages',
      source: 'Linux arch/powerpc/platforms/pseries/svm.c: bouncing is forced, and its pool is shared by an ultracall',
      stage: 'restricted-memory',
      apply(negotiation) {
        negotiation.note(
          secure
            ? 'the ultravisor denies devices every page that was not shared; buffers are copied through shared ones'
            : 'not a secure guest: devices may see every page',
        );
      },
    },
    {
      name: 'pseries-plain-device-ignores-tces',
      source:
        'QEMU virtio_bus_device_plugged: without iommu_platform the device gets address_space_memory; Linux vring_use_map_api',
      stage: 'access',
      apply(negotiation) {
        if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
          negotiation.note('the device offers ACCESS_PLATFORM: its accesses go through the TCE tables');
        } else {
          negotiation.note(
            'the device does not offer ACCESS_PLATFORM: it ignores the TCE tables and reaches system memory, so a bus address would be read as a physical one',
          );
        }
      },
    },
  ];
}

import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import type { NegotiationRule } from '@virtio-platform/core/negotiation';
import type { IntelIommuOptions } from './intel-iommu-options.ts';

/** What an x86 guest behind VT-d adds to negotiation. Nothing here decides: core's rules do, and these say what it means. */
export function intelIommuRules({
  confinesEveryDevice,
  domain,
}: Pick<IntelIommuOptions, 'confinesEveryDevice' | 'domain'>): readonly NegotiationRule[] {
  return [
    {
      name: 'vtd-plain-device-bypasses',
      source:
        'QEMU virtio_bus_device_plugged: without iommu_platform the device gets address_space_memory; Linux commit 1a937693993f for real ones',
      stage: 'access',
      apply(negotiation) {
        if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
          negotiation.note('the device offers ACCESS_PLATFORM: its accesses go through the remapping unit');
        } else if (confinesEveryDevice) {
          negotiation.note(
            'the device does not offer ACCESS_PLATFORM, and its accesses go through the unit all the same',
          );
        } else {
          negotiation.note(
            'the device does not offer ACCESS_PLATFORM: it bypasses the unit, so an I/O virtual address would be read as a physical one',
          );
        }
      },
    },
    {
      name: 'vtd-domain-of-the-device',
      source: 'Linux iommu_get_default_domain_type: iommu=pt, and identity domains filled one to one',
      stage: 'access',
      apply(negotiation) {
        negotiation.note(
          {
            translated: 'a DMA domain of its own: the device loses a buffer with its unmapping',
            'pass-through': 'a pass-through domain: nothing confines the device',
            identity: 'a domain that is filled one to one: nothing confines the device to its buffers',
          }[domain],
        );
      },
    },
  ];
}

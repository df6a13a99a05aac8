import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import type { NegotiationRule } from '@virtio-platform/core/negotiation';

/**
 * Who gets a device through VFIO, whatever the profile says the driver is. The core refuses the same devices to a driver that
 * is a `process`; the container is one in any case. That identity-address is never accepted follows from the core too: a
 * process cannot promise it, because it does not control all mappings of its address space.
 */
export const VFIO_RULES: readonly NegotiationRule[] = [
  {
    name: 'vfio-needs-access-platform',
    source: 'mail: Tsirkin, 2019-07-01 (VFIO was never taught to refuse devices that bypass the IOMMU)',
    stage: 'hand-over',
    apply(negotiation) {
      if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM))
        return negotiation.note('the container confines the device');
      negotiation.refuse(
        'EPERM',
        'the device does not offer ACCESS_PLATFORM: the container cannot confine it, and it would read I/O virtual addresses as physical ones',
        { device: 'offer ACCESS_PLATFORM' },
      );
    },
  },
  {
    name: 'vfio-never-untranslated',
    source: 'mail: Bauermann, 2019-06-27 (VFIO has to be forbidden on devices that advertise no-translation)',
    stage: 'hand-over',
    apply(negotiation) {
      if (!negotiation.input.offered.has(negotiation.policy.bits.noTranslation))
        return negotiation.note('the device cannot be told to skip translation');
      negotiation.refuse(
        'EPERM',
        'the device offers ACCESS_PLATFORM_NO_TRANSLATION, which the process could turn on by itself in the device registers',
        { device: 'do not offer ACCESS_PLATFORM_NO_TRANSLATION' },
      );
    },
  },
  {
    name: 'vfio-driver-is-a-process',
    source: 'Linux Documentation/driver-api/vfio.rst: VFIO hands devices to userspace',
    stage: 'hand-over',
    apply(negotiation) {
      const { privilege } = negotiation.input;
      if (privilege === 'kernel')
        negotiation.refuse('EINVAL', 'a driver behind VFIO is a process, and not the kernel', {
          driver: 'driver.privilege: process',
        });
      else negotiation.note('the driver is a process, and the container decides what its device reaches');
    },
  },
];

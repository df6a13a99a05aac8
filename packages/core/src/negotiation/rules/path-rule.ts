import { VIRTIO_F_ACCESS_PLATFORM } from '../../features/feature-bit.ts';
import type { Negotiation, NegotiationRule } from '../negotiation.ts';
import { bouncePolicy, restrictedAccess } from './restricted-memory-rule.ts';

/** The path follows from what was accepted. Platforms have no say: they state the traits. */
export const PATH_RULE: NegotiationRule = {
  name: 'path-follows-access-platform',
  source: 'virtio 1.4 §6.1: without ACCESS_PLATFORM the driver passes only physical addresses; Linux vring_use_map_api',
  stage: 'path',
  apply(negotiation) {
    if (negotiation.accepted.has(VIRTIO_F_ACCESS_PLATFORM)) chooseMapped(negotiation);
    else if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
      negotiation.refuse(
        'ENODEV',
        'the device offers ACCESS_PLATFORM and it was declined; its addresses would be read in the wrong space',
        { driver: 'keep ACCESS_PLATFORM', device: 'do not offer ACCESS_PLATFORM' },
        { option: negotiation.optionOf(VIRTIO_F_ACCESS_PLATFORM) },
      );
    } else chooseUnflagged(negotiation);
  },
};

/** The device asks the platform. */
function chooseMapped(negotiation: Negotiation): void {
  const { traits, privilege } = negotiation.input;
  if (traits.mappedPath === 'identity' && traits.identityVerified !== true) {
    negotiation.refuse(
      'EINVAL',
      'identity was claimed and the probe found a device address that is not the physical address',
      { platform: 'map one to one at offset 0, or do not call it identity' },
      { option: traits.pathOption },
    );
  } else if (privilege === 'process-noiommu') {
    negotiation.choosePath(
      'physical',
      'the process finds out physical addresses itself; nothing can be mapped for it',
      {
        option: 'driver.privilege: process-noiommu',
      },
    );
  } else {
    const grounds = { accepted: VIRTIO_F_ACCESS_PLATFORM, option: traits.pathOption };
    negotiation.choosePath(traits.mappedPath, traits.addressMeaning, grounds);
  }
}

/** The device takes physical addresses, whatever stands before it. */
function chooseUnflagged(negotiation: Negotiation): void {
  const { traits } = negotiation.input;
  if (restrictedAccess(negotiation, negotiation.accepted) === 'bounced') {
    negotiation.choosePath('bounced', 'the physical address of a shared slot, which the device takes as any other', {
      option: bouncePolicy(negotiation, negotiation.accepted),
    });
  } else if (traits.mapsUnflagged !== true) {
    negotiation.choosePath(
      'physical',
      'guest-physical addresses, not translated further; the platform is not consulted',
    );
  } else if (traits.identityVerified === true) {
    negotiation.choosePath('identity', 'the platform is consulted all the same, and gives physical addresses');
  } else {
    negotiation.refuse(
      'ENODEV',
      'the platform is consulted all the same, and its addresses are not physical ones',
      {
        device: negotiation.toOffer(VIRTIO_F_ACCESS_PLATFORM),
        platform: 'no IOMMU before devices that do not know of it',
      },
      { option: traits.factOptions?.mapsUnflagged },
    );
  }
}

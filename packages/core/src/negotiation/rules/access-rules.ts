import { VIRTIO_F_ACCESS_PLATFORM } from '../../features/feature-bit.ts';
import { optionsOf, type Negotiation, type NegotiationRule, type RequiredChange } from '../negotiation.ts';
import { restrictedAccess } from './restricted-memory-rule.ts';
import { REFERENCES } from '../source-reference.ts';

/**
 * What an address is going to mean: the standard feature, the two of 2019, and whether the platform can keep what they
 * say.
 */
export const ACCESS_RULES: readonly NegotiationRule[] = [
  {
    name: 'never-both-meanings',
    source: 'mail: Bauermann, 2019-04-17 (setting both is an error); that ACCESS_PLATFORM wins is our choice',
    references: [REFERENCES['bauermann-2019-04-17']],
    stage: 'access',
    apply(negotiation) {
      const { noTranslation } = negotiation.policy.bits;
      if (!negotiation.candidates.has(noTranslation)) return negotiation.note('no-translation is not there to accept');
      if (!negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM))
        return negotiation.note('only one of the two is offered');
      negotiation.decline(noTranslation, 'ACCESS_PLATFORM is offered too, and a device insists on that one');
    },
  },
  {
    name: 'no-translation-needs-identity',
    source: 'mail: Bauermann, 2019-04-17 and 2019-06-03; Tsirkin, 2019-08-10 (the address has to be a physical one)',
    references: [
      REFERENCES['bauermann-2019-04-17'],
      REFERENCES['bauermann-2019-06-03'],
      REFERENCES['tsirkin-2019-08-10'],
    ],
    stage: 'access',
    apply(negotiation) {
      const { noTranslation } = negotiation.policy.bits;
      if (!negotiation.candidates.has(noTranslation)) return negotiation.note('no-translation is not there to accept');
      const { traits } = negotiation.input;
      const access = restrictedAccess(negotiation, negotiation.candidates);
      if (access === 'bounced' && negotiation.policy.noTranslationSatisfiesRestricted)
        negotiation.accept(noTranslation, 'a bounce slot was probed: its device address is the physical one');
      else if (access === 'unrestricted' && traits.identityVerified === true)
        negotiation.accept(noTranslation, 'probed: the device address of a page is its physical address');
      else {
        const option = traits.factOptions?.identityVerified;
        negotiation.decline(noTranslation, 'nothing shows that the platform’s addresses are physical ones', { option });
      }
    },
  },
  {
    name: 'access-platform-if-offered',
    source: 'virtio 1.4 §6.1 and §6.2; QEMU virtio_validate_features refuses a driver that leaves it out',
    references: [REFERENCES['pasic-2022-02-09']],
    stage: 'access',
    apply(negotiation) {
      if (negotiation.candidates.has(VIRTIO_F_ACCESS_PLATFORM)) {
        negotiation.accept(VIRTIO_F_ACCESS_PLATFORM, 'offered: the platform decides what an address means');
      } else if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
        negotiation.refuse(
          'ENODEV',
          'the device offers ACCESS_PLATFORM and this driver cannot accept it; its addresses would be read in the wrong space',
          { driver: 'understand ACCESS_PLATFORM: Linux 4.8 or later', device: 'do not offer ACCESS_PLATFORM' },
          { option: negotiation.optionOf(VIRTIO_F_ACCESS_PLATFORM) },
        );
      } else negotiation.note('not offered: only physical addresses may be passed');
    },
  },
  {
    name: 'identity-address-is-verified',
    source: 'mail: Tsirkin, 2019-07-01 (a promise of the guest to map one to one only, verified and then frozen)',
    references: [REFERENCES['tsirkin-2019-07-01']],
    stage: 'access',
    apply(negotiation) {
      const { identityAddress } = negotiation.policy.bits;
      if (!negotiation.candidates.has(identityAddress))
        return negotiation.note('identity-address is not there to accept');
      const { privilege, traits } = negotiation.input;
      const ofPath = { option: traits.pathOption };
      if (privilege !== 'kernel')
        negotiation.decline(identityAddress, 'a process does not control all mappings, so it cannot promise them', {
          option: `driver.privilege: ${privilege}`,
        });
      else if (traits.mappedPath !== 'identity' || traits.identityVerified !== true)
        negotiation.decline(identityAddress, 'the platform does not map one to one at offset 0', ofPath);
      else if (traits.reachesAllMemory !== true)
        negotiation.decline(identityAddress, 'the identity does not cover all of memory', ofPath);
      else negotiation.accept(identityAddress, 'all of memory is mapped one to one, probed, and stays so until reset');
    },
  },
  {
    name: 'real-iommu-needs-access-platform',
    source: 'Linux commit 1a937693993f (a physical device behind a physical IOMMU); virtio 1.4 §6.2',
    references: [REFERENCES['linux-1a937693993f']],
    stage: 'access',
    apply(negotiation) {
      const { input, policy } = negotiation;
      if (input.traits.confinesEveryDevice !== true) return negotiation.note('no IOMMU that every device is behind');
      if (input.offered.has(VIRTIO_F_ACCESS_PLATFORM))
        return negotiation.note('the device knows the IOMMU it is behind');
      if (!policy.strict) return negotiation.note('not strict: every access will fault at the IOMMU');
      negotiation.refuse(
        'ENODEV',
        'the IOMMU translates what this device takes for physical addresses',
        {
          device: `${negotiation.toOffer(VIRTIO_F_ACCESS_PLATFORM)}, and ORDER_PLATFORM with it`,
          platform: 'let the IOMMU pass this device through',
          policy: 'strict: false, to see it fault',
        },
        { option: optionsOf(input.traits.factOptions?.confinesEveryDevice, 'policy.strict: true') },
      );
    },
  },
  {
    name: 'unflagged-device-is-probed',
    source: 'virtio-win VirtIOWdfDeviceCheckIOMMUActive: one buffer is allocated and its two addresses compared',
    stage: 'access',
    apply(negotiation) {
      const { input, policy } = negotiation;
      if (!policy.probeUnflagged) return negotiation.note('the policy does not ask for it');
      if (input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) return negotiation.note('the device offers ACCESS_PLATFORM');
      if (input.traits.identityVerified !== false) return negotiation.note('no address differs from the physical one');
      negotiation.refuse(
        'STATUS_DEVICE_CONFIGURATION_ERROR',
        'the device wants physical addresses, and the platform gives others',
        { device: negotiation.toOffer(VIRTIO_F_ACCESS_PLATFORM), policy: 'probeUnflagged: false' },
        { option: optionsOf(input.traits.factOptions?.identityVerified, 'policy.probeUnflagged: true') },
      );
    },
  },
  {
    name: 'restricted-memory-is-bounced',
    source: 'Linux dma_direct_map_phys bounces, powerpc dma_iommu_map_phys does not; mail: Lendacky, 2020',
    references: [REFERENCES['lendacky-2020-02-21']],
    stage: 'access',
    apply(negotiation) {
      const { restrictedMemory, mappedPath, pathOption } = negotiation.input.traits;
      if (!restrictedMemory) return negotiation.note('memory is not restricted');
      if (!negotiation.accepted.has(VIRTIO_F_ACCESS_PLATFORM)) return negotiation.note('the platform does not map');
      if (mappedPath.startsWith('bounced') || mappedPath === 'granted')
        return negotiation.note('only shared memory is mapped');
      negotiation.refuse(
        'ENODEV',
        'the platform would map private pages, which the device cannot see',
        { platform: 'copy buffers through shared memory, and map that' },
        { option: pathOption },
      );
    },
  },
  {
    name: 'addresses-fit-the-device',
    source: 'Linux xen_grant_dma_supported: grants need all 64 bits',
    stage: 'access',
    apply(negotiation) {
      const { traits, addressBits = 64 } = negotiation.input;
      if (!negotiation.accepted.has(VIRTIO_F_ACCESS_PLATFORM)) return negotiation.note('the platform does not map');
      if ((traits.addressBits ?? 0) <= addressBits) return negotiation.note(`the device takes ${addressBits} bits`);
      negotiation.refuse('EIO', `addresses have ${traits.addressBits} bits, and the device takes ${addressBits}`, {
        device: `take addresses of ${traits.addressBits} bits`,
      });
    },
  },
  {
    name: 'narrow-device-needs-platform',
    source:
      'virtio 1.4 §6.1: without ACCESS_PLATFORM a device accesses any address that it is given; Linux dma_capable',
    stage: 'access',
    apply(negotiation) {
      const { addressBits = 64, reachesMemory = true, privilege } = negotiation.input;
      // A process without an IOMMU passes physical addresses, whatever is accepted.
      const isMapped = privilege !== 'process-noiommu';
      if (reachesMemory) return negotiation.note('the addresses that the device takes reach all of memory');
      const { accepted, policy } = negotiation;
      if (isMapped && accepted.has(VIRTIO_F_ACCESS_PLATFORM))
        return negotiation.note(`the platform gives addresses of at most ${addressBits} bits`);
      if (restrictedAccess(negotiation, accepted) === 'bounced')
        return negotiation.note(`only slots are passed, which lie below 2^${addressBits}`);
      if (!policy.strict) return negotiation.note(`not strict: what lies beyond 2^${addressBits} will fault`);
      negotiation.refuse(
        'ENODEV',
        `the device takes physical addresses of ${addressBits} bits, and memory reaches beyond`,
        {
          ...narrowChange(negotiation, isMapped),
          policy: 'strict: false, to see it fault',
        },
        { option: optionsOf(`device.dmaBits: ${addressBits}`, 'policy.strict: true') },
      );
    },
  },
  {
    name: 'accept-the-rest',
    source: 'virtio 1.4 §2.2.1 and §6.1',
    stage: 'access',
    apply(negotiation) {
      const rest = negotiation.candidates.minus(negotiation.accepted);
      for (const feature of rest) negotiation.accept(feature, 'offered and supported');
    },
  },
];

/** What would have the platform copy what lies beyond the addresses that a device takes. */
function narrowChange(negotiation: Negotiation, isMapped: boolean): RequiredChange {
  if (!isMapped) return { driver: 'driver.privilege: kernel', device: 'take more bits (device.dmaBits)' };
  if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM))
    return { driver: 'understand ACCESS_PLATFORM: Linux 4.8 or later' };
  return {
    device: `${negotiation.toOffer(VIRTIO_F_ACCESS_PLATFORM)}, so that the platform copies what lies beyond`,
  };
}

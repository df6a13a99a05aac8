import { VIRTIO_F_VERSION_1 } from '../../features/feature-bit.ts';
import type { NegotiationRule } from '../negotiation.ts';
import { REFERENCES } from '../source-reference.ts';

/** Which interface is used, and whether it may be. */
export const INTERFACE_RULES: readonly NegotiationRule[] = [
  {
    name: 'modern-needs-version-1',
    source: 'virtio 1.4 §6.1; Linux vp_finalize_features',
    stage: 'interface',
    apply(negotiation) {
      const { input } = negotiation;
      if (input.interface === 'legacy') negotiation.note('legacy interface: 32 feature bits, no FEATURES_OK');
      else if (!input.offered.has(VIRTIO_F_VERSION_1)) {
        negotiation.refuse('EINVAL', 'the device uses the modern interface but does not offer VERSION_1', {
          device: 'offer VERSION_1, or have a legacy interface',
        });
      } else if (!input.supported.has(VIRTIO_F_VERSION_1) || !input.carries.has(VIRTIO_F_VERSION_1)) {
        negotiation.refuse(
          'EINVAL',
          'the modern interface is used by a driver or transport that cannot accept VERSION_1',
          { driver: 'understand VERSION_1, or use the legacy interface' },
          { option: input.unsupported?.find(({ feature }) => feature === VIRTIO_F_VERSION_1)?.option },
        );
      } else negotiation.note('modern interface with VERSION_1');
    },
  },
  {
    name: 'legacy-only-if-allowed',
    source:
      'mail: linux-pci, about 2024 (a legacy driver has 32 feature bits, which cannot say that access is limited)',
    references: [REFERENCES['linux-pci-2024']],
    stage: 'interface',
    apply(negotiation) {
      if (negotiation.input.interface !== 'legacy') negotiation.note('not the legacy interface');
      else if (negotiation.policy.allowLegacy) negotiation.note('the policy allows the legacy interface');
      else {
        negotiation.refuse(
          'ENODEV',
          'the device is legacy, and could not tell if its access to memory were limited',
          {
            device: 'have a modern interface',
            policy: 'allowLegacy: true, where the device reaches all of memory',
          },
          { option: 'policy.allowLegacy: false' },
        );
      }
    },
  },
];

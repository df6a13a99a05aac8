import { VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { NegotiationRule } from '@virtio-platform/core/negotiation';
import type { LegacyOptions } from './options.ts';

/** What a platform without an IOMMU adds to negotiation. */
export function legacyRules(options: LegacyOptions): readonly NegotiationRule[] {
  return [
    {
      name: 'transitional-detects-legacy',
      source: 'virtio 1.4 §2.2.3: a transitional driver knows a legacy device by VERSION_1 not being offered',
      stage: 'interface',
      apply(negotiation) {
        const { input } = negotiation;
        if (input.interface !== 'legacy') return negotiation.note('the driver uses the modern interface');
        const kind = input.offered.has(VIRTIO_F_VERSION_1) ? 'a transitional' : 'a legacy';
        negotiation.note(
          `${kind} device: contiguous ring, ${options.guestEndian}-endian, addressed by page frame number`,
        );
      },
    },
    {
      name: 'any-layout-if-offered',
      source: 'virtio 1.4 §6.3: a transitional driver accepts ANY_LAYOUT where it is offered',
      stage: 'access',
      apply(negotiation) {
        const { accepted, input } = negotiation;
        if (accepted.has(VIRTIO_F_ANY_LAYOUT)) negotiation.note('requests may be framed in any way');
        else if (input.interface === 'legacy')
          negotiation.note('without ANY_LAYOUT: header, data and status in descriptors of their own');
        else negotiation.note('modern devices take any layout');
      },
    },
  ];
}

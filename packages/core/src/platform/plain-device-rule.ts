import { VIRTIO_F_ACCESS_PLATFORM } from '../features/feature-bit.ts';
import type { NegotiationRule } from '../negotiation/negotiation.ts';

/** What {@link plainDeviceRule} says it of. */
export interface PlainDeviceTerms extends Pick<NegotiationRule, 'name' | 'source' | 'references'> {
  /** The unit in a sentence: `the SMMU`. */
  readonly unit: string;
  /** Whether devices that do not offer ACCESS_PLATFORM are behind the unit too. */
  readonly confinesEveryDevice?: boolean;
}

/** The rule that says whether the accesses of the device go through an IOMMU. It only adds a note. */
export function plainDeviceRule({ unit, confinesEveryDevice = false, ...rule }: PlainDeviceTerms): NegotiationRule {
  return {
    ...rule,
    stage: 'access',
    apply(negotiation) {
      if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM))
        negotiation.note(`the device offers ACCESS_PLATFORM: its accesses go through ${unit}`);
      else if (confinesEveryDevice)
        negotiation.note(`the device does not offer ACCESS_PLATFORM, and its accesses go through ${unit} all the same`);
      else
        negotiation.note(
          `the device does not offer ACCESS_PLATFORM: it bypasses ${unit}, ` +
            'so an I/O virtual address would be read as a physical one',
        );
    },
  };
}

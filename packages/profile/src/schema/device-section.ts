import { FeatureSet, type ExperimentalBits } from '@virtio-platform/core/features';
import { featureBits } from './device-types.ts';
import type { DeviceSection } from './profile.ts';
import type { CheckedProfile } from './profile-schema.ts';
/** Bytes of a disk of which nothing is said. */
export const DEFAULT_CAPACITY: number = 16 * 1024 ** 2;
/** A locally administered address, in the range that QEMU uses. */
const DEFAULT_MAC = '52:54:00:12:34:56';

/** Fills in what the profile leaves to each device type. `resolveImage` finds the path of an image. */
export function deviceSection(
  checked: CheckedProfile['device'],
  experimental: ExperimentalBits,
  resolveImage: (image: string) => string,
): DeviceSection {
  const { type } = checked;
  const offers = checked.offers && FeatureSet.of(...featureBits(checked.offers, type, experimental));
  const common = { interface: checked.interface, offers };
  switch (type) {
    case 'block': {
      const { capacity = DEFAULT_CAPACITY, image, readOnly = false, serial = '', queues = 1 } = checked;
      return { type, ...common, capacity, image: image && resolveImage(image), readOnly, serial, queues };
    }
    case 'net':
      return { type, ...common, mac: checked.mac ?? DEFAULT_MAC, queuePairs: checked.queuePairs ?? 1 };
    case 'console': {
      const { columns = 80, rows = 25, ports = 1 } = checked;
      return { type, ...common, columns, rows, ports };
    }
    default:
      return { type, ...common, seed: checked.seed };
  }
}

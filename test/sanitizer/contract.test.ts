import { describeDmaMapping } from '@virtio-platform/conformance';
import { PLATFORMS, WrongGuest } from './wrong-guest.ts';

// A wrapper does what is behind it does: the sanitized mapping keeps every promise of the contract, wrong callers
// included.
for (const platform of PLATFORMS) {
  describeDmaMapping(`the sanitized mapping of ${platform}`, {
    setup: () => {
      const guest = new WrongGuest(platform);
      return {
        memory: guest.memory,
        mapping: guest.mapping(),
        device: guest.space,
        revokes: platform === 'pseries' || platform === 'vfio',
        dispose: () => guest.dispose(),
      };
    },
  });
}

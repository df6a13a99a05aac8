import {
  EXPERIMENTAL_IDENTITY_ADDRESS,
  EXPERIMENTAL_NO_TRANSLATION,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
} from '../features/feature-bit.ts';
import { featureDependencies, meetsDependency } from '../features/feature-dependencies.ts';
import { featureName } from '../features/feature-name.ts';
import type { NegotiationRule } from './negotiation.ts';

/** The rules that hold on every platform, in order. Sources in our own words; see reference sections in each. */
export const CORE_RULES: readonly NegotiationRule[] = [
  {
    name: 'modern-needs-version-1',
    source: 'virtio 1.4 §6.1; Linux vp_finalize_features',
    stage: 'interface',
    apply(negotiation) {
      const { input } = negotiation;
      if (input.interface === 'legacy') negotiation.note('legacy interface: 32 feature bits, no FEATURES_OK');
      else if (!input.offered.has(VIRTIO_F_VERSION_1)) {
        negotiation.refuse('EINVAL', 'the device uses the modern interface but does not offer VERSION_1');
      } else if (!input.supported.has(VIRTIO_F_VERSION_1) || !input.carries.has(VIRTIO_F_VERSION_1)) {
        negotiation.refuse(
          'EINVAL',
          'the modern interface is used by a driver or transport that cannot accept VERSION_1',
        );
      } else negotiation.note('modern interface with VERSION_1');
    },
  },
  {
    name: 'unprivileged-needs-isolation',
    source: 'mail: Tsirkin, 2019-07-01 (ACCESS_PLATFORM exists for drivers that are not trusted with addresses)',
    stage: 'hand-over',
    apply(negotiation) {
      const { offered, privilege, traits } = negotiation.input;
      if (privilege !== 'process') return negotiation.note(`driver privilege ${privilege}`);
      if (!offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
        negotiation.refuse(
          'EPERM',
          'the device does not offer ACCESS_PLATFORM, so its accesses bypass the IOMMU: an unprivileged driver could reach all of memory',
        );
      } else if (!traits.isolates) {
        negotiation.refuse('EPERM', 'no IOMMU confines the device: an unprivileged driver could reach all of memory');
      } else negotiation.note('unprivileged driver, and an IOMMU confines the device');
    },
  },
  {
    name: 'unprivileged-never-untranslated',
    source: 'mail: Bauermann, 2019-06-27 (VFIO has to be forbidden on devices that advertise no-translation)',
    stage: 'hand-over',
    apply(negotiation) {
      const { offered, privilege } = negotiation.input;
      if (privilege === 'kernel' || !offered.has(EXPERIMENTAL_NO_TRANSLATION)) return;
      negotiation.refuse(
        'EPERM',
        'the device offers ACCESS_PLATFORM_NO_TRANSLATION, which the driver could turn on by itself in the device registers',
      );
    },
  },
  {
    name: 'experimental-off',
    source: 'virtio 1.4 §2.2.1: a driver ignores bits that the specification does not describe',
    stage: 'candidates',
    apply(negotiation) {
      for (const feature of [EXPERIMENTAL_NO_TRANSLATION, EXPERIMENTAL_IDENTITY_ADDRESS]) {
        negotiation.decline(feature, 'proposed in 2019, never standardised');
      }
    },
  },
  {
    name: 'transport-carries',
    source: 'virtio 1.4 §4.1.4.10: the legacy interface has bits 0 to 31 only',
    stage: 'candidates',
    apply(negotiation) {
      for (const feature of negotiation.candidates.minus(negotiation.input.carries)) {
        negotiation.decline(feature, 'this transport cannot carry it');
      }
    },
  },
  {
    name: 'driver-supports',
    source: 'virtio 1.4 §2.2.1: a driver never accepts what it does not understand, and never fails because of it',
    stage: 'candidates',
    apply(negotiation) {
      for (const feature of negotiation.candidates.minus(negotiation.input.supported)) {
        negotiation.decline(feature, 'the driver does not support it');
      }
    },
  },
  {
    name: 'dependencies-closed',
    source: 'virtio 1.4 §2.2.1: no feature without the ones it requires',
    stage: 'candidates',
    apply(negotiation) {
      const { deviceType } = negotiation.input;
      const dependencies = featureDependencies(deviceType);
      for (let declined = true; declined;) {
        declined = false;
        for (const dependency of dependencies) {
          if (meetsDependency(negotiation.candidates, dependency)) continue;
          const { feature, requires, alternative, source } = dependency;
          const needed = alternative === undefined ? [requires] : [requires, alternative];
          const names = needed.map((bit) => featureName(bit, deviceType)).join(' or ');
          negotiation.decline(feature, `requires ${names} (${source})`);
          declined = true;
        }
      }
    },
  },
  {
    name: 'restricted-memory-needs-access-platform',
    source: 'Linux virtio_features_ok with virtio_require_restricted_mem_acc',
    stage: 'restricted-memory',
    apply(negotiation) {
      if (!negotiation.input.traits.restrictedMemory) return negotiation.note('memory is not restricted');
      for (const feature of [VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM]) {
        if (negotiation.candidates.has(feature)) continue;
        const name = featureName(feature, negotiation.input.deviceType);
        negotiation.refuse('ENODEV', `memory is restricted, and the device must provide ${name}`);
      }
    },
  },
  {
    name: 'access-platform-if-offered',
    source: 'virtio 1.4 §6.1 and §6.2; QEMU virtio_validate_features refuses a driver that leaves it out',
    stage: 'access',
    apply(negotiation) {
      if (negotiation.candidates.has(VIRTIO_F_ACCESS_PLATFORM)) {
        negotiation.accept(VIRTIO_F_ACCESS_PLATFORM, 'offered: the platform decides what an address means');
      } else if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
        negotiation.refuse(
          'ENODEV',
          'the device offers ACCESS_PLATFORM and this driver cannot accept it; its addresses would be read in the wrong space',
        );
      } else negotiation.note('not offered: only physical addresses may be passed');
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
  {
    name: 'path-follows-access-platform',
    source:
      'virtio 1.4 §6.1: without ACCESS_PLATFORM the driver passes only physical addresses; Linux vring_use_map_api',
    stage: 'path',
    apply(negotiation) {
      const { traits } = negotiation.input;
      if (!negotiation.accepted.has(VIRTIO_F_ACCESS_PLATFORM)) {
        if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
          return negotiation.refuse(
            'ENODEV',
            'the device offers ACCESS_PLATFORM and a platform rule declined it; its addresses would be read in the wrong space',
          );
        }
        return negotiation.choosePath(
          'physical',
          'guest-physical addresses, not translated further; the platform is not consulted',
        );
      }
      if (traits.mappedPath === 'identity' && traits.identityVerified !== true) {
        return negotiation.refuse(
          'EINVAL',
          'identity was claimed and the probe found a device address that is not the physical address',
        );
      }
      negotiation.choosePath(traits.mappedPath, traits.addressMeaning);
    },
  },
];

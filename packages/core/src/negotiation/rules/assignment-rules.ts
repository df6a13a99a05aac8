import { VIRTIO_F_ACCESS_PLATFORM } from '../../features/feature-bit.ts';
import { optionsOf, type Negotiation, type NegotiationRule, type RequiredChange } from '../negotiation.ts';
import { REFERENCES } from '../source-reference.ts';

const KERNEL = 'driver.privilege: kernel';
const PROCESS = 'driver.privilege: process';
const PROCESS_NOIOMMU = 'driver.privilege: process-noiommu';

/**
 * Whether this driver may have the device at all. The registers are then the driver's to write, so nothing that it
 * promises can be relied on: what must not happen is refused here, before anything is negotiated.
 */
export const ASSIGNMENT_RULES: readonly NegotiationRule[] = [
  {
    name: 'restricted-guest-confines-nothing',
    source: 'mail: Lendacky, 2020 (an emulated IOMMU is not supported in an SEV guest); QEMU protvirt.rst',
    references: [REFERENCES['lendacky-2020-02-21']],
    stage: 'assignment',
    apply(negotiation) {
      const { offered, privilege, traits } = negotiation.input;
      if (!traits.restrictedMemory) return negotiation.note('memory is not restricted');
      if (privilege !== 'process' || !offered.has(VIRTIO_F_ACCESS_PLATFORM)) return negotiation.note(driver(privilege));
      negotiation.refuse(
        'ENOTSUP',
        'a guest with restricted memory has no IOMMU that could confine the device for a process',
        asKernel(negotiation),
        { option: optionsOf(PROCESS, traits.factOptions?.restrictedMemory) },
      );
    },
  },
  {
    name: 'unprivileged-never-untranslated',
    source: 'mail: Bauermann, 2019-06-27 (VFIO has to be forbidden on devices that advertise no-translation)',
    references: [REFERENCES['bauermann-2019-06-27']],
    stage: 'assignment',
    apply(negotiation) {
      const { offered, privilege } = negotiation.input;
      const { noTranslation } = negotiation.policy.bits;
      if (!offered.has(noTranslation)) return negotiation.note('the device cannot be told to skip translation');
      if (privilege === 'kernel') return negotiation.note(driver(privilege));
      negotiation.refuse(
        'EPERM',
        'the device offers ACCESS_PLATFORM_NO_TRANSLATION, which the driver could turn on by itself in the device registers',
        { device: 'do not offer ACCESS_PLATFORM_NO_TRANSLATION', ...asKernel(negotiation) },
        { option: `driver.privilege: ${privilege}` },
      );
    },
  },
  {
    name: 'unprivileged-needs-isolation',
    source: 'mail: Tsirkin, 2019-07-01 (ACCESS_PLATFORM exists for drivers that are not trusted with addresses)',
    references: [REFERENCES['tsirkin-2019-07-01']],
    stage: 'assignment',
    apply(negotiation) {
      const { offered, privilege, traits } = negotiation.input;
      if (privilege !== 'process') return negotiation.note(driver(privilege));
      if (!offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
        negotiation.refuse(
          'EPERM',
          'the device does not offer ACCESS_PLATFORM, so its accesses bypass the IOMMU: an unprivileged driver could reach all of memory',
          { device: negotiation.toOffer(VIRTIO_F_ACCESS_PLATFORM), ...asKernel(negotiation) },
          { option: PROCESS },
        );
      } else if (!traits.isolates) {
        negotiation.refuse(
          'EPERM',
          'no IOMMU confines the device to what is mapped: an unprivileged driver could reach all of memory',
          {
            platform: 'map each buffer by itself, behind an IOMMU',
            ...(traits.processOnly === true ? { driver: PROCESS_NOIOMMU } : { driver: KERNEL }),
          },
          { option: optionsOf(PROCESS, traits.factOptions?.isolates) },
        );
      } else negotiation.note('unprivileged driver, and an IOMMU confines the device');
    },
  },
  {
    name: 'unprivileged-needs-interrupt-remapping',
    source: 'Linux vfio_iommu_type1_attach_group: allow_unsafe_interrupts',
    stage: 'assignment',
    apply(negotiation) {
      const { privilege, traits } = negotiation.input;
      if (privilege !== 'process') return negotiation.note(driver(privilege));
      if (traits.interruptsExposed !== true) return negotiation.note('the device raises its own interrupts alone');
      if (negotiation.policy.allowUnsafeInterrupts) return negotiation.note('not remapped, and the policy allows it');
      negotiation.refuse(
        'EPERM',
        'interrupts are not remapped: the process could make the device raise any of them',
        { platform: 'an IOMMU with interrupt remapping', policy: 'allowUnsafeInterrupts: true' },
        {
          option: optionsOf(PROCESS, traits.factOptions?.interruptsExposed, 'policy.allowUnsafeInterrupts: false'),
        },
      );
    },
  },
  {
    name: 'no-iommu-process-cannot-share-pages',
    source: 'Linux set_memory_decrypted: only the kernel converts pages',
    stage: 'assignment',
    apply(negotiation) {
      if (!isWithoutIommu(negotiation)) return;
      const { restrictedMemory, factOptions } = negotiation.input.traits;
      if (!restrictedMemory) return negotiation.note('memory is not restricted');
      negotiation.refuse(
        'ENODEV',
        'a process can neither share pages with the device nor bounce',
        asKernel(negotiation),
        { option: optionsOf(PROCESS_NOIOMMU, factOptions?.restrictedMemory) },
      );
    },
  },
  {
    name: 'no-iommu-mode-needs-no-iommu',
    source: 'Linux vfio_group_find_or_alloc, vfio_container_attach_group: a device with an IOMMU is in its real group',
    stage: 'assignment',
    apply(negotiation) {
      if (!isWithoutIommu(negotiation)) return;
      const { isolates, mappedPath, factOptions, pathOption } = negotiation.input.traits;
      if (!isolates && mappedPath === 'identity') return negotiation.note('no IOMMU stands before the device');
      negotiation.refuse(
        'EPERM',
        'an IOMMU stands before the device, and the mode without one cannot map memory in it',
        { driver: PROCESS },
        { option: optionsOf(PROCESS_NOIOMMU, isolates ? factOptions?.isolates : pathOption) },
      );
    },
  },
  {
    name: 'no-iommu-process-is-unsafe',
    source: 'Linux vfio_noiommu: enable_unsafe_noiommu_mode and CAP_SYS_RAWIO',
    stage: 'assignment',
    apply(negotiation) {
      if (!isWithoutIommu(negotiation)) return;
      if (negotiation.policy.allowUnsafeNoIommu)
        return negotiation.note('the policy allows it: this process is as powerful as the kernel');
      negotiation.refuse(
        'EPERM',
        'a process without an IOMMU can reach all of memory',
        { policy: 'allowUnsafeNoIommu: true', ...asKernel(negotiation) },
        { option: optionsOf(PROCESS_NOIOMMU, 'policy.allowUnsafeNoIommu: false') },
      );
    },
  },
];

function isWithoutIommu(negotiation: Negotiation): boolean {
  const { privilege } = negotiation.input;
  if (privilege === 'process-noiommu') return true;
  negotiation.note(driver(privilege));
  return false;
}

function driver(privilege: string): string {
  return `driver privilege ${privilege}`;
}

/** What a driver of the kernel would change, where the platform can have one. */
function asKernel(negotiation: Negotiation): RequiredChange {
  return negotiation.input.traits.processOnly === true ? {} : { driver: KERNEL };
}

import type { CaseBus, CaseDevice } from './feature-cases.ts';

/** A feature that only one of two drivers accepts where a device offers it, and why that is right. */
export interface FeatureDifference {
  readonly types: readonly CaseDevice['type'][];
  /** Where the device is; anywhere unless told. */
  readonly bus?: CaseBus;
  readonly features: readonly string[];
  readonly acceptedBy: 'Linux' | 'us';
  readonly why: string;
}

/**
 * Every difference between our drivers and those of Linux 6.1, or of 6.12 behind a virtio-iommu. Of the features of the
 * ring there are two, on the legacy interface and on virtio-mmio. Linux would drop IN_ORDER, NOTIFICATION_DATA (6.1
 * alone) and SUSPEND too, but QEMU 7.2 offers none of them. The balloon driver of 6.12 drops RING_INDIRECT_DESC; behind
 * an IOMMU it gives up, as ours does, so the two are not compared.
 */
export const FEATURE_DIFFERENCES: readonly FeatureDifference[] = [
  {
    types: ['entropy', 'console', 'balloon', 'scsi'],
    features: ['ANY_LAYOUT'],
    acceptedBy: 'us',
    why: 'Linux leaves it to each driver, and only that of net lists it. A transitional driver should accept it (virtio 1.4 §6.3), and it promises nothing that other drivers than block and net depend on.',
  },
  {
    types: ['block', 'net', 'entropy', 'console', 'balloon', 'scsi'],
    bus: 'mmio',
    features: ['RING_RESET'],
    acceptedBy: 'us',
    why: 'Linux resets a queue on PCI alone (vp_transport_features). Our transport for virtio-mmio has QueueReset (virtio 1.4 §4.2.2). QEMU 7.2 has no such register, so our machine hides the feature.',
  },
  {
    types: ['balloon'],
    features: ['BALLOON_PAGE_POISON'],
    acceptedBy: 'us',
    why: 'Linux clears it in a kernel that neither initialises nor poisons pages that it frees. Our driver half poisons them.',
  },
  {
    types: ['net'],
    features: ['NET_GSO'],
    acceptedBy: 'Linux',
    why: 'The legacy name for all segmentation at once, of which Linux has no use without CSUM. Our driver asks for each kind by itself.',
  },
  {
    types: ['net'],
    features: ['NET_CTRL_RX_EXTRA'],
    acceptedBy: 'us',
    why: 'Linux sets two receive modes, promiscuous and all multicast. A program may set all of them on our driver.',
  },
  {
    types: ['console'],
    features: ['CONSOLE_EMERG_WRITE'],
    acceptedBy: 'us',
    why: 'Linux has no early console on this device. Writing there needs no queue, and our driver can.',
  },
];

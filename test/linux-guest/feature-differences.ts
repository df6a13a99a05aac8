import type { CaseDevice } from './feature-cases.ts';

/** A feature that only one of two drivers accepts where a device offers it, and why that is right. */
export interface FeatureDifference {
  readonly types: readonly CaseDevice['type'][];
  readonly features: readonly string[];
  readonly acceptedBy: 'Linux' | 'us';
  readonly why: string;
}

/**
 * Every difference between our drivers and those of Linux 6.1. Of the features of the ring there is one, on the legacy
 * interface. Linux would drop IN_ORDER, NOTIFICATION_DATA and SUSPEND too, but QEMU 7.2 offers none of them.
 */
export const FEATURE_DIFFERENCES: readonly FeatureDifference[] = [
  {
    types: ['entropy', 'console', 'balloon'],
    features: ['ANY_LAYOUT'],
    acceptedBy: 'us',
    why: 'Linux leaves it to each driver, and only that of net lists it. A transitional driver should accept it (virtio 1.4 §6.3), and it promises nothing that other drivers than block and net depend on.',
  },
  {
    types: ['balloon'],
    features: ['BALLOON_PAGE_POISON'],
    acceptedBy: 'us',
    why: 'Linux clears it in a kernel that neither initialises nor poisons pages that it frees. Our driver half poisons them.',
  },
  {
    types: ['net'],
    features: ['NET_GSO', 'NET_CTRL_GUEST_OFFLOADS'],
    acceptedBy: 'Linux',
    why: 'Our driver sends and receives packets as they are on the wire: it neither asks for segmentation nor turns it off. Without CSUM, Linux has no use for GSO either.',
  },
  {
    types: ['net'],
    features: ['NET_CTRL_RX', 'NET_CTRL_VLAN', 'NET_CTRL_MAC_ADDR', 'NET_GUEST_ANNOUNCE'],
    acceptedBy: 'Linux',
    why: 'Our driver uses the control queue for the number of queue pairs alone: it sets no filters and no address, and announces nothing.',
  },
  {
    types: ['console'],
    features: ['CONSOLE_EMERG_WRITE'],
    acceptedBy: 'us',
    why: 'Linux has no early console on this device. Writing there needs no queue, and our driver can.',
  },
];

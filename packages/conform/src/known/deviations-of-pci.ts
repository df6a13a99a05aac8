import type { KnownBackEnd } from './known-back-end.ts';

/** What released functions are known to do with the registers of the PCI transport, each looked up in their source. */
export const DEVIATIONS_OF_PCI: readonly KnownBackEnd[] = [
  {
    program: /^qemu-system-/,
    version: '7.2',
    deviations: [
      {
        cases: ['pci/no-queue/queue_size-0x7fff', 'pci/no-queue/queue_size-0xffff'],
        why: 'virtio_pci_common_write ignores a queue_select from 1024 on, and the queue before stays selected',
      },
      {
        cases: ['type', 'ring', 'reserved', 'high'].map((run) => `pci/features/unoffered-${run}`),
        why: 'driver_feature mirrors what was written, and virtio_validate_features looks at no bit that is not offered',
      },
      {
        types: ['block', 'console', 'scsi', 'balloon'],
        cases: ['split', 'packed'].map((layout) => `pci/notify/before-driver-ok/${layout}`),
        why: 'virtio_queue_notify looks at the address of the queue and at whether the device is broken, not at DRIVER_OK',
      },
    ],
  },
  {
    program: /^qemu-system-ppc64$/,
    version: '7.2',
    deviations: [
      {
        types: ['block', 'console', 'net', 'scsi'],
        cases: ['config/before-features-ok'],
        why: 'virtio_access_is_big_endian goes by the guest until VERSION_1 is accepted, also over the modern interface',
      },
    ],
  },
];

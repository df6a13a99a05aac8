import type { KnownBackEnd } from './known-back-end.ts';

/** Cases after which the packed ring of a device is broken, or its device may not look at it. */
const BREAKING_PACKED = [
  'hostile/V43-next-everywhere',
  ...[
    'V08-no-bytes-readable',
    'V08-no-bytes-writable',
    'V08-no-bytes-at-all',
    'V09-4-gib-readable',
    'V09-4-gib-writable',
    'V11-chain-too-long',
    'V13-readable-behind-writable',
    'V13-reversed',
    'V18-table-length-8',
    'V18-table-length-24',
    'V18-table-length-4294967280',
    'V19-table-nowhere',
    'V21-table-too-long',
    'V49-table-in-ring',
  ].map((id) => `hostile/${id}/packed`),
  'pci/command/no-master-no-access-packed',
];

/**
 * What QEMU 7.2 does with rings that a driver broke, in hw/virtio/virtio.c: virtio_queue_packed_empty_rcu does not look
 * at whether the device is broken or disabled, as virtio_queue_split_empty does.
 */
export const DEVIATIONS_OF_BROKEN_RINGS: readonly KnownBackEnd[] = [
  {
    program: /^qemu-system-/,
    version: '7.2',
    deviations: [
      {
        cases: ['hostile/V18-table-length-0/packed'],
        why: 'virtqueue_packed_pop maps a table of 0 bytes, and address_space_cache_init asserts that it has some',
      },
      {
        types: ['block', 'scsi'],
        cases: BREAKING_PACKED,
        why: 'virtio_blk_handle_vq and virtio_scsi_handle_cmd_vq go on until a packed ring is empty, also a broken one',
      },
      {
        types: ['entropy'],
        cases: [
          'V08-no-bytes-readable',
          'V09-4-gib-readable',
          'V11-chain-too-long',
          'V13-readable-behind-writable',
          'V13-reversed',
        ].map((id) => `hostile/${id}/packed`),
        why: 'chr_read (hw/virtio/virtio-rng.c) asks again for what a broken ring has, and rng-builtin never ends',
      },
      {
        types: ['entropy'],
        cases: ['hostile/V09-4-gib-writable/split', 'hostile/V09-4-gib-writable/packed'],
        why: 'virtio_rng_process asks its source for all that a ring has room for: 4 GiB at once',
      },
    ],
  },
];

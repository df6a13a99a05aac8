import type { KnownBackEnd } from './known-back-end.ts';

/** The ids of cases that run on both layouts. */
function onBoth(...ids: readonly string[]): string[] {
  return ids.flatMap((id) => [`${id}/split`, `${id}/packed`]);
}

/** Cases of the ring with requests whose header, or response, is cut. */
const CUT_HEADERS = [
  'ring/scattered-descriptors',
  'ring/wrap-in-chain',
  'ring/wrap-by-whole-ring',
  ...onBoth(
    'ring/writable-odd-lengths',
    'ring/chain-as-long-as-ring',
    'ring/table-of-many',
    'ring/used-length-readable-only',
    'ring/laps',
    'random/operations',
  ),
];

/** Cases in which a length counts: of split rings, because QEMU marks none of a packed ring. */
const COUNTED = [
  'ring/readable-single-bytes',
  'ring/readable-in-two',
  'ring/writable-in-two',
  'ring/writable-last-byte-apart',
  'ring/tables-and-chains-mixed',
  'ring/direct-with-tables-negotiated',
  'ring/used-length',
  'ring/used-length-written',
  'ring/readable-unchanged',
  'ring/table-unchanged',
  'queues/at-once',
  'queues/events-apart',
  'queues/tables-on-each',
  'queues/many-requests',
  'queues/reset-one-with-buffers',
  'scsi/write-read',
  'scsi/data-out-in-odd-lengths',
  'scsi/used-length-of-write',
  ...['intx', 'msix', 'msix-shared'].map((way) => `pci/by-${way}/queues/events-apart`),
].map((id) => `${id}/split`);

const CUT_HEADER_ASSERTS =
  'virtio_net_flush_tx (hw/net/virtio-net.c) takes what is behind a header that is cut, and iov_copy asserts';

/** What released devices of other types than block are known to do, each looked up in their source. */
export const DEVIATIONS_OF_TYPES: readonly KnownBackEnd[] = [
  {
    program: /^qemu-system-/,
    version: '7.2',
    deviations: [
      {
        types: ['net'],
        cases: onBoth('net/receive-one-buffer-each'),
        why: 'virtio_net_receive_rcu (hw/net/virtio-net.c) copies num_buffers out with MRG_RXBUF only, against 5.1.6.4.1',
      },
      {
        types: ['net'],
        cases: ['net/hostile-command-scaling-to-no-queue'],
        // Until 7.2.13 it left an array by such an index (CVE-2024-6505); it takes it modulo the pairs since.
        why: 'virtio_net_handle_rss (hw/net/virtio-net.c) answers OK to any index in its table of queues',
      },
      {
        types: ['net'],
        cases: onBoth('net/hostile-request-of-1', 'net/hostile-request-of-9', 'net/hostile-request-of-11'),
        why: CUT_HEADER_ASSERTS,
      },
      {
        types: ['net'],
        cases: ['hostile/V26-rewritten'],
        isByChance: true,
        why: CUT_HEADER_ASSERTS,
      },
      {
        types: ['net'],
        cases: onBoth('net/hostile-receive-of-1-alone', 'net/hostile-receive-of-11-alone'),
        why: 'virtio_net_receive_rcu (hw/net/virtio-net.c) writes behind a header without room, and iov_from_buf asserts',
      },
      {
        types: ['console'],
        cases: onBoth('console/ports-announced-once'),
        why: 'handle_control_message (hw/char/virtio-serial-bus.c) sends PORT_ADD for every port with each DEVICE_READY, against 5.3.6.2.1',
      },
      {
        types: ['scsi'],
        cases: [
          ...CUT_HEADERS,
          ...onBoth(
            'scsi/request-in-two',
            'scsi/command-apart',
            'scsi/data-with-response',
            'scsi/response-in-two',
            'scsi/response-in-odd-lengths',
            'scsi/data-with-request',
          ),
        ],
        why: 'virtio_scsi_parse_req (hw/scsi/virtio-scsi.c) takes the first descriptor for the header unless ANY_LAYOUT, which a driver of 1.0 never has',
      },
      {
        types: ['scsi'],
        cases: COUNTED,
        why: 'virtio_scsi_complete_req (hw/scsi/virtio-scsi.c) pushes qsgl.size, data-out as well, against 2.7.8.2',
      },
    ],
  },
  {
    program: /^dpdk-testpmd$/,
    version: '',
    deviations: [
      {
        cases: onBoth('net/receive-header-in-single-bytes', 'net/receive-in-single-bytes'),
        why: 'mbuf_to_desc (lib/vhost/virtio_net.c) has the rest of a header in the second descriptor, however short, and writes behind it',
      },
      {
        // Which of them fails depends on how many packets testpmd has at once.
        isByChance: true,
        cases: ['of-1', 'of-1-alone', 'of-11', 'of-11-alone'].map((id) => `net/hostile-receive-${id}/packed`),
        why: 'virtio_dev_rx_sync_batch_check (lib/vhost/virtio_net.c) subtracts the header from shorter buffers',
      },
      {
        cases: onBoth('net/receive-one-buffer-each'),
        why: 'mbuf_to_desc (lib/vhost/virtio_net.c) writes num_buffers with MRG_RXBUF only, against 5.1.6.4.1',
      },
      {
        cases: onBoth('net/hostile-receive-readable', 'net/hostile-receive-half-readable'),
        why: 'fill_vec_buf_split and _packed (lib/vhost/virtio_net.c) look at no WRITE flag, against 2.7.5.1',
      },
      {
        cases: ['hostile/V01-index-jumps-32767', 'hostile/V02-index-goes-back'],
        why: 'flush_shadow_used_ring_split (lib/vhost/virtio_net.c) writes a burst of 32 entries to a ring of 16',
      },
      {
        cases: ['ring/table-marked-writable/packed'],
        why: 'vhost_flush_dequeue_shadow_packed (lib/vhost/virtio_net.c) leaves WRITE and the length of a table',
      },
      {
        cases: ['features/closed-offer'],
        why: 'rte_pmd_vhost_probe (drivers/net/vhost/rte_eth_vhost.c) withholds TSO4 and TSO6, and leaves HOST_ECN',
      },
      {
        cases: ['vhost-user/reset-owner'],
        why: 'vhost_user_reset_owner (lib/vhost/vhost_user.c) forgets the whole device, which the document warns of',
      },
      {
        cases: ['vhost-user/region-behind-its-file', 'vhost-user/table-short-file'],
        why: 'vhost_user_mmap_region (lib/vhost/vhost_user.c) does not look at the length of the file',
      },
      {
        // What is behind the message decides.
        isByChance: true,
        cases: ['vhost-user/size-set-mem-table-empty', 'vhost-user/size-set-mem-table-short'],
        why: 'vhost_user_set_mem_table (lib/vhost/vhost_user.c) reads regions that the message does not have',
      },
    ],
  },
];

import { DEVIATIONS_OF_BROKEN_RINGS } from './deviations-of-broken-rings.ts';
import { DEVIATIONS_OF_PCI } from './deviations-of-pci.ts';
import { DEVIATIONS_OF_TYPES } from './deviations-of-types.ts';
import type { KnownBackEnd, KnownDeviation } from './known-back-end.ts';

const EARLY_KICK: KnownDeviation = {
  cases: ['status/kick-before-driver-ok/split'],
  why: 'virtio_queue_notify (hw/virtio/virtio.c) serves a queue that is kicked before DRIVER_OK: some guests do so',
};
const TABLE_BEHIND: KnownDeviation = {
  cases: ['ring/table-behind-descriptors'],
  why: 'virtqueue_split_pop (hw/virtio/virtio.c) looks for INDIRECT in the first descriptor only, against 2.7.5.3.2',
};

const OVERRUN = 'vu_set_vring_num_exec and others take the index of a queue without a look at the number of queues';

/** What libvhost-user.c does with messages, in every back-end that is built on it. */
const LIBVHOST_USER: readonly KnownDeviation[] = [
  {
    cases: ['vhost-user/no-call-descriptor/split'],
    why: '_vu_queue_notify writes to descriptor -1 where SET_VRING_CALL said that none comes, and vu_panic gives up',
  },
  {
    cases: ['vhost-user/no-kick-descriptor'],
    why: 'vu_set_vring_kick_exec watches the descriptor of kicks; a ring without one is never looked at',
  },
  {
    cases: ['vhost-user/config-range'],
    why: 'vu_get_config passes no offset on: every answer begins with the first byte of the configuration',
  },
  {
    cases: ['vhost-user/closes-spare-descriptor'],
    why: 'vu_process_message closes the descriptors of the messages that have some, not those of others',
  },
  {
    cases: ['set-vring-num', 'set-vring-base', 'set-vring-addr', 'get-vring-base'].flatMap((request) =>
      ['one-too-many', '0x8000', 'largest'].map((index) => `vhost-user/index-${request}-${index}`),
    ),
    why: OVERRUN,
  },
  {
    cases: ['vhost-user/address-at-the-end/split'],
    why: 'qva_to_va looks at the first byte of an area, not at the last one',
  },
  {
    cases: ['vhost-user/region-behind-its-file', 'vhost-user/table-short-file'],
    why: 'vu_set_mem_table_exec maps a region without a look at the length of its file, and SIGBUS ends it',
  },
  {
    cases: ['vhost-user/table-says-4294967295'],
    why: 'vu_set_mem_table_exec takes the number of regions from the message, of which it has room for 8',
  },
  {
    cases: ['vhost-user/region-removed-while-used'],
    why: 'vu_rem_mem_reg unmaps a region and keeps the addresses of a ring in it',
  },
  {
    cases: ['vhost-user/log-used-ring-unasked', 'vhost-user/log-used-ring-stopped'],
    why: 'vring_used_write logs the used ring whatever the flag of the ring says',
  },
  {
    cases: [
      'of-no-bytes',
      'of-all-bytes',
      'that-wraps',
      'at-an-odd-offset',
      'is-a-folder',
      'is-a-device',
      'is-an-event',
    ].map((id) => `vhost-user/log-${id}`),
    why: 'vu_set_log_base_exec prints that mmap failed, and takes what mmap returned for the log',
  },
  {
    cases: ['vhost-user/log-behind-its-file'],
    why: 'vu_set_log_base_exec maps a log without a look at the length of its file, and SIGBUS ends it',
  },
  {
    cases: ['vhost-user/log-used-ring-behind', 'vhost-user/log-used-ring-largest'],
    why: 'vu_log_write asserts that the log is long enough for an address that the front-end chose',
  },
];

const KNOWN: readonly KnownBackEnd[] = [
  {
    program: /^qemu-storage-daemon$/,
    version: '7.2',
    deviations: [
      { ...EARLY_KICK, why: 'libvhost-user serves a ring that was kicked, also one that is not enabled yet' },
      { ...TABLE_BEHIND, why: 'vu_queue_map_desc looks for INDIRECT in the first descriptor of a chain only' },
      ...LIBVHOST_USER,
    ],
  },
  {
    program: /^qemu-system-/,
    version: '7.2',
    deviations: [
      {
        ...EARLY_KICK,
        types: ['block', 'console', 'scsi', 'balloon'],
        cases: ['status/kick-before-driver-ok/split', 'status/kick-before-driver-ok/packed'],
      },
      { ...TABLE_BEHIND, types: ['block', 'entropy', 'scsi'] },
      {
        types: ['block', 'entropy', 'scsi'],
        cases: ['ring/used-marked-written'],
        why: 'virtqueue_packed_fill_desc writes AVAIL and USED only, against 2.8.3',
      },
      {
        cases: ['features/unoffered-bit'],
        why: 'virtio_set_features clears bits that it does not offer and returns an error, which virtio-pci drops',
      },
      {
        types: ['block'],
        cases: ['block/padding'],
        why: 'the configuration ends behind write_zeroes_may_unmap, and reads behind its end are all ones',
      },
    ],
  },
];

/**
 * Why cases of a back-end are known to fail, by id. `program` is a file name, `version` what it says of itself, `type`
 * the short name of the device type.
 */
export function knownDeviations(program: string, version: string, type: string): ReadonlyMap<string, string> {
  const known = deviationsOf(program, version, type);
  return new Map(known.flatMap(({ cases, why }) => cases.map((id) => [id, why] as const)));
}

/** The cases of {@link knownDeviations} that pass at times. */
export function chanceDeviations(program: string, version: string, type: string): ReadonlySet<string> {
  const byChance = deviationsOf(program, version, type).filter(({ isByChance }) => isByChance === true);
  return new Set(byChance.flatMap(({ cases }) => cases));
}

function deviationsOf(program: string, version: string, type: string): readonly KnownDeviation[] {
  return [...KNOWN, ...DEVIATIONS_OF_TYPES, ...DEVIATIONS_OF_BROKEN_RINGS, ...DEVIATIONS_OF_PCI]
    .filter((backEnd) => backEnd.program.test(program) && version.startsWith(backEnd.version))
    .flatMap(({ deviations }) => deviations)
    .filter(({ types }) => types === undefined || types.includes(type));
}

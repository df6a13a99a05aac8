import { DEVIATIONS_OF_TYPES } from './deviations-of-types.ts';
import type { KnownBackEnd, KnownDeviation } from './known-back-end.ts';

const EARLY_KICK: KnownDeviation = {
  cases: ['status/kick-before-driver-ok/split'],
  why: 'it serves a queue that is kicked, whether or not DRIVER_OK is set: some guests kick early',
};
const TABLE_BEHIND: KnownDeviation = {
  cases: ['ring/table-behind-descriptors'],
  why: 'its virtqueue looks for INDIRECT in the first descriptor of a chain only, against 2.7.5.3.2',
};

const KNOWN: readonly KnownBackEnd[] = [
  {
    program: /^qemu-storage-daemon$/,
    version: '7.2',
    deviations: [
      { ...EARLY_KICK, why: 'libvhost-user serves a ring that was kicked, also one that is not enabled yet' },
      { ...TABLE_BEHIND, why: 'vu_queue_map_desc looks for INDIRECT in the first descriptor of a chain only' },
    ],
  },
  {
    program: /^qemu-system-/,
    version: '7.2',
    deviations: [
      { ...EARLY_KICK, types: ['block', 'console', 'scsi', 'balloon'] },
      TABLE_BEHIND,
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
  const known = [...KNOWN, ...DEVIATIONS_OF_TYPES]
    .filter((backEnd) => backEnd.program.test(program) && version.startsWith(backEnd.version))
    .flatMap(({ deviations }) => deviations)
    .filter(({ types }) => types === undefined || types.includes(type));
  return new Map(known.flatMap(({ cases, why }) => cases.map((id) => [id, why] as const)));
}

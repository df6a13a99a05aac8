/** A case that a released back-end is known to fail, and why it is the back-end that is wrong. */
export interface KnownDeviation {
  /** The ids of cases, as planned. */
  readonly cases: readonly string[];
  readonly why: string;
}

/** Back-ends by the name of their program, with the versions that were looked at. */
interface KnownBackEnd {
  readonly program: RegExp;
  /** A prefix of the version. */
  readonly version: string;
  readonly deviations: readonly KnownDeviation[];
}

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
      EARLY_KICK,
      TABLE_BEHIND,
      {
        cases: ['features/unoffered-bit'],
        why: 'virtio_set_features clears bits that it does not offer and returns an error, which virtio-pci drops',
      },
      {
        cases: ['block/padding'],
        why: 'the configuration ends behind write_zeroes_may_unmap, and reads behind its end are all ones',
      },
    ],
  },
];

/** Why cases of a back-end are known to fail, by id. `program` is a file name, `version` what it says of itself. */
export function knownDeviations(program: string, version: string): ReadonlyMap<string, string> {
  const known = KNOWN.filter((backEnd) => backEnd.program.test(program) && version.startsWith(backEnd.version));
  return new Map(
    known.flatMap(({ deviations }) => deviations.flatMap(({ cases, why }) => cases.map((id) => [id, why] as const))),
  );
}

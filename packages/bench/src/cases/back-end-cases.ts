import { C_CHECKED, OURS, type BenchCase, type BenchPart } from '../bench-case.ts';

const DISKS = ['null', 'file'] as const;
const DEPTHS = [1, 8, 32, 128] as const;

/** The driver of a disk that QEMU's storage daemon serves, beside a front-end in C with the same loop. */
export const BACK_END_PART: BenchPart = {
  name: 'back-end',
  title: 'Reads of 4 KiB of a disk that qemu-storage-daemon serves: the front-end waits where nothing came back.',
  unit: 'ns/request',
  cases: DISKS.flatMap((disk) =>
    DEPTHS.map((depth): BenchCase => ({
      id: `back-end/${disk}/depth-${depth}`,
      part: 'back-end',
      axes: { disk, depth },
      subjects: [
        { name: OURS, kind: 'front-end', disk, depth },
        { name: C_CHECKED, kind: 'front-end', disk, depth, program: { name: 'front-end', isChecked: true } },
      ],
    })),
  ),
};

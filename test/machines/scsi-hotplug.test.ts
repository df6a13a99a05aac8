import { qemuDisk, SCSI_SETTINGS } from '@virtio-platform/device-scsi';
import { describe, expect, it } from 'vitest';
import { runMonitored } from './monitored-run.ts';
import { QEMU_TESTS } from './qemu-installed.ts';

const DISKS = [
  { lun: 0, capacity: '4MiB' },
  { lun: 1, capacity: '4MiB' },
  { lun: 2, capacity: '4MiB', plugged: false },
];

describe.skipIf(!QEMU_TESTS.mayRun)(`disks of QEMU's SCSI host that come and go (${QEMU_TESTS.needs})`, () => {
  it('are noticed by events while random commands go on, and what they hold stays', async () => {
    const [, second, third] = SCSI_SETTINGS.parse({ disks: [{}, { lun: 1 }, { lun: 2 }] }).disks;
    const steps = [
      { execute: 'device_del', arguments: { id: 'disk-0-1' } },
      { execute: 'device_add', arguments: qemuDisk(second!) },
      { execute: 'device_add', arguments: qemuDisk(third!) },
      { execute: 'block_resize', arguments: { 'node-name': 'image-0-0', size: 2 * 1024 ** 2 } },
    ];
    const sections = {
      machine: { board: 'pc', memory: '32MiB' },
      device: { type: 'scsi', disks: DISKS },
      driver: { usedLength: 'clamp' },
      // No resets: QEMU tells a command for an absent unit of the reset of another one, which is then told no more.
      workload: { kind: 'mixed', requests: 20_000, depth: 8, blockSize: '4KiB', tasks: 0, seed: 3 },
    };
    const report = await runMonitored(sections, async ({ ask, more }) => {
      for (const command of steps) {
        await ask(command);
        await more(500);
      }
    });
    expect([report.failure, report.workload.mismatches.first]).toEqual([null, []]);
    expect(report.workload).toMatchObject({ errors: 0, verified: true });
  });
});

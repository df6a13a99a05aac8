import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { qemuDisk, SCSI_SETTINGS } from '@virtio-platform/device-scsi';
import { loadProfile, missingRequirements } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { monitor } from './qmp-monitor.ts';
import { QEMU_TESTS } from './qemu-installed.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

const DISKS = '[{ lun: 0, capacity: 4MiB }, { lun: 1, capacity: 4MiB }, { lun: 2, capacity: 4MiB, plugged: false }]';
/** Enough that the monitor answers the last command before the run ends. */
const REQUESTS = 20_000;

describe.skipIf(!QEMU_TESTS.mayRun)(`disks of QEMU's SCSI host that come and go (${QEMU_TESTS.needs})`, () => {
  it('are noticed by events while random commands go on, and what they hold stays', async () => {
    const path = join(folder, 'hotplug.yaml');
    const socket = join(folder, 'hotplug.qmp');
    writeFileSync(
      path,
      `profile: hotplug
platform: { use: "@virtio-platform/platform-legacy" }
machine:
  use: "@virtio-platform/machine-qemu"
  board: pc
  memory: 32MiB
  arguments: [-qmp, "unix:${socket},server=on,wait=off"]
device: { type: scsi, disks: ${DISKS} }
driver: { usedLength: clamp }
# Without resets: QEMU tells a command for an absent unit of the reset of another one, which is then told no more.
workload: { kind: mixed, requests: ${REQUESTS}, depth: 8, blockSize: 4KiB, tasks: 0, seed: 3 }
`,
    );
    const profile = await loadProfile(path);
    const missing = process.env['CI'] === undefined ? await missingRequirements(profile) : [];
    expect(missing).toEqual([]);
    const [, second, third] = SCSI_SETTINGS.parse({ disks: [{}, { lun: 1 }, { lun: 2 }] }).disks;
    const steps: readonly (readonly [after: number, command: object])[] = [
      [500, { execute: 'device_del', arguments: { id: 'disk-0-1' } }],
      [1500, { execute: 'device_add', arguments: qemuDisk(second!) }],
      [2500, { execute: 'device_add', arguments: qemuDisk(third!) }],
      [3500, { execute: 'block_resize', arguments: { 'node-name': 'image-0-0', size: 2 * 1024 ** 2 } }],
    ];
    let done = 0;
    let asked: Promise<unknown> = Promise.resolve();
    const report = await runProfile(profile, {
      onProgress(completed) {
        for (; done < steps.length && completed > steps[done]![0]; done++) {
          const command = steps[done]![1];
          asked = asked.then(() => monitor(socket, [command]));
          // Looked at where the run has ended.
          asked.catch(() => {});
        }
      },
    });
    await asked;
    expect([report.failure, report.workload.mismatches.first]).toEqual([null, []]);
    expect(report.workload).toMatchObject({ requests: REQUESTS, errors: 0, verified: true });
    expect(done).toBe(steps.length);
  });
});

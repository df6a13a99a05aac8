import { describe, expect, it } from 'vitest';
import { runMonitored } from './monitored-run.ts';
import { QEMU_TESTS } from './qemu-installed.ts';

// qemu-storage-daemon tells its front-end of a new size from 8.1 on: wrong-back-end.test.ts has vhost-user.
describe.skipIf(!QEMU_TESTS.mayRun)(`a disk of QEMU that is resized while it is used (${QEMU_TESTS.needs})`, () => {
  it('is noticed by the driver half', async () => {
    const sections = {
      machine: { board: 'pc', memory: '32MiB' },
      device: { type: 'block', capacity: '16MiB' },
      workload: { kind: 'mixed', requests: 60_000, depth: 8, blockSize: '4KiB', seed: 3 },
    };
    const report = await runMonitored(sections, async ({ ask, more }) => {
      await ask({ execute: 'block_resize', arguments: { 'node-name': 'disk', size: 24 * 1024 ** 2 } });
      await more(1);
    });
    expect(report.failure).toBeNull();
    expect(report.configuration).toEqual({ changes: 1, seen: ['capacity 16MiB to 24MiB'] });
    expect(report.workload).toMatchObject({ errors: 0, verified: true });
  });
});

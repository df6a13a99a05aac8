import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { FlightRecorder } from '@virtio-platform/trace';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';

function hasTestpmd(): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v dpdk-testpmd'], { stdio: 'ignore' });
    return true;
  } catch {
    return process.env['CI'] !== undefined;
  }
}

describe.skipIf(!hasTestpmd())(
  'the recorder of a run on a vhost-user back-end (needs dpdk-testpmd: apt-get install dpdk-dev librte-net-vhost23 librte-mempool-ring23)',
  () => {
    it('has the IOTLB messages and the notifications of the back-end, queue by queue', async () => {
      const text = `extends: ${join(ROOT, 'profiles/vhost-user/dpdk-vfio.yaml')}\nprofile: recorded\nmatrix: []\n`;
      const profile = await loadProfile({
        text: `${text}workload: { requests: 200, depth: 8 }\n`,
        name: 'recorded.yaml',
      });
      const recorder = new FlightRecorder();
      const { outcome } = await runProfile(profile, { recorder });
      expect(outcome).toBe('completed');
      const { events } = recorder.read();
      const updates = events.filter(({ kind }) => kind === 'iotlbUpdate');
      const [miss] = events.filter(({ kind }) => kind === 'iotlbMiss');
      const page = miss!.deviceAddress - (miss!.deviceAddress % 4096n);
      const answer = updates.find(({ deviceAddress, index }) => deviceAddress === page && index > miss!.index);
      expect(answer).toMatchObject({ length: 4096, address: expect.any(Number) });
      const invalidated = events.filter(({ kind }) => kind === 'iotlbInvalidate');
      expect(invalidated.some(({ deviceAddress }) => deviceAddress <= page)).toBe(true);
      const queues = new Set(events.filter(({ kind }) => kind === 'interrupt').map(({ queue }) => queue));
      expect([...queues].toSorted((a, b) => a - b)).toEqual([0, 1]);
    }, 120_000);
  },
);

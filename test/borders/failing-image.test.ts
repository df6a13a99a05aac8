import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunReport } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT, type CommandResult } from '../command/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a profile in a process that may write no file beyond 1 MiB: the kernel answers EFBIG there. */
function runLimited(path: string): Promise<CommandResult> {
  const words = [join(ROOT, 'packages/cli/dist/main.js'), 'run', path, '--json'];
  const script = 'ulimit -f 2048; exec "$@"';
  const child = spawn('sh', ['-c', script, 'sh', process.execPath, ...words], {
    cwd: ROOT,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout, stderr }));
  });
}

describe.each(['same-thread', 'worker'])('an image that cannot be written, device in %s', (device) => {
  it('C7 T10 fails the requests with IOERR, and the report says why', async () => {
    const image = join(folder, `${device}.img`);
    writeFileSync(image, '');
    truncateSync(image, 4 * 1024 * 1024);
    const path = join(folder, `${device}.yaml`);
    writeFileSync(
      path,
      `profile: full-disk
platform: { use: "@virtio-platform/platform-legacy" }
machine: { use: "@virtio-platform/machine-simulated", memory: 16MiB, device: ${device} }
device: { type: block, capacity: 4MiB, image: ${device}.img }
workload: { kind: write-read-verify, requests: 100, depth: 4, blockSize: 64KiB }
`,
    );
    const { status, stdout, stderr } = await runLimited(path);
    expect(status, stderr).toBe(1);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the command's own output
    const [report] = JSON.parse(stdout) as RunReport[];
    expect(report?.workload).toMatchObject({ requests: 100, verified: false });
    expect(report?.workload.errors).toBeGreaterThan(0);
    expect(report?.faults[0]).toMatchObject({ cause: 'device-error', detail: 'queue 0: EFBIG: file too large, write' });
  });
});

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandProcess, ROOT } from '../command/command.ts';

const PROGRAM = join(ROOT, 'packages/machine-vhost-user/test/back-end/scripted-back-end.ts');
/** What it takes to notice a signal, on a machine with other work. */
const SOON_MS = 3000;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A back-end with four requests in flight that stay there, and what else it does wrong. */
function profile(name: string, script: Readonly<Record<string, unknown>>): { path: string; log: string } {
  const path = join(folder, `${name}.yaml`);
  const log = join(folder, `${name}.log`);
  const whole = { type: 'block', log, protocolFeatures: '0x209', features: '0x140001000', returns: 0, ...script };
  const command = [process.execPath, '--import', import.meta.resolve('tsx'), '--conditions=@virtio-platform/source'];
  writeFileSync(
    path,
    `profile: ${name}
platform: { use: "@virtio-platform/platform-legacy" }
machine:
  use: "@virtio-platform/machine-vhost-user"
  memory: 16MiB
  startTimeout: 120000
  command: ${JSON.stringify([...command, PROGRAM, '{socket}', JSON.stringify(whole)])}
device: { type: block, capacity: 1MiB, offers: [VERSION_1, BLK_MQ] }
driver: { timeout: 60s }
workload: { kind: write-read-verify, requests: 8, depth: 4, blockSize: 4KiB }
`,
  );
  return { path, log };
}

/** Runs a profile, and interrupts it once the log has `message` so often. Returns status and milliseconds. */
async function interrupt(
  { path, log }: { path: string; log: string },
  message: string,
  times: number,
  signal: 'SIGINT' | 'SIGTERM',
): Promise<{ status: number | null; ms: number }> {
  const { process: child, finished } = commandProcess(['run', path]);
  const seen = (): number => (existsSync(log) ? readFileSync(log, 'utf8').split(message).length - 1 : 0);
  await expect.poll(seen, { timeout: 20_000 }).toBeGreaterThanOrEqual(times);
  const begin = performance.now();
  child.kill(signal);
  // A command that does not end would hold up all tests.
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  const { status } = await finished;
  clearTimeout(timer);
  return { status, ms: performance.now() - begin };
}

describe('a signal ends a run soon', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('C5 by %s, whatever the back-end does to the flags of its descriptors', async (signal, expected) => {
    const script = { clearsNonBlock: true, neverReads: true };
    const { status, ms } = await interrupt(profile(`flags-${signal}`, script), 'SET_VRING_ENABLE', 1, signal);
    expect(status).toBe(expected);
    expect(ms).toBeLessThan(SOON_MS);
  });

  it('C8 while the messages of the start are answered slowly', async () => {
    const { status, ms } = await interrupt(profile('start', { delayMs: 4000 }), 'GET_FEATURES', 1, 'SIGINT');
    expect(status).toBe(130);
    expect(ms).toBeLessThan(SOON_MS);
  });

  it('C8 while 256 queues are set up at 0.1 s for each answer', async () => {
    const script = { queues: 256, delayMs: 100 };
    const { status, ms } = await interrupt(profile('queues', script), 'SET_VRING_CALL', 2, 'SIGINT');
    expect(status).toBe(130);
    expect(ms).toBeLessThan(SOON_MS);
  });
});

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { missingProgram } from '@virtio-platform/host';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  commandHere,
  commandProcess,
  reportsOf,
  ROOT,
  virtioPlatform,
  type CommandResult,
} from '../command/command.ts';
import { QEMU_TESTS } from './qemu-installed.ts';
import { TRIES_ALL, triedRequests } from './tried-requests.ts';

const FOLDER = join(ROOT, 'profiles/qemu');
/** The profile whose back-end is DPDK's. CI installs it and must not skip it. */
const DPDK_PROFILE = 'net-multiqueue.yaml';
/** Profiles of 20,000 requests in each of many runs. */
const LARGE = [
  'amd-iommu',
  'block-multiqueue',
  'intel-iommu',
  'legacy',
  'microvm',
  'mmio-legacy',
  'modern',
  'narrow',
  'pseries',
  'sev',
  'smmuv3',
  'virt',
  'virtio-iommu',
].map((name) => `${name}.yaml`);
/** Those whose runs differ in the unit, the firmware or the kernel before alone. */
const ALIKE = [
  'intel-iommu-interrupts',
  'intel-iommu-takeover',
  'intel-iommu-units',
  'pseries-firmware',
  'pseries-takeover',
].map((name) => `${name}.yaml`);
const mayRunDpdk = process.env['CI'] !== undefined || missingProgram('dpdk-testpmd') === undefined;
const PROFILES = readdirSync(FOLDER).filter((name) => mayRunDpdk || name !== DPDK_PROFILE);
/** More requests than complete before QEMU ends or the run is interrupted. */
const ENDLESS = `
platform: { use: "@virtio-platform/platform-legacy" }
machine: { use: "@virtio-platform/machine-qemu", board: pc, memory: 64MiB }
device: { type: block, interface: legacy, capacity: 16MiB }
driver: { interface: legacy }
workload: { kind: write-read-verify, requests: 50000000, depth: 32, blockSize: 4KiB, seed: 7 }
`;
/** Of the longest of the profiles, on a machine where others work too. */
const PROFILE_TIMEOUT_MS = 400_000;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes a profile that runs without end, but for what is different, and returns its path. */
function profile(name: string, different = ''): string {
  writeFileSync(join(folder, 'endless.yaml'), `profile: endless\n${ENDLESS}`);
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, `extends: ./endless.yaml\nprofile: ${name}\n${different}\n`);
  return path;
}

/** A folder for the temporary files of one command: none may be left there. */
function temporaryFolder(): { readonly environment: NodeJS.ProcessEnv; readonly left: () => string[] } {
  const path = mkdtempSync(join(folder, 'tmp-'));
  const left = (): string[] => readdirSync(path).filter((name) => name.startsWith('virtio-platform-'));
  return { environment: { TMPDIR: path }, left };
}

/** The QEMU that a process started, once it is there. */
async function startedQemu(parent: number): Promise<number> {
  for (let i = 0; i < 300; i++) {
    const pids = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
    const qemu = pids.find((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('qemu-system'));
    if (qemu !== undefined) return qemu;
    await setTimeout(50);
  }
  throw new Error('QEMU was not started');
}

/** Whether a process is gone, or a zombie. */
function hasEnded(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}

/** Runs a profile without end, and does something to its QEMU in the middle of the workload. */
async function interfere(
  path: string,
  act: (qemu: number, command: ReturnType<typeof commandProcess>['process']) => void,
): Promise<CommandResult & { readonly took: number }> {
  const { environment, left } = temporaryFolder();
  const { process: command, finished } = commandProcess(['run', path, '--json'], environment);
  const qemu = await startedQemu(command.pid!);
  await setTimeout(1000);
  const start = performance.now();
  act(qemu, command);
  const result = await finished;
  const took = performance.now() - start;
  await expect.poll(() => hasEnded(qemu), { timeout: 5000 }).toBe(true);
  expect(left()).toEqual([]);
  return { ...result, took };
}

describe.skipIf(!QEMU_TESTS.mayRun)(`QEMU's machines (${QEMU_TESTS.needs})`, () => {
  it.each(PROFILES)('%s runs as it expects', { timeout: PROFILE_TIMEOUT_MS }, async (name) => {
    const { environment, left } = temporaryFolder();
    const isAlike = ALIKE.includes(name);
    const requests = triedRequests(20_000, isAlike ? 1 / 50 : 1 / 10);
    const tried = LARGE.includes(name) || isAlike ? ['--set', `workload.requests=${requests}`] : [];
    // Every third run: `npm run machines` makes all of them.
    const third = tried.length > 0 && !TRIES_ALL ? ['--shard', '1/3'] : [];
    const result = await virtioPlatform(['run', join(FOLDER, name), '--json', ...tried, ...third], environment);
    expect(result.stderr).toBe('');
    expect(result.status).toBe(0);
    const reports = reportsOf(result);
    expect(reports.length).toBeGreaterThan(0);
    for (const report of reports)
      expect(report).toMatchObject({ machine: expect.stringMatching(/qemu$/), differences: [], dma: { live: 0 } });
    expect(left()).toEqual([]);
  });

  it('ends clearly when QEMU is killed', async () => {
    const { status, stdout, took } = await interfere(profile('killed'), (qemu) => {
      process.kill(qemu, 'SIGKILL');
    });
    expect(status).toBe(1);
    const [report] = reportsOf({ status, stdout, stderr: '' });
    expect(report).toMatchObject({ outcome: 'failed', failure: { code: 'ERR_DEVICE_LOST' }, dma: { live: 0 } });
    expect(report!.workload.requests).toBeGreaterThan(0);
    expect(took).toBeLessThan(10_000);
  });

  it('ends in bounded time when QEMU stands still, and ends QEMU too', async () => {
    const path = profile('stopped', 'machine: { replyTimeout: 2000 }');
    const { status, stdout, took } = await interfere(path, (qemu) => {
      process.kill(qemu, 'SIGSTOP');
    });
    expect(status).toBe(1);
    const [report] = reportsOf({ status, stdout, stderr: '' });
    expect(report).toMatchObject({ outcome: 'failed', failure: { code: 'ERR_DEVICE_LOST' } });
    expect(report!.failure!.message).toMatch(/did not answer .* in 2000 ms/);
    expect(took).toBeLessThan(15_000);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('is ended with the command that %s interrupts', async (signal) => {
    const { status, took } = await interfere(profile('interrupted'), (_qemu, command) => {
      command.kill(signal);
    });
    expect(status).not.toBe(0);
    expect(took).toBeLessThan(10_000);
  });

  it('says what is wrong with arguments in the words of QEMU', async () => {
    const { environment, left } = temporaryFolder();
    const path = profile('wrong', 'machine: { arguments: ["-device", "virtio-nonsense"] }');
    const { status, stdout } = await virtioPlatform(['run', path, '--json'], environment);
    expect(status).toBe(1);
    const { failure } = reportsOf({ status, stdout, stderr: '' })[0]!;
    expect(failure).toMatchObject({ code: 'ERR_MACHINE_START' });
    expect(failure!.message).toContain("'virtio-nonsense' is not a valid device model name");
    expect(left()).toEqual([]);
  });
});

describe('a machine whose QEMU is not installed', () => {
  const missing = 'machine: { program: /nonexistent/qemu-system-x86_64 }';

  it('ends with status 3 and says what to install', async () => {
    const { status, stdout, stderr } = await commandHere(['run', profile('missing', missing)]);
    expect(status).toBe(3);
    expect(stdout + stderr).toContain('apt-get install qemu-system-x86');
  });

  it('is listed with what to install', async () => {
    vi.stubEnv('PATH', '/nonexistent');
    try {
      const { stdout } = await commandHere(['list', '--all']);
      expect(stdout).toMatch(/qemu-legacy.* missing/);
      expect(stdout).toContain('the program qemu-system-x86_64: apt-get install qemu-system-x86');
      expect(stdout).toMatch(/qemu +@virtio-platform\/machine-qemu/);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

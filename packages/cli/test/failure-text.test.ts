import { fileURLToPath } from 'node:url';
import { loadProfile, type ProfileObject } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { ExitStatus } from '../src/exit-status.ts';
import { failureText } from '../src/reporters/failure-text.ts';
import { printSummary } from '../src/reporters/text/print-summary.ts';
import { Terminal } from '../src/terminal.ts';
import { runOutcome, runProblems } from '../src/reporters/run-problems.ts';

const PLUGINS = { resolveFrom: [fileURLToPath(new URL('../package.json', import.meta.url))] };
const AGAIN = 'virtio-platform run x.yaml';

/** The report of a run whose device goes on after a refused access, with the sections that a test replaces. */
async function reportOf(more: ProfileObject): Promise<RunReport> {
  const source: ProfileObject = {
    profile: 'run',
    platform: { use: '@virtio-platform/platform-pseries', window: { kind: 'default' } },
    device: { type: 'block', offers: ['VERSION_1', 'ACCESS_PLATFORM', 'RING_INDIRECT_DESC'] },
    driver: { buffers: 'streaming' },
    workload: { kind: 'write-read-verify', requests: 200, depth: 16, blockSize: '4KiB' },
    ...more,
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB', onFault: 'zeros', ...more.machine },
  };
  return await runProfile(await loadProfile(source, PLUGINS));
}

const ROGUE = { rogue: [{ after: 100, access: 'read', address: 0x3ff0_0000, length: 64 }] };
const REFUSED = "the device's read of 64 bytes at 0x3ff00000 was refused: unmapped";

/** The last lines of a command with this one run. */
function summaryOf(report: RunReport): string {
  let text = '';
  const stream = { write: (part: string): boolean => (text += part) !== '' };
  const terminal = new Terminal({ stdout: stream, stderr: stream, cwd: process.cwd() }, { color: false });
  const planned = undefined as never;
  const end = { notRun: [], earlyEnd: undefined, startedAt: new Date(), durationMs: 1 };
  printSummary(terminal, { ended: [{ planned, report }], status: ExitStatus.Differed, ...end });
  return text;
}

describe('the account of a run that is not as expected', () => {
  it('begins with the access that was refused, and has it once', async () => {
    const report = await reportOf({ machine: ROGUE });
    const text = failureText(report, AGAIN);
    expect(text.split('\n').slice(0, 3)).toEqual([
      'run',
      `  fault   ${REFUSED}`,
      expect.stringMatching(/^  where   device address 0x3ff00000: /),
    ]);
    expect(text.match(/0x3ff00000 was refused/g)).toHaveLength(1);
    expect(text).not.toMatch(/^ {2}(differs|fault:)/m);
    expect(text).toMatch(/^ {2}ring {4}queue 0, split/m);
    expect(text).toMatch(/^ {2}next {4}look where the device has this address from/m);
    expect(runOutcome(report)).toBe(REFUSED);
  });

  it('has a difference that is more than the fault itself', async () => {
    const report = await reportOf({ machine: ROGUE, expect: { faults: 2, path: 'linear' } });
    const text = failureText(report, AGAIN);
    expect(text).toContain('  differs faults: expected 2, was 1');
    expect(text).toContain('  differs path: expected linear');
  });

  it('begins in one line with what is not expected, also where a fault is', async () => {
    const report = await reportOf({ machine: ROGUE, expect: { faults: 1, path: 'linear' } });
    expect(runOutcome(report)).toMatch(/^path: expected linear, was /);
    expect(runProblems(report).map(({ rule }) => rule)).toEqual(['difference', 'fault-unmapped']);
  });

  it('explains a finding of the sanitizer, with the stacks and without its words once more', async () => {
    const driver = { buffers: 'streaming', sanitize: true } as const;
    const report = await reportOf({ driver, failures: { wrongAddress: { nth: [50] } } });
    const [{ what, code, hint } = { what: '', code: '', hint: '' }] = report.findings;
    const text = failureText(report, AGAIN);
    expect(text.split('\n')[1]).toBe(`  finding ${what}`);
    expect(text.split(what)).toHaveLength(2);
    expect(text).toContain(`  next    ${hint}`);
    expect(text).toMatch(new RegExp(`^ {2}finding ${code} \\[.*\\n {4}mapped {3}BlockDriver`, 'm'));
    expect(runOutcome(report)).toBe(what);
  });

  it('says what is missing of the log of the machine, with the failure or else with the summary', async () => {
    const failed = {
      ...(await reportOf({ machine: ROGUE })),
      logCut: { program: 'QEMU', before: 1.5e6, bytes: 2 ** 26 },
    };
    const cut = 'the log of QEMU was too long: its first 64.0 MiB, up to 1.500 s of the run, are missing';
    expect(failureText(failed, AGAIN)).toContain(`  ${cut}\n`);
    expect(summaryOf(failed)).not.toContain(cut);
    expect(summaryOf({ ...failed, differences: [] })).toContain(`run: ${cut}\n`);
  });

  it('names what an error means before its code', async () => {
    const report = await reportOf({ failures: { map: { every: 1 } } });
    const lines = failureText(report, AGAIN).split('\n');
    expect(lines[1]).toMatch(/^ {2}failed {2}not even one request can be mapped/);
    expect(lines).toContain('  error   ERR_DMA_EXHAUSTED');
    expect(runOutcome(report)).toMatch(/^not even one request can be mapped/);
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { operationText, type ConformReport } from '@virtio-platform/conform';
import { describe, expect, it } from 'vitest';
import { commandHere } from './command.ts';

const PROFILE = 'profiles/block-4k.yaml';

describe('conform', () => {
  it('prints a line for each case, what was skipped and why, and the coverage', async () => {
    const { status, stdout, stderr } = await commandHere(['conform', PROFILE, '--filter', 'status/']);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain('block device in simulated: 1 queue of up to 1024 entries');
    expect(stdout).toContain('pass status/reset-reads-0');
    expect(stdout).toMatch(/sections with a MUST for devices were tried/);
    expect(stdout.split('\n').filter((line) => line.length > 120)).toEqual([]);
  });

  it('prints one object with --json', async () => {
    const { status, stdout } = await commandHere(['conform', PROFILE, '--filter', 'ring/used-length/*', '--json']);
    const report = JSON.parse(stdout) as ConformReport;
    expect(status).toBe(0);
    expect(Object.keys(report)).toEqual(['device', 'cases', 'coverage']);
    expect(report.cases.map(({ id }) => id)).toEqual(['ring/used-length/split', 'ring/used-length/packed']);
    // The profile offers no packed rings.
    expect(report.cases.map(({ verdict }) => verdict)).toEqual(['pass', 'skip']);
    expect(report.cases[0]).toMatchObject({ clause: '2.7.8.2', level: 'MUST', seen: '', known: null });
    expect(report.coverage.find(({ clause }) => clause === '2.7.8.2')).toMatchObject({ passed: 1, skipped: 1 });
  });

  it('lists cases without a device', async () => {
    const { status, stdout } = await commandHere(['conform', PROFILE, '--list', '--filter', 'block/flush']);
    expect(status).toBe(0);
    expect(stdout).toContain('block/flush  MUST 5.2.6');
  });

  it('takes a shipped profile by its name, and says which where a name is that of several', async () => {
    const { status, stdout } = await commandHere(['conform', 'block-4k', '--list', '--filter', 'block/flush']);
    expect([status, stdout]).toEqual([0, expect.stringContaining('block/flush  MUST 5.2.6')]);
    const several = await commandHere(['conform', 'vfio', '--list']);
    expect([several.status, several.stderr]).toEqual([2, expect.stringContaining('one is wanted: vfio/after-unmap, ')]);
    const served = await commandHere(['serve', 'vfio', '--socket', '/nowhere/socket']);
    expect([served.status, served.stderr]).toEqual([2, expect.stringContaining('one is wanted: vfio/after-unmap, ')]);
    expect((await commandHere(['conform', 'block-4', '--list'])).stderr).toContain('block-4k');
  });

  it('takes the steps of a file, and says nothing of sections that these do not try', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
    const file = join(folder, 'steps.operations.json');
    const operations = [
      { op: 'start', size: 8, with: [] },
      { op: 'add', request: 3 },
    ] as const;
    writeFileSync(file, operationText({ type: 'block', layout: 'split', operations }));
    const { status, stdout } = await commandHere(['conform', PROFILE, '--replay', file]);
    rmSync(folder, { recursive: true });
    expect([status, stdout]).toEqual([0, expect.stringMatching(/pass replay\/split[^]*\n1 pass in /)]);
    expect(stdout).not.toContain('not tried');
  });

  it('refuses what names no case, no device, or no profile', async () => {
    const noCase = await commandHere(['conform', PROFILE, '--filter', 'no-such-case']);
    expect([noCase.status, noCase.stderr]).toEqual([2, expect.stringContaining('no case matches no-such-case')]);
    const noDevice = await commandHere(['conform']);
    expect([noDevice.status, noDevice.stderr]).toEqual([2, expect.stringContaining('no device is named')]);
    const noProfile = await commandHere(['conform', 'missing.yaml']);
    expect(noProfile.status).toBe(2);
    const noMachine = await commandHere(['conform', '--pci', '0000:00:ff.0']);
    expect([noMachine.status, noMachine.stderr]).toEqual([2, expect.stringContaining('no virtio function')]);
  });

  it('refuses files that are one, and folders that cannot be made, before it starts anything', async () => {
    const oneFile = await commandHere(['conform', PROFILE, '--junit', 'same', '--html', 'same']);
    expect([oneFile.status, oneFile.stderr]).toEqual([2, expect.stringContaining('both write to same')]);
    for (const words of [
      ['--save', '/proc/no-such'],
      ['--junit', '/proc/no-such/x'],
      ['--fuzz', '1', '--corpus', '/proc/no-such'],
    ]) {
      const { status, stdout, stderr } = await commandHere(['conform', PROFILE, '--filter', 'status/', ...words]);
      expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining('ERR_RUN_REPORT')]);
    }
  });

  it('says why -j is of no use where the processes would share a device', async () => {
    const { status, stderr } = await commandHere(['conform', '-j', '2', '--socket', '/no-such-socket']);
    expect([status, stderr]).toEqual([1, expect.stringContaining('-j 2 is -j 1 here: the processes would share one')]);
  });

  it('starts no program with --no-programs', async () => {
    const words = ['conform', '--no-programs', '--', process.execPath, '-e', 'process.exit(7)', '{socket}'];
    const { status, stderr } = await commandHere(words);
    expect([status, stderr]).toEqual([2, expect.stringContaining('ERR_PLUGIN_PROGRAM')]);
  });

  it('says what is not installed', async () => {
    const { status, stderr } = await commandHere(['conform', '--', 'no-such-back-end', '{socket}']);
    expect([status, stderr]).toEqual([3, expect.stringContaining('no-such-back-end is not installed')]);
  });
});

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { commandHere, reportsOf, ROOT, virtioPlatform } from './command.ts';
const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

function profile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/**
 * A shipped profile without its matrix: one run. Most tests run the command in this process; those of output, of exit
 * status and of error output as such start a process of its own.
 */
const LINEAR = profile(
  'linear.yaml',
  `extends: ${join(ROOT, 'profiles/pseries-linear.yaml')}\nmatrix: []\nexpect: { path: linear }\n`,
);

describe('virtio-platform run', () => {
  it('prints a table for people, without colour where there is no terminal', async () => {
    const { status, stdout, stderr } = await virtioPlatform(['run', LINEAR, '--reporter', 'table']);
    expect(status).toBe(0);
    for (const word of [
      'profile',
      'platform',
      'path',
      'bounced',
      'faults',
      'pseries-linear',
      'linear',
      '2,000',
      'verified',
    ]) {
      expect(stdout).toContain(word);
    }
    expect(stdout).toContain('1 of 1 runs as expected');
    expect(stdout).not.toContain('\u001B[');
    expect(stderr).toBe('');
  });

  it('exits 1 and shows the difference where a profile expects otherwise', async () => {
    const path = profile(
      'wrong.yaml',
      `extends: ${LINEAR}\nprofile: wrong\nexpect: { path: identity, accepted: [VERSION_1] }\n`,
    );
    const { status, stdout } = await commandHere(['run', path]);
    expect(status).toBe(1);
    expect(stdout).toContain('path: expected identity, was linear');
    expect(stdout).toMatch(/accepted: .*ACCESS_PLATFORM.* not expected/);
    const json = await commandHere(['run', path, '--json']);
    expect(json.status).toBe(1);
    expect(reportsOf(json)[0]!.differences).toHaveLength(2);
  });

  it('runs everything that a matrix makes of a profile, and reports each run by its name', async () => {
    const path = profile(
      'matrix.yaml',
      `extends: ${LINEAR}
profile: two
matrix:
  - queue: { size: 64 }
  - platform: { window: { kind: default, mapping: identity, pageSize: 4KiB } }
    expect: { path: identity }
`,
    );
    const json = await commandHere(['run', path, '--json']);
    expect(json.status).toBe(0);
    expect(reportsOf(json).map((report) => [report.profile, report.path])).toEqual([
      ['two [queue.size=64]', 'linear'],
      ['two [#2]', 'identity'],
    ]);
  });

  it('exits 2 and reports five mistakes at their places', async () => {
    const path = profile(
      'five.yaml',
      `profile: five
summary: Five mistakes.
platform:
  use: "@virtio-platform/platform-pseries"
machine:
  use: "@virtio-platform/machine-simulated"
  memory: 64MB
device:
  type: block
  offers: [VERSION_1, ACESS_PLATFORM]
queue: { layut: split, size: 256 }
workload: { kind: write-read-verify, requests: -5, depth: 32, blockSize: 4KiB, seed: 7 }
expect:
  path: linearly
`,
    );
    const { status, stdout, stderr } = await commandHere(['run', path]);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    const places = [...stderr.matchAll(/five\.yaml:(\d+):(\d+)/g)].map(([, line, column]) => `${line}:${column}`);
    expect(places).toEqual(['7:11', '10:23', '11:10', '12:48', '14:9']);
    expect(stderr).toContain('ACCESS_PLATFORM');
    expect(stderr).toContain('layout');
  });

  it('exits 2 for a file that is not there, a command that is not, and an option that is not', async () => {
    expect((await commandHere(['run', 'nothing.yaml'])).status).toBe(2);
    expect((await commandHere(['rum'])).status).toBe(2);
    expect((await commandHere(['run', '--jsn'])).status).toBe(2);
  });

  it('exits 3 and says what to install where something is missing', async () => {
    const path = profile(
      'missing.yaml',
      `extends: ${join(ROOT, 'profiles/vhost-user/physical.yaml')}
profile: missing
machine: { command: [no-such-storage-daemon, "{socket}"] }
`,
    );
    const { status, stderr } = await virtioPlatform(['run', path]);
    expect(stderr).toContain('no-such-storage-daemon');
    expect(status).toBe(3);
  });

  it('runs nothing where an option of a later profile is wrong, and says where', async () => {
    const right = join(ROOT, 'profiles/legacy-device.yaml');
    const wrong = profile(
      'wrong-option.yaml',
      `extends: ${right}\nprofile: wrong-option\nmachine: { onFault: nonsense }\n`,
    );
    const { status, stdout, stderr } = await commandHere(['run', right, wrong]);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/wrong-option\.yaml:3:\d+: machine\.onFault/);
  });

  it('prints errors as JSON for programs', async () => {
    const { status, stderr, stdout } = await virtioPlatform(['run', 'nothing.yaml', '--json']);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'ERR_PROFILE_NOT_FOUND' } });
  });
});

describe('virtio-platform explain', () => {
  it('says rule by rule why, and what an address means', async () => {
    const { status, stdout } = await commandHere(['explain', LINEAR]);
    expect(status).toBe(0);
    expect(stdout).toContain('access-platform-if-offered');
    expect(stdout).toContain('virtio 1.4 §6.1');
    expect(stdout).toMatch(/path linear: /);
  });

  it('says who refused and why, also as JSON', async () => {
    const path = join(ROOT, 'profiles/refused/vfio-without-access-platform.yaml');
    const { status, stdout } = await commandHere(['explain', path]);
    expect(status).toBe(0);
    expect(stdout).toContain('refused EPERM');
    const json = JSON.parse((await commandHere(['explain', path, '--json'])).stdout) as unknown[];
    expect(json).toHaveLength(1);
    expect(json[0]).toMatchObject({ refusal: { code: 'EPERM', source: expect.stringMatching(/./) }, path: null });
  });

  it('explains each run, as an array for programs', async () => {
    const path = profile('explained.yaml', `extends: ${LINEAR}\nprofile: sizes\nmatrix: { queue.size: [8, 16] }\n`);
    const { status, stdout } = await commandHere(['explain', path]);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^sizes \[queue\.size=8\] [^]*\npath linear: [^]*\n\nsizes \[queue\.size=16\] [^]*\npath linear: /,
    );
    const json = JSON.parse((await commandHere(['explain', path, '--json'])).stdout) as { profile: string }[];
    expect(json.map((explanation) => explanation.profile)).toEqual(['sizes [queue.size=8]', 'sizes [queue.size=16]']);
  });
});

describe('virtio-platform check', () => {
  it('accepts every shipped profile, and starts nothing', async () => {
    const { status, stdout } = await commandHere(['check', LINEAR, join(ROOT, 'profiles/vhost-user/sev.yaml')]);
    expect(status).toBe(0);
    expect(stdout.match(/^ok /gm)).toHaveLength(2);
  });

  it('checks the options of plugins', async () => {
    const path = profile('options.yaml', `extends: ${LINEAR}\nprofile: options\nplatform:\n  window: { kind: ddv }\n`);
    const { status, stdout } = await commandHere(['check', path, '--json']);
    expect(status).toBe(2);
    const [result] = JSON.parse(stdout) as [
      { ok: boolean; error: { code: string; issues: { line: number; column: number }[] } },
    ];
    expect(result).toMatchObject({ ok: false, error: { code: 'ERR_PLUGIN_OPTIONS' } });
    expect(result.error.issues[0]).toMatchObject({ line: 4, column: 19 });
  });

  it('says how many runs a profile makes', async () => {
    const path = profile('checked.yaml', `extends: ${LINEAR}\nprofile: checked\nmatrix: { queue.size: [8, 16] }\n`);
    const { status, stdout } = await commandHere(['check', path]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ok .*checked\.yaml \(2 runs\) {2}A POWER guest/);
  });

  it('checks the plugins of each run, and prints what is wrong once', async () => {
    const path = profile(
      'wrong-kinds.yaml',
      `extends: ${LINEAR}
profile: kinds
matrix:
  queue.size: [8, 16]
  platform.window.kind: [ddw, ddv]
`,
    );
    const { status, stdout, stderr } = await commandHere(['check', path]);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr.match(/wrong-kinds\.yaml:5:31: platform\.window\.kind/g)).toHaveLength(1);
    const json = JSON.parse((await commandHere(['check', path, '--json'])).stdout) as { ok: boolean }[];
    expect(json.map(({ ok }) => ok)).toEqual([true, false, true, false]);
  });
});

describe('virtio-platform list and schema', () => {
  it('lists what can run here, and what is missing with how to get it, in a screen', async () => {
    vi.stubEnv('PATH', '/nonexistent');
    try {
      const { status, stdout } = await commandHere(['list'], ROOT, 80);
      expect(status).toBe(0);
      expect(stdout).toMatch(/^runs here\nprofiles +amd-iommu, balloon, block-4k,/);
      expect(stdout).toMatch(
        /^platforms +amd-iommu, intel-iommu, legacy, pseries, sev, smmuv3, vfio,\n +virtio-iommu\nmachines +qemu, /m,
      );
      expect(stdout).toMatch(/^missing here\n/m);
      expect(stdout).toMatch(/^ {2}the program qemu-system-x86_64: apt-get install qemu-system-x86/m);
      expect(stdout).not.toContain('A POWER guest');
      expect(stdout.split('\n').length).toBeLessThan(80);
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('lists all profiles, platforms and machines', async () => {
    const { status, stdout } = await commandHere(['list', '--all']);
    expect(status).toBe(0);
    expect((await commandHere(['list', '--verbose'])).stdout).toBe(stdout);
    for (const word of ['pseries-linear', 'vhost-user-sev', 'platforms', 'legacy', 'machines', 'simulated'])
      expect(stdout).toContain(word);
    const json = JSON.parse((await commandHere(['list', '--json'])).stdout) as {
      plugins: { name: string; kind: string; error: unknown; discovered: { devices: unknown[] } | null }[];
      profiles: unknown[];
    };
    const machines = json.plugins.filter(({ kind }) => kind === 'machine');
    expect(machines.find(({ name }) => name === 'vfio')!.discovered!.devices).toBeInstanceOf(Array);
    expect(machines.find(({ name }) => name === 'simulated')!.discovered).toBeNull();
    expect(json.plugins.length).toBeGreaterThanOrEqual(6);
    expect(json.plugins.map(({ error }) => error).filter((error) => error !== null)).toEqual([]);
  });

  it('prints the schema that is kept beside the profiles', async () => {
    const { status, stdout } = await commandHere(['schema']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual(JSON.parse(readFileSync(join(ROOT, '.virtio-platform.schema.json'), 'utf8')));
  });
});

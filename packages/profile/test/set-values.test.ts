import { join } from 'node:path';
import { VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { checkProfile, loadProfiles } from '../src/load-profile.ts';
import { formatIssue } from '../src/source/profile-issue.ts';
import type { Profile } from '../src/schema/profile.ts';

const LINEAR = join(import.meta.dirname, '../../../profiles/pseries-linear.yaml');
const base = { text: `extends: ${LINEAR}\nprofile: mine\nmatrix: []\n` };
const varied = {
  text: `extends: ${LINEAR}\nprofile: mine\nmatrix: { queue.layout: [split, packed], queue.size: [8, 16] }\n`,
};

async function one(...set: readonly string[]): Promise<Profile> {
  const [profile] = await loadProfiles(base, { set });
  return profile!;
}

async function issuesOf(...set: readonly string[]): Promise<readonly string[]> {
  const { issues } = await checkProfile(base, { set, baseDirectory: process.cwd() });
  return issues.map(formatIssue);
}

describe('values that are set', () => {
  it('are read as YAML, and lie over the profile as those of a profile that extends it', async () => {
    const profile = await one(
      'queue.size=64',
      'queue.layout=packed',
      'workload.blockSize=8KiB',
      'driver={ sanitize: true }',
    );
    expect(profile.queue).toEqual({ layout: 'packed', size: 64 });
    expect(profile.driver).toMatchObject({ sanitize: true, privilege: 'kernel' });
    expect(profile.workload.options).toMatchObject({ blockSize: 8192 });
    expect((await one('profile=another')).name).toBe('another');
    expect((await one('device.offers=[VERSION_1]')).device.offers!.has(VIRTIO_F_VERSION_1)).toBe(true);
    expect((await one('summary=a=b')).summary).toBe('a=b');
  });

  it('have paths that start at the base directory', async () => {
    const set = ['machine.use=./x.mjs', 'machine.memory=1MiB'];
    const { profiles } = await checkProfile(base, { set, baseDirectory: '/somewhere' });
    expect(profiles).toMatchObject([{ machine: { use: '/somewhere/x.mjs' } }]);
  });

  it('are no longer varied by the matrix, whose runs have names that are true', async () => {
    const runs = await loadProfiles(varied, { set: ['queue.layout=packed'] });
    expect(runs.map(({ name, queue }) => [name, queue.layout])).toEqual([
      ['mine [queue.size=8]', 'packed'],
      ['mine [queue.size=16]', 'packed'],
    ]);
    expect(await loadProfiles(varied, { set: ['matrix=[]'] })).toHaveLength(1);
    const parts = {
      text: base.text.replace('matrix: []', 'matrix: [{ queue: { layout: split, size: 8 } }, { queue: { size: 16 } }]'),
    };
    const [first, second] = await loadProfiles(parts, { set: ['queue.layout=packed'] });
    expect([first!.name, first!.queue]).toEqual(['mine [queue.size=8]', { layout: 'packed', size: 8 }]);
    expect(second!.queue).toEqual({ layout: 'packed', size: 16 });
    const whole = {
      text: base.text.replace('matrix: []', 'matrix: { queue: [{ layout: split, size: 8 }, { size: 16 }] }'),
    };
    expect((await loadProfiles(whole, { set: ['queue.layout=packed'] })).map(({ queue }) => queue.layout)).toEqual([
      'packed',
      'packed',
    ]);
  });

  it('are where values contradict each other that they were laid over', async () => {
    expect(await issuesOf('queue.size=64', 'workload.requests=8')).toEqual([
      '--set:2:19: workload.depth: 32 requests cannot be in flight out of 8',
    ]);
    expect(await issuesOf('queue.layout=split', 'queue.size=48')).toEqual([
      expect.stringMatching(/^--set:2:12: queue\.size: must be a power of two/),
    ]);
    expect(await issuesOf('machine.memory=64KiB')).toEqual([
      expect.stringMatching(/^--set:1:16: machine\.memory: the buffers of 32 requests/),
    ]);
    // As those of the profile are that extends another one.
    const { issues } = await checkProfile({ text: `${base.text}workload: { requests: 8 }\n`, name: 'mine.yaml' });
    expect(issues.map(formatIssue)).toEqual([
      'mine.yaml:4:23: workload.depth: 32 requests cannot be in flight out of 8',
    ]);
  });

  it('are wrong with their place, and with what was probably meant', async () => {
    expect(await issuesOf('queue.size=64', 'queue.layut=packed')).toEqual([
      expect.stringMatching(/^--set:2:1: queue\.layut: .*did you mean `layout`\?$/),
    ]);
    expect(await issuesOf('queue.layout=pcked')).toEqual([
      expect.stringMatching(/^--set:1:14: queue\.layout: .*did you mean `packed`\?$/),
    ]);
    expect(await issuesOf('quue.layout=packed')).toEqual([
      expect.stringMatching(/^--set:1:1: quue: .*did you mean `queue`/),
    ]);
    expect(await issuesOf('platform.use=@virtio-platform/platform-sev')).toEqual([
      expect.stringMatching(/is no YAML: .*: a text that begins so is quoted, as in 'platform\.use="\.\.\."'$/),
    ]);
    expect(await issuesOf('queue.size={ a: 1')).toEqual([expect.stringMatching(/^--set:1:1: queue\.size: is no YAML/)]);
    expect(await issuesOf('queue.layout')).toEqual([
      '--set:1:1: `queue.layout` is no `path=value`, such as queue.layout=packed',
    ]);
    for (const text of [
      '=1',
      'queue..size=1',
      '__proto__.x=1',
      'extends=x',
      'queue.size=1\nb: 2',
      `${'a.'.repeat(99)}b=1`,
    ])
      expect(await issuesOf(text)).toHaveLength(1);
  });

  it('that are wrong options of a plugin are found by the plugin', async () => {
    expect(await issuesOf('platform.window.kind=ddv')).toEqual([
      '--set:1:22: platform.window.kind: must be one of default, ddw, not `ddv` — did you mean `ddw`?',
    ]);
  });
});

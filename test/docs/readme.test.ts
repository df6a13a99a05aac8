import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfiles, missingRequirements } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere, ROOT } from '../command/command.ts';
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const files = [...README.matchAll(/```yaml file=(\S+)\n([\s\S]*?)```/g)].map(([, name, text]) => ({
  name: name!,
  text: text!,
}));

const offers = [...README.matchAll(/```yaml offers=(\S+)\n([\s\S]*?)```/g)];
/** What the README has the reader type, but for what runs everything. */
const commands = [...README.matchAll(/^npm run (?:--silent )?virtio-platform -- ([^>\n]+?)(?: > .*)?$/gm)].map(
  ([, words]) => words!,
);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  for (const { name, text } of files) writeFileSync(join(folder, name), text);
  for (const [, name, text] of offers) writeFileSync(join(folder, name!), text!);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the README', () => {
  it.for(files.map(({ name }) => name))('has a profile %s that runs as it says', async (name, { skip }) => {
    for (const profile of await loadProfiles(join(folder, name))) {
      const missing = await missingRequirements(profile);
      const needed = missing.map(({ what, fix }) => `${what}: ${fix}`).join(', ');
      skip(needed !== '' && process.env['CI'] === undefined, `needs ${needed}`);
      const report = await runProfile(profile);
      expect([report.profile, report.differences]).toEqual([profile.name, []]);
      expect(report.workload.verified).toBe(profile.expect.verified ?? true);
    }
  });

  it.each(commands)('has a command that works: %s', async (line) => {
    const words = line.split(' ').map((word) => (word.startsWith('profiles/') ? join(ROOT, word) : word));
    const { status, stdout, stderr } = await commandHere(words, folder);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.length).toBeGreaterThan(100);
  });

  it('S6 has npm print no banner into a file', () => {
    const lines = README.split('\n').filter((line) => /^npm (run|start)/.test(line) && line.includes('>'));
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) expect(line).toContain('--silent');
  });

  it('lists every command, and no other', async () => {
    const listed = [...README.matchAll(/^\| `(\w+)[^|]*` \| /gm)].map(([, name]) => name!);
    const help = (await commandHere(['--help'])).stdout;
    const known = [...help.matchAll(/^ {2}([a-z]\w*) /gm)].map(([, name]) => name!).filter((name) => name !== 'help');
    expect(listed.toSorted()).toEqual(known.toSorted());
  });

  it('shows the profiles that are shipped', () => {
    const shown = README.slice(README.indexOf('```text'), README.indexOf('runs as expected'));
    for (const name of ['legacy-device', 'pseries-linear', 'sev-bounce', 'vfio-pool', 'vfio-worker'])
      expect(shown).toContain(name);
  });
});

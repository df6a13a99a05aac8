import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfiles, missingRequirements } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere, ROOT } from '../command/command.ts';
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const DOCS = join(ROOT, 'packages/cli/docs');
/** The README, and the pages that it leads to. */
const PAGES = [README, ...readdirSync(DOCS).map((name) => readFileSync(join(DOCS, name), 'utf8'))].join('\n');
const files = [...PAGES.matchAll(/```yaml file=(\S+)\n([\s\S]*?)```/g)].map(([, name, text]) => ({
  name: name!,
  text: text!,
}));

const offers = [...PAGES.matchAll(/```yaml offers=(\S+)\n([\s\S]*?)```/g)];
/** What the pages have the reader type, but for what runs everything. */
const commands = [...PAGES.matchAll(/^npm run (?:--silent )?virtio-platform -- ([^>\n]+?)(?: > .*)?$/gm)].map(
  ([, words]) => words!,
);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  for (const { name, text } of files) writeFileSync(join(folder, name), text);
  for (const [, name, text] of offers) writeFileSync(join(folder, name!), text!);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the README and its pages', () => {
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
    const lines = PAGES.split('\n').filter((line) => /^npm (run|start)/.test(line) && line.includes('>'));
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) expect(line).toContain('--silent');
  });

  it('lists every command, and no other', async () => {
    const listed = [...README.matchAll(/^\| `(\w+)[^|]*` \| /gm)].map(([, name]) => name!);
    const help = (await commandHere(['--help'])).stdout;
    const known = [...help.matchAll(/^ {2}([a-z]\w*) /gm)].map(([, name]) => name!).filter((name) => name !== 'help');
    expect(listed.toSorted()).toEqual(known.toSorted());
  });

  it('has four doors, and at most 150 lines', () => {
    expect(README.match(/^## You /gm)).toHaveLength(4);
    for (const door of README.split(/^## /m).filter((part) => part.startsWith('You ')))
      expect(door).toMatch(/^```sh\n[^`]+```$/m);
    expect(README.trimEnd().split('\n').length).toBeLessThanOrEqual(150);
  });

  it('leads to files that are there', () => {
    const own = [...README.matchAll(/\]\(([^)#\s]+)/g)].map(([, target]) => target!);
    const pages = PAGES.matchAll(/virtio-platform\/virtio-platform\/(?:blob|tree)\/main\/([^)#\s]+)/g);
    const targets = [...own.filter((target) => !target.startsWith('http')), ...Array.from(pages, ([, path]) => path!)];
    expect(targets.length).toBeGreaterThan(20);
    expect(targets.filter((target) => !existsSync(join(ROOT, target)))).toEqual([]);
  });
});

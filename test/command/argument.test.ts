import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { isAsExpected, runProfile } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { commandHere, ROOT } from './command.ts';
const FOLDER = join(ROOT, 'profiles/argument');
const files = readdirSync(FOLDER).toSorted();
const UNPRIVILEGED = join(FOLDER, '09-unprivileged-driver.yaml');

describe('the profiles that walk through the argument', () => {
  it('show each of its turns', () => {
    const words = ['encrypted-guest', 'plain-pseries', 'secure-pseries', 'old-guest', 'unprivileged-driver'];
    for (const word of [...words, 'malicious-driver', 'offers-both', 'no-translation', 'identity-address'])
      expect(files.some((name) => name.includes(word))).toBe(true);
  });

  it.each(files)('%s comes out as it says, teaches, and is named after its file', async (name) => {
    const text = readFileSync(join(FOLDER, name), 'utf8');
    expect(text.match(/^\s*# [^y]/gm)!.length).toBeGreaterThanOrEqual(2);
    expect(text).toContain('expect');
    for (const profile of await loadProfiles(join(FOLDER, name))) {
      expect(`${profile.name.split(' [', 1)[0]}.yaml`).toBe(name);
      const report = await runProfile(profile);
      expect([profile.name, report.differences]).toEqual([profile.name, []]);
      expect(isAsExpected(report)).toBe(true);
      expect(report.dma.live).toBe(0);
      if (report.outcome === 'refused') expect(report.dma.maps).toBe(0);
    }
  });
});

describe('explain, for a device that offers both to an unprivileged driver on pseries', () => {
  it('refuses by the rule and with the source that the decision table gives, and says what would have to change', async () => {
    const { status, stdout } = await commandHere(['explain', UNPRIVILEGED]);
    expect(status).toBe(0);
    const [first] = stdout.split('\n\n09-unprivileged-driver', 1);
    expect(first).toContain('refused EPERM by unprivileged-never-untranslated');
    expect(first).toContain('mail: Bauermann, 2019-06-27 (VFIO has to be forbidden');
    expect(first).toMatch(/what would have to change[^]*device +do not offer ACCESS_PLATFORM_NO_TRANSLATION/);
  });

  it('says the same as JSON', async () => {
    const { stdout } = await commandHere(['explain', UNPRIVILEGED, '--json']);
    const [explanation] = JSON.parse(stdout) as { rules: { rule: string }[]; refusal: object; path: null }[];
    expect(explanation).toMatchObject({
      platform: 'pseries',
      privilege: 'process',
      path: null,
      refusal: {
        code: 'EPERM',
        rule: 'unprivileged-never-untranslated',
        source: expect.stringContaining('2019-06-27'),
        change: { device: expect.stringContaining('ACCESS_PLATFORM_NO_TRANSLATION') },
      },
    });
    expect(explanation!.rules.at(-1)!.rule).toBe('unprivileged-never-untranslated');
  });
});

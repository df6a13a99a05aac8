import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAsExpected } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { commandHere, reportsOf, ROOT } from '../command/command.ts';

const PAGE = readFileSync(join(ROOT, 'packages/core/docs/writing-a-device-type.md'), 'utf8');
const PACKAGE = join(ROOT, 'test/outside/virtio-input');

/** The blocks of the page but for its first steps, which `test/packed/guides.test.ts` runs. */
const blocks = [...PAGE.matchAll(/^```(\S*)(?: (file|part)=(\S+))?\n([\s\S]*?)^```$/gm)]
  .filter(([, language]) => language !== 'sh' && language !== '')
  .map(([, , what, name, text]) => ({ what, name: name!, text: text! }));

describe('the page about device types', () => {
  it('says of each block what it shows', () => {
    expect(blocks.length).toBeGreaterThan(8);
    expect(blocks.filter(({ what }) => what === undefined)).toEqual([]);
  });

  it.each(blocks.filter(({ what }) => what === 'file'))('shows $name as the tests run it', ({ name, text }) => {
    expect(text).toBe(readFileSync(join(PACKAGE, name), 'utf8'));
  });

  it.each(blocks.filter(({ what }) => what === 'part'))('shows what $name has', ({ name, text }) => {
    expect(readFileSync(join(ROOT, name), 'utf8')).toContain(text);
  });

  it('shows all of the device type and of its profiles', () => {
    const files = ['src', 'profiles'].flatMap((folder) =>
      readdirSync(join(PACKAGE, folder)).map((name) => `${folder}/${name}`),
    );
    expect(blocks.map(({ name }) => name)).toEqual(expect.arrayContaining([...files, 'package.json']));
  });

  it('has commands that work in that folder', async () => {
    const commands = [...PAGE.matchAll(/`virtio-platform ((?:run|explain|check) [^`]+)`/g)].map(([, words]) =>
      words!.split(' '),
    );
    expect(commands).toContainEqual(['run', 'profiles/keyboard.yaml']);
    for (const words of commands) {
      const result = await commandHere([...words, '--json'], PACKAGE);
      expect([words, result.status, result.stderr]).toEqual([words, 0, '']);
      if (words[0] === 'run') expect(reportsOf(result).map(isAsExpected)).toEqual([true, true, true, true]);
    }
  });

  it('names codes that exist, and members that the contract has', () => {
    const errors = readFileSync(join(ROOT, 'packages/core/docs/errors.md'), 'utf8');
    for (const [code] of PAGE.matchAll(/ERR_[A-Z_]+/g)) expect(errors).toContain(`### ${code}`);
    const contract = ['device-type', 'device-model', 'driver-half', 'workload']
      .map((name) => readFileSync(join(ROOT, `packages/core/src/platform/${name}.ts`), 'utf8'))
      .join('\n');
    const members = ['paths', 'wants', 'process', 'forget', 'usesEventLoop', 'configChanged', 'recovers', 'vhostUser'];
    for (const member of members)
      expect([member, contract.includes(member), PAGE.includes(`\`${member}`)]).toEqual([member, true, true]);
  });
});

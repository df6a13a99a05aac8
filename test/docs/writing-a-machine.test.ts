import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAsExpected } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { commandHere, reportsOf, ROOT } from '../command/command.ts';

const PAGE = readFileSync(join(ROOT, 'packages/core/docs/writing-a-machine.md'), 'utf8');
const PACKAGE = join(ROOT, 'test/outside/tiny-machine');

/** The blocks of the page, with the file that each is to be; `test/packed/guides.test.ts` runs its first steps. */
const blocks = [...PAGE.matchAll(/^```(\S*)(?: file=(\S+))?\n([\s\S]*?)^```$/gm)]
  .filter(([, language]) => language !== 'sh')
  .map(([, , name, text]) => ({
    name,
    text,
  }));

describe('the page about machines', () => {
  it.each(blocks)('shows $name as the tests run it', ({ name, text }) => {
    expect(name).toBeDefined();
    expect(text).toBe(readFileSync(join(PACKAGE, name!), 'utf8'));
  });

  it('shows all of the machine and of its profiles', () => {
    const files = ['src', 'profiles'].flatMap((folder) =>
      readdirSync(join(PACKAGE, folder)).map((name) => `${folder}/${name}`),
    );
    expect(blocks.map(({ name }) => name)).toEqual(expect.arrayContaining(files));
  });

  it('has commands that work in that folder', async () => {
    const commands = [...PAGE.matchAll(/`virtio-platform ([^`]+\.yaml)`/g)].map(([, words]) => words!.split(' '));
    expect(commands).toContainEqual(['run', 'profiles/tiny.yaml']);
    for (const words of commands) {
      const result = await commandHere([...words, '--json'], PACKAGE);
      expect([words, result.status, reportsOf(result).map(isAsExpected)]).toEqual([words, 0, [true]]);
    }
  });

  it('names codes that exist, and members that the contract has', () => {
    const errors = readFileSync(join(ROOT, 'packages/core/docs/errors.md'), 'utf8');
    for (const [code] of PAGE.matchAll(/ERR_[A-Z_]+/g)) expect(errors).toContain(`### ${code}`);
    const contract = readFileSync(join(ROOT, 'packages/core/src/platform/plugin.ts'), 'utf8');
    for (const member of ['missing', 'programs', 'discover', 'memoryProblem', 'provides'])
      expect([member, contract.includes(member), PAGE.includes(`\`${member}\``)]).toEqual([member, true, true]);
    expect(existsSync(join(ROOT, 'packages/machine-simulated/src/worker-transport.ts'))).toBe(true);
  });
});

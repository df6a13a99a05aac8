import { spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';

const TEXT = readFileSync(join(ROOT, 'packages/cli/docs/many-machines.md'), 'utf8');

/** The blocks of a section. */
function blocks(section: string, language: string): string[] {
  const [, text = ''] = TEXT.split(`## ${section}\n`);
  const [own = ''] = text.split('\n## ');
  return [...own.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, block]) => block!);
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  mkdirSync(join(folder, 'bin'));
  mkdirSync(join(folder, 'profiles'));
  const base = join(ROOT, 'profiles/pseries-linear.yaml');
  const small = `extends: ${base}\nprofile: small\nworkload: { requests: 10, depth: 4 }\n`;
  writeFileSync(join(folder, 'profiles/small.yaml'), small);
  // A run that is not as expected: a scheduler merges nevertheless.
  const differs = `extends: small.yaml\nprofile: differs\nmatrix: []\nexpect: { path: identity }\n`;
  writeFileSync(join(folder, 'profiles/differs.yaml'), differs);
  const main = join(ROOT, 'packages/cli/dist/main.js');
  writeFileSync(join(folder, 'bin/npx'), `#!/bin/sh\nshift\nexec ${process.execPath} ${main} "$@"\n`, { mode: 0o755 });
});
afterAll(() => rmSync(folder, { recursive: true }));

function shell(script: string, environment: NodeJS.ProcessEnv = {}): { status: number | null; stdout: string } {
  const path = [join(folder, 'bin'), process.env['PATH']].join(delimiter);
  const env = { ...process.env, NODE_OPTIONS: '', ...environment, PATH: path };
  return spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8', env });
}

function expectMerged(script: string): void {
  const { status, stdout } = shell(script);
  expect([status, stdout]).toEqual([1, expect.stringMatching(/^FAIL[\s\S]* of \d+ runs as expected, /m)]);
  rmSync(join(folder, 'shards'), { recursive: true });
}

/** Parts of the three files, as far as they are followed here. */
interface ActionsJob {
  readonly strategy?: { readonly matrix: { readonly shard: readonly number[] } };
  readonly steps: readonly { readonly run?: string }[];
}
interface KubernetesJob {
  readonly spec: {
    readonly completionMode: string;
    readonly completions: number;
    readonly template: { readonly spec: { readonly containers: readonly { readonly args: readonly string[] }[] } };
  };
}

describe('the page on many machines', () => {
  it('has jobs of GitHub Actions that make the shards and merge them', () => {
    const [text = ''] = blocks('GitHub Actions', 'yaml');
    const { jobs } = parse(text) as { jobs: { shard: ActionsJob; merge: ActionsJob } };
    const commandOf = ({ steps }: ActionsJob): string =>
      steps.find(({ run }) => run?.startsWith('npx ') === true)!.run!;
    const { shard: numbers } = jobs.shard.strategy!.matrix;
    expect(numbers).toEqual([1, 2, 3, 4]);
    const made = numbers.map((n) => shell(commandOf(jobs.shard).replaceAll('${{ matrix.shard }}', String(n))).status);
    expect(made.filter((status) => status !== 0)).toEqual([1]);
    expectMerged(commandOf(jobs.merge));
  });

  it('has a script for a Slurm array, and the job that merges', () => {
    const [script = '', submit = ''] = blocks('A Slurm array', 'sh');
    for (const text of [script, submit]) expect(spawnSync('bash', ['-n'], { input: text }).status).toBe(0);
    const [, first, last] = /^#SBATCH --array=(\d)-(\d)$/m.exec(script)!;
    expect([first, last]).toEqual(['1', '4']);
    const made = [1, 2, 3, 4].map((task) => shell(script, { SLURM_ARRAY_TASK_ID: String(task) }).status);
    expect(made.filter((status) => status !== 0)).toEqual([1]);
    expectMerged(/--wrap '([^']+)'/.exec(submit)![1]!);
  });

  it('has an indexed job of Kubernetes that is complete where a run is not as expected', () => {
    const [text = ''] = blocks('A Kubernetes indexed job', 'yaml');
    const { spec } = parse(text) as KubernetesJob;
    expect([spec.completionMode, spec.completions]).toEqual(['Indexed', 4]);
    const [argument = ''] = spec.template.spec.containers[0]!.args;
    const made = [0, 1, 2, 3].map((index) => shell(argument, { JOB_COMPLETION_INDEX: String(index) }).status);
    expect(made).toEqual([0, 0, 0, 0]);
    expectMerged('npx virtio-platform run --merge shards/*.blob');
  });
});

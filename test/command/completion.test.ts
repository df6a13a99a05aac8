import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SHELLS } from '@virtio-platform/cli';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere } from './command.ts';
import { isHere, linesOf } from './shells.ts';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  mkdirSync(join(folder, 'sub'));
  for (const name of ['mine.yaml', 'mine.txt']) writeFileSync(join(folder, name), '');
  for (const shell of SHELLS) writeFileSync(script(shell), (await commandHere(['completion', shell])).stdout);
});
afterAll(() => rmSync(folder, { recursive: true }));

function script(shell: string): string {
  return join(folder, `completion.${shell}`);
}

/** What is typed, and what has to be among what the shell then proposes; and what must not be. */
const CASES = [
  ['virtio-platform m', ['matrix', 'manual'], ['run']],
  ['virtio-platform matrix --form', ['--format'], ['--offers']],
  ['virtio-platform matrix --format ', ['table', 'markdown', 'csv', 'html'], ['--format']],
  ['virtio-platform new ', ['platform', 'machine', 'device'], ['mine.yaml']],
  ['virtio-platform completion z', ['zsh'], ['bash']],
  ['virtio-platform explain m', ['mine.yaml'], ['mine.txt']],
  ['virtio-platform run pseries-l', ['pseries-linear'], ['sev']],
  ['virtio-platform step vfio/aft', ['vfio/after-unmap'], ['vfio']],
] as const;

describe('completion bash', () => {
  it('is read and completes in bash', () => {
    const asked = [...CASES, ['virtio-platform matrix --format=ht', ['html'], ['csv']] as const];
    const lines = asked.map(([line]) => `try ${line.replace('=', ' = ').replace(/ $/, " ''")}`);
    const program = `set -u; source ${script('bash')}; cd ${folder}
      try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _virtio_platform; echo "\${COMPREPLY[*]}"; }
      ${lines.join('\n')}`;
    const proposed = linesOf('bash', ['--norc'], program).map((line) => line.split(' '));
    for (const [i, [line, among, never]] of asked.entries()) {
      expect([line, ...proposed[i]!]).toEqual(expect.arrayContaining([...among]));
      expect(proposed[i]!.filter((word) => never.some((one) => one === word))).toEqual([]);
    }
  });
});

describe('completion fish', () => {
  it.skipIf(!isHere('fish'))('is read and completes in fish (needs fish: apt-get install fish)', () => {
    const lines = CASES.map(([line]) => `complete -C '${line}'; echo @@`);
    const program = `source ${script('fish')}; cd ${folder}\n${lines.join('\n')}`;
    const answers = linesOf('fish', ['--no-config', '-c', program]).join('\n').split('@@');
    for (const [i, [line, among, never]] of CASES.entries()) {
      const words = answers[i]!.trim()
        .split('\n')
        .map((answer) => answer.split('\t', 1)[0]!);
      expect([line, ...words]).toEqual(expect.arrayContaining([...among]));
      // Of files fish proposes those with the suffix first, and then the others.
      if (/ (explain|run|step) /.test(line)) expect(words[0]).toBe(among[0]);
      else expect(words.filter((word) => never.some((one) => one === word))).toEqual([]);
    }
  });
});

describe('completion zsh', () => {
  it.skipIf(!isHere('zsh'))('is read and completes in zsh (needs zsh: apt-get install zsh)', () => {
    // A shell of its own on a pseudo-terminal, whose line is read once it has what is expected, or after a while.
    const ask = `
      zmodload zsh/zpty; zpty c 'zsh -f -i'
      read_until() { out=; repeat 150; do while zpty -r -t c x; do out+=$x; done; [[ $out == *$1* ]] && return; sleep 0.1; done }
      zpty -w c 'PS1="P> "; stty columns 200; autoload -U compinit; compinit -D -u; source ${script('zsh')}; cd ${folder}; echo re''ady'
      read_until ready
      try() { zpty -w -n c "$1"$'\\t'; read_until "$2"; [[ $out == *$2* ]] && echo yes || echo "no: $out"; zpty -w -n c $'\\x15'; }
      try 'virtio-platform matr' 'matrix'
      try 'virtio-platform matrix --form' '--format'
      try 'virtio-platform matrix --format=' 'markdown'
      try 'virtio-platform completion z' 'zsh'
      try 'virtio-platform explain mi' 'mine.yaml'
      try 'virtio-platform run pseries-l' 'pseries-linear'
      zpty -d c`;
    expect(linesOf('zsh', ['-f', '-c', ask])).toEqual(['yes', 'yes', 'yes', 'yes', 'yes', 'yes']);
  });
});

describe('completion', () => {
  it('has every command, option and choice of the help', async () => {
    const help = (await commandHere(['help', 'matrix'])).stdout;
    const options = Array.from(help.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm), ([, long]) => long!);
    expect(options.length).toBeGreaterThan(5);
    const commands = [...(await commandHere(['--help'])).stdout.matchAll(/^ {2}([a-z]\w*) /gm)].map(
      ([, name]) => name!,
    );
    for (const shell of SHELLS) {
      const text = (await commandHere(['completion', shell])).stdout;
      for (const option of options) expect(text).toContain(shell === 'fish' ? `-l ${option.slice(2)}` : option);
      for (const name of commands.filter((one) => one !== 'help')) expect(text).toContain(name);
    }
    expect((await commandHere(['completion', 'csh'])).status).toBe(2);
  });
});

describe('manual', () => {
  it('has every command with its options, and the exit statuses of the help', async () => {
    const { stdout } = await commandHere(['manual']);
    const page = stdout.replaceAll('\\-', '-');
    const help = (await commandHere(['--help'])).stdout;
    for (const [, name] of help.matchAll(/^ {2}([a-z]\w*) /gm))
      if (name !== 'help') expect(page).toContain(`.SS "${name}`);
    for (const option of ['--feature', '--address', '--exit-code', '--into']) expect(page).toContain(option);
    expect(page).toMatch(/^\.SH "EXIT STATUS"\n\.TP\n\.B 0\nas expected$/m);
    expect(help).toMatch(/^Exit status:\n {2}0 {2}as expected$/m);
    expect((await commandHere(['help', 'matrix'])).stdout).toContain('\nExit status:\n');
    // No line is a request that the text made up.
    for (const [, request] of page.matchAll(/^[.'](\S+)/gm))
      expect(['TH', 'SH', 'SS', 'TP', 'B', 'BI', 'I', 'br']).toContain(request);
  });

  it.skipIf(!isHere('groff'))('is read by groff without a warning (needs groff: apt-get install groff)', async () => {
    const { stdout } = await commandHere(['manual']);
    const page = linesOf('bash', ['-c', 'groff -man -ww -Tutf8 -P-c 2>&1'], stdout).join('\n');
    expect(page).not.toMatch(/warning:|troff:|grotty/);
    // oxlint-disable-next-line no-control-regex
    expect(page.replace(/.\u0008/g, '')).toMatch(/^EXIT STATUS\n +0 +as expected$/m);
  });
});

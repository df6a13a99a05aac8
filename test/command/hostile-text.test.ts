import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { runCommandLine } from '@virtio-platform/cli';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere, ROOT, type CommandResult } from './command.ts';

/** ESC, line end, C1, writing direction, characters without width, line separator. */
const HOSTILE = 'a\u001B[31mb\nc\rd\u009Be\u202Ef\u2066g\u200Fh\u061Ci\u200Bj\u2028k\u0007l\uFEFFm';
const SHOWN = 'a\\x1b[31mb\\nc\\rd\\x9be\\u202ef\\u2066g\\u200fh\\u061ci\\u200bj\\u2028k\\x07l\\ufeffm';
/** What may be in the name of a file: all but `/`. */
const YAML = JSON.stringify(HOSTILE);

let outer: string;
let folder: string;
beforeAll(() => {
  outer = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  folder = join(outer, HOSTILE);
  mkdirSync(folder);
});
afterAll(() => rmSync(outer, { recursive: true }));

/** A profile in a folder with a hostile name. */
function profile(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const BASE = `extends: ${join(ROOT, 'profiles/pseries-linear.yaml')}\nmatrix: []\nworkload: { requests: 10, depth: 4 }\n`;

function expectPrintable({ stdout, stderr }: Pick<CommandResult, 'stdout' | 'stderr'>): void {
  // oxlint-disable-next-line no-control-regex -- the line end is the one control character of the output
  expect(`${stdout}${stderr}`).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
  for (const line of `${stdout}${stderr}`.split('\n')) expect(line).not.toMatch(/^c\\rd/);
}

describe('text that a profile, a device or a program chooses', () => {
  it.each([
    ['run', 'as expected', 'stdout', 'expect: { path: linear }'],
    ['run', 'that differs', 'stdout', 'expect: { path: identity }'],
    ['explain', 'explained', 'stdout', ''],
    ['check', 'checked', 'stdout', `summary: ${YAML}`],
    ['check', 'with an unknown key', 'stderr', `${YAML}: 1`],
    ['check', 'with an unknown key of a section', 'stderr', `queue: { ${YAML}: 1 }`],
    ['check', 'with an unknown option', 'stderr', `platform: { window: { kind: default }, ${YAML}: 1 }`],
    ['check', 'with a value that is none', 'stderr', `queue: { layout: ${YAML} }`],
    ['check', 'with a plugin that is none', 'stderr', `platform: { use: ${YAML} }`],
    ['check', 'with a plugin that is not there', 'stderr', `platform: { use: ${JSON.stringify(`./${HOSTILE}.mjs`)} }`],
    ['check', 'with two keys', 'stderr', `${YAML}: 1\n${YAML}: 2`],
    ['check', 'with a tag', 'stderr', 'queue: !<tag:a%1B%0A> x'],
    [
      'run',
      'with a program that is not there',
      'stderr',
      `platform: { use: "@virtio-platform/platform-legacy" }\nmachine: { use: "@virtio-platform/machine-vhost-user", memory: 32MiB, command: [${YAML}, '{socket}'] }`,
    ],
    [
      'run',
      'with a program that prints',
      'stdout',
      `platform: { use: "@virtio-platform/platform-legacy" }\nmachine: { use: "@virtio-platform/machine-vhost-user", memory: 32MiB, command: [sh, -c, 'printf "%s\\n" "$1" "$1" >&2; exit 1', sh, ${YAML}, '{socket}'] }`,
    ],
    ['run', 'with an image that is not there', 'stdout', `device: { image: ${JSON.stringify(`none/${HOSTILE}`)} }`],
  ] as const)('S2 is escaped in `%s` of a profile %s', async (command, name, stream, section) => {
    const hasSummary = section.startsWith('summary');
    const path = profile(
      `${name.replaceAll(' ', '-')}.yaml`,
      `${BASE}profile: ${YAML}\n${hasSummary ? '' : 'summary: plain\n'}${section}\n`,
    );
    const result = await commandHere([command, path]);
    expectPrintable(result);
    expect(result[stream]).toContain(SHOWN);
    const json = await commandHere([command, path, '--json']);
    expectPrintable(json);
    if (json.stdout !== '')
      expect(JSON.stringify(JSON.parse(json.stdout))).toContain(JSON.stringify(HOSTILE).slice(1, -1));
  });

  it.each(['table', 'markdown', 'csv', 'html'])('S2 is escaped in `matrix --format %s`', async (format) => {
    const path = profile('matrix.yaml', `${BASE}profile: ${YAML}\n`);
    const offers = profile('offers.yaml', `${YAML}: [VERSION_1]\n`);
    const result = await commandHere(['matrix', path, '--offers', offers, '--format', format, '--rules']);
    const { stdout, stderr } = result;
    expectPrintable({ stdout: stdout.replaceAll('\r\n', '\n'), stderr });
    expect(stdout.replaceAll('\\\\', '\\').replaceAll('\\[', '[')).toContain(SHOWN);
  });

  it('S2 has no colour of its own on a terminal', async () => {
    const path = profile('colour.yaml', `${BASE}profile: ${YAML}\nexpect: { path: identity }\n`);
    let text = '';
    const collect = (): Writable & { isTTY: true } =>
      Object.assign(
        new Writable({
          write(chunk, _encoding, done) {
            text += String(chunk);
            done();
          },
        }),
        { isTTY: true as const },
      );
    const saved = process.env['NO_COLOR'];
    delete process.env['NO_COLOR'];
    await runCommandLine(['run', path, 'nothing.yaml'], { stdout: collect(), stderr: collect(), cwd: ROOT });
    await runCommandLine(['run', path], { stdout: collect(), stderr: collect(), cwd: ROOT });
    if (saved !== undefined) process.env['NO_COLOR'] = saved;
    expect(text).toContain(SHOWN);
    expect(text).toContain('\u001B[31mdiffers\u001B[39m');
    expect(text).not.toContain('\u001B[31mb');
    // oxlint-disable-next-line no-control-regex -- the colours of the command
    expectPrintable({ stdout: text.replaceAll(/\u001B\[\d\d?m/g, ''), stderr: '' });
  });
});
